// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a state with limits of its own.

use std::time::Duration;

use lunatik::Session;

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session
        .new_state("new_state")
        .max_alloc(64 << 10)
        .timeout(Duration::from_millis(100))
        .ephemeral(true)
        .create()?;
    println!("{:#?}", state.snapshot());
    // An ephemeral state closes with its last reference, which this was.
    state.put()
}
