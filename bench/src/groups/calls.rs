// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips: what a user waits for, against the least that one over generic netlink takes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lunatik::{Session, State};

use crate::case::{Case, Operation, Side, each};
use crate::lua::user;
use crate::memory;
use crate::nlctrl;
use crate::states;
use crate::worker::Lua;

const GROUP: &str = "calls";
/// What is sent, by name.
const SIZES: [(&str, usize); 3] = [("64 B", 64), ("1 KiB", 1 << 10), ("32 KiB", 32 << 10)];
/// Gets data and says nothing.
const SILENT: &str = "require 'lunatik'.receive(function() end)";
/// Gets data and answers with the same.
const ECHO: &str = "require 'lunatik'.receive(function(data) return data end)";

pub(crate) fn cases() -> Vec<Case> {
    let cost = |side| Case::cost(GROUP, side).against(nlctrl::side());
    let mut cases = vec![
        cost(Side::new("DOSTRING return 1, from Rust", dostring)).at_most(1.3),
        cost(Side::new("DOSTRING return 1, from Lua", dostring_from_lua)).at_most(2.0),
        cost(Side::new("DOSTRING return 1, by lunatikctl", || {
            ctl(states::state("")?, &["dostring"], "return 1")
        })),
    ];
    for (name, size) in SIZES {
        let rust = Side::new(format!("SENDDATA {name}, from Rust"), move || {
            senddata(SILENT, size)
        });
        let echo = Side::new(format!("SENDDATA {name} and back, from Rust"), move || {
            senddata(ECHO, size)
        });
        let lua = Side::new(format!("SENDDATA {name}, from Lua"), move || {
            senddata_from_lua(size)
        });
        let process = Side::new(format!("SENDDATA {name}, by lunatikctl"), move || {
            ctl(states::state(SILENT)?, &["senddata"], &"x".repeat(size))
        });
        let [rust, echo, lua, process] = [rust, echo, lua, process].map(cost);
        if size == 1 << 10 {
            cases.extend([
                rust.at_most(1.3),
                echo.at_most(1.3),
                lua.at_most(2.0),
                process,
            ]);
        } else {
            cases.extend([rust, echo, lua, process]);
        }
    }
    cases.extend([
        cost(Side::new("NEWSTATE and CLOSE", newstate)).at_most(8.0),
        Case::cost(GROUP, Side::new("NEWSTATE and CLOSE", newstate))
            // luaL_newstate, the libraries that a state in the kernel has, lua_close
            .against(Side::new("the same in user space", || {
                Ok(each(|| user::Lua::new(user::Libraries::Kernel).map(drop)))
            }))
            .at_most(2.0),
        memory::of_empty_state(GROUP),
    ]);
    cases
}

fn dostring() -> Result<Operation> {
    let state = states::state("")?;
    Ok(each(move || {
        let values = state.do_string("return 1")?;
        ensure!(values[0].as_integer() == Some(1), "another result");
        Ok(())
    }))
}

fn senddata(receiver: &str, size: usize) -> Result<Operation> {
    let state = states::state(receiver)?;
    let data = vec![b'x'; size];
    let expected = (receiver == ECHO).then(|| data.clone());
    Ok(each(move || {
        let answer = state.send_data(&data)?;
        ensure!(answer == expected, "another answer");
        Ok(())
    }))
}

fn newstate() -> Result<Operation> {
    let session = Session::open()?;
    Ok(each(move || {
        Ok(session.new_state("new").create()?.close()?)
    }))
}

fn dostring_from_lua() -> Result<Operation> {
    Lua::operation(
        "local s = assert(lunatik.newstate{name = NAME, ephemeral = true})
        return function() assert(s:dostring 'return 1' == 1) end",
    )
}

fn senddata_from_lua(size: usize) -> Result<Operation> {
    Lua::operation(&format!(
        "local s = assert(lunatik.newstate{{name = NAME, ephemeral = true}})
        assert(select('#', s:dostring [[{SILENT}]]) == 0)
        local data = ('x'):rep({size})
        return function() assert(s:senddata(data) == true) end"
    ))
}

/// One process of lunatikctl for each.
fn ctl(state: State, command: &[&str], argument: &str) -> Result<Operation> {
    let name = state.name().context("a state has a name")?;
    let mut ctl = Command::new("lunatikctl");
    ctl.args(command)
        .args([name, argument])
        .stdout(Stdio::null());
    Ok(each(move || {
        // It lives as long as the operation.
        let _ = &state;
        let status = ctl.status()?;
        ensure!(status.success(), "lunatikctl: {status}");
        Ok(())
    }))
}
