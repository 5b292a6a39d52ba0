// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast Lua computes in the kernel, with its time limit, against the same Lua in user space.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::case::{Case, Operation, Side, each};
use crate::lua::scripts::SCRIPTS;
use crate::lua::user;
use crate::states;

const GROUP: &str = "lua";

pub(crate) fn cases() -> Vec<Case> {
    let case = |&(name, script): &(&'static str, &'static str)| {
        Case::cost(GROUP, Side::new(name, move || kernel(script)))
            .against(Side::new("user space", move || user_space(script)))
            .at_most(1.1)
    };
    SCRIPTS.iter().map(case).collect()
}

/// The script in a state, which must give what it gives in user space.
fn kernel(script: &'static str) -> Result<Operation> {
    let expected = user::Lua::new(user::Libraries::All)?.run(script)?;
    let state = states::state("")?;
    Ok(each(move || {
        let values = state.call(script).timeout(Duration::from_secs(10)).run()?;
        let value = values.first().context("no result")?.as_integer();
        ensure!(
            value == expected,
            "{value:?}, and {expected:?} in user space"
        );
        Ok(())
    }))
}

fn user_space(script: &'static str) -> Result<Operation> {
    let mut lua = user::Lua::new(user::Libraries::All)?;
    Ok(each(move || lua.run(script).map(drop)))
}
