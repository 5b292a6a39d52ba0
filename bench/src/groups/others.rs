// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Lunatik costs those who do not use it, and what its logs cost those who do.

use anyhow::{Result, anyhow, ensure};
use figures::{Record, Unit};
use nix::sched::{CloneFlags, unshare};

use crate::case::{Case, Operation, Report, Side, each};
use crate::lua::user;
use crate::{command, idle, netlink, states};

const GROUP: &str = "others";
const ROUNDS: usize = 7;
/// Namespaces that come and go together.
const NAMESPACES: u32 = 20;
/// Lines that are written or read at once.
const LINES: u32 = 100;
/// A line without what its log adds.
const LINE: &str = "a line of the log, of fifty characters or about so";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::rate(GROUP, written())
            .against(Side::new("line-buffered file, user space", to_file).things(LINES)),
        Case::rate(GROUP, read()).against(netlink::side(LINE.len(), LINES)),
        Case::other(GROUP, "namespace create and delete", namespaces),
    ]
}

fn written() -> Side {
    let setup = || {
        let state = states::state(&format!(
            "function write() for _ = 1, {LINES} do print('{LINE}') end end"
        ))?;
        Ok(each(move || Ok(state.do_string("write()").map(drop)?)))
    };
    Side::new("log lines written", setup).things(LINES)
}

/// The same lines by the same Lua in user space.
fn to_file() -> Result<Operation> {
    let mut lua = user::Lua::new(user::Libraries::All)?;
    lua.run(&format!(
        "local file = assert(io.open('/tmp/lunatik-bench.log', 'w'))
        file:setvbuf('line')
        function write()
          file:seek('set')
          for _ = 1, {LINES} do file:write('{LINE}', '\\n') end
        end"
    ))?;
    Ok(each(move || lua.run("write()").map(drop)))
}

/// From a cursor on to the newest.
fn read() -> Side {
    let setup = || {
        let state = states::state(&format!("for _ = 1, 2 * {LINES} do print('{LINE}') end"))?;
        let cursor = u64::from(LINES) + 1;
        Ok(each(move || {
            let log = state.log(Some(cursor))?;
            ensure!(
                log.lines.len() == LINES as usize && log.lost == 0,
                "other lines"
            );
            Ok(())
        }))
    };
    Side::new("log lines read by cursor", setup).things(LINES)
}

/// With the module and without, in turn.
fn namespaces(report: Report<'_>) -> Result<()> {
    let mut with = Vec::new();
    let mut without = Vec::new();
    // The first is to warm up.
    for round in 0..=ROUNDS {
        let time = create_and_delete()?;
        Module::unload()?;
        let measured = create_and_delete();
        Module::load()?;
        if round > 0 {
            with.push(time);
            without.push(measured?);
        }
    }
    let record = Record::new(GROUP, "namespace create and delete", Unit::Time, with);
    report(record.against("without the module", without))
}

/// What the CPU has to do for one, in nanoseconds. Most of a deletion is done later and by another thread.
fn create_and_delete() -> Result<f64> {
    let busy = idle::busy(|| {
        // Each leaves the one before, which nobody then uses; the last goes with the thread.
        let all = || (0..NAMESPACES).try_for_each(|_| unshare(CloneFlags::CLONE_NEWNET));
        let done = std::thread::spawn(all).join();
        Ok(done.map_err(|_| anyhow!("a thread panicked"))??)
    })?;
    Ok(busy.as_secs_f64() * 1e9 / f64::from(NAMESPACES))
}

/// The module, which can be exchanged while nobody uses it.
pub(crate) struct Module;

impl Module {
    pub(crate) fn load() -> Result<()> {
        command::run("modprobe", &["lunatik"])
    }

    pub(crate) fn unload() -> Result<()> {
        command::run("rmmod", &["lunatik"])
    }

    pub(crate) fn insert(path: &str) -> Result<()> {
        command::run("insmod", &[path])
    }
}
