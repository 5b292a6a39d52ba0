// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the states of another network namespace: `netns NAME`, `netns PATH` or
//! `netns pid:N`; without an argument, those of the parent process's.

use std::{env, os::unix::process::parent_id};

use lunatik::Session;

fn main() -> lunatik::Result<()> {
    let name = env::args()
        .nth(1)
        .unwrap_or_else(|| format!("pid:{}", parent_id()));
    let session = match name.strip_prefix("pid:").map(str::parse) {
        Some(Ok(pid)) => Session::of_pid(pid)?,
        _ => Session::in_netns(&name)?,
    };
    for state in session.states()? {
        println!("{}", state.name);
    }
    Ok(())
}
