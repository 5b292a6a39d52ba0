// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast Lua computes in the kernel, with its time limit, against the same Lua in user space.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lunatik::State;

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

/// States that each side takes in turn: each has a seed of its own, on which its tables and so its figures depend.
const STATES: usize = 7;

/// The script in states of the kernel, which must give what it gives in user space.
fn kernel(script: &'static str) -> Result<Operation> {
    let expected = user::Lua::new(user::Libraries::All)?.run(script)?;
    let run = move |state: &State| -> Result<()> {
        let values = state.call(script).timeout(Duration::from_secs(10)).run()?;
        let value = values.first().context("no result")?.as_integer();
        ensure!(
            value == expected,
            "{value:?}, and {expected:?} in user space"
        );
        Ok(())
    };
    in_turn(|| states::state(""), move |state| run(state))
}

fn user_space(script: &'static str) -> Result<Operation> {
    in_turn(
        || user::Lua::new(user::Libraries::All),
        move |lua| lua.run(script).map(drop),
    )
}

/// Runs in one state after the other, each of which has run before.
fn in_turn<T: 'static>(
    new: impl Fn() -> Result<T>,
    run: impl Fn(&mut T) -> Result<()> + 'static,
) -> Result<Operation> {
    let mut states = (0..STATES).map(|_| new()).collect::<Result<Vec<_>>>()?;
    states.iter_mut().try_for_each(&run)?;
    let mut next = 0;
    Ok(each(move || {
        next = (next + 1) % STATES;
        run(&mut states[next])
    }))
}
