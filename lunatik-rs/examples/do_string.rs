// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs Lua in a state, and shows what a failing script says.

use lunatik::{ErrorKind, Session};

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session.new_state("do_string").ephemeral(true).create()?;

    for value in state.do_string("return 6 * 7, 'two', nil, true, {3, x = 'y'}")? {
        println!("{}: {value}", value.type_name());
    }

    let error = state
        .do_string("local function f() error('boom') end f()")
        .expect_err("the script raises");
    assert_eq!(error.kind(), ErrorKind::Script);
    println!("{error}");
    if let Some(traceback) = error.lua().and_then(lunatik::LuaError::traceback) {
        println!("{traceback}");
    }
    Ok(())
}
