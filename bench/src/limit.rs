// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the time limit costs scripts that keep it: the module next to one that was built without.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lunatik::{Session, State};

use crate::median;
use crate::report::Report;

/// Where `cargo xtask bench` puts the module that has no time limit.
const UNTIMED: &str = "/files/lunatik.ko";
const ROUNDS: usize = 5;
/// What a script may take with the limit, in what it takes without.
const MAX_RATIO: f64 = 1.05;

/// Scripts that compute for long, each in another part of Lua.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "a loop",
        "local n = 0 for i = 1, 300000 do n = n + i * 3 % 7 end return n",
    ),
    (
        "recursion",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(20)",
    ),
    (
        "tables",
        "local t = {} for i = 1, 20000 do t[i] = i t['k' .. i % 100] = i end return #t",
    ),
    (
        "patterns",
        "return select(2, (('hello world '):rep(500):gsub('(%w+) (%w+)', '%2 %1')))",
    ),
    (
        "a sort",
        "local t = {} for i = 1, 3000 do t[i] = i * 7919 % 3001 end table.sort(t) return t[1]",
    ),
    (
        "coroutines",
        "local co = coroutine.wrap(function() while true do coroutine.yield(1) end end) local n = 0 for _ = 1, 10000 do n = n + co() end return n",
    ),
];

#[derive(Clone, Copy)]
enum Module {
    Timed,
    Untimed,
}

impl Module {
    /// Takes the place of the one that is loaded.
    fn load(self) -> Result<()> {
        command("rmmod", &["lunatik"])?;
        match self {
            Self::Timed => command("modprobe", &["lunatik"]),
            Self::Untimed => command("insmod", &[UNTIMED]),
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}

fn time(state: &State, script: &str) -> Result<Duration> {
    let begin = Instant::now();
    state.call(script).timeout(Duration::from_secs(10)).run()?;
    Ok(begin.elapsed())
}

/// What each script takes, round by round.
fn measure_loaded(times: &mut [Vec<Duration>]) -> Result<()> {
    let session = Session::open()?;
    for ((name, script), times) in SCRIPTS.iter().zip(times) {
        let state = session.new_state("limit").create()?;
        // The first is to warm up.
        time(&state, script).context(*name)?;
        times.push(time(&state, script)?);
        state.close()?;
    }
    Ok(())
}

pub(crate) fn measure() -> Result<Report> {
    ensure!(Path::new(UNTIMED).exists(), "{UNTIMED} is missing");
    let mut timed = vec![Vec::new(); SCRIPTS.len()];
    let mut untimed = timed.clone();
    for _ in 0..ROUNDS {
        Module::Untimed.load()?;
        measure_loaded(&mut untimed)?;
        Module::Timed.load()?;
        measure_loaded(&mut timed)?;
    }
    let mut report = Report::new(["with the time limit", "instructions", "without", "ratio"]);
    for (((name, _), timed), untimed) in SCRIPTS.iter().zip(timed).zip(untimed) {
        let (timed, untimed) = (median(timed), median(untimed));
        let ratio = timed.div_duration_f64(untimed);
        report.held(
            [
                (*name).to_owned(),
                timed.as_nanos().to_string(),
                untimed.as_nanos().to_string(),
                format!("{ratio:.3}"),
            ],
            format!("{MAX_RATIO:.2}"),
            ratio <= MAX_RATIO,
        );
    }
    Ok(report)
}
