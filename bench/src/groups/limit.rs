// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the time limit costs scripts that keep it: the module against one that was built without.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use figures::{Machine, Record, Target, Unit};

use crate::case::{Case, Report};
use crate::groups::others::Module;
use crate::lua::scripts::SCRIPTS;
use crate::states;

const GROUP: &str = "limit";
/// Where `cargo xtask bench` puts the module that has no time limit.
const UNTIMED: &str = "/files/lunatik.ko";
const ROUNDS: usize = 5;
/// What a script may take with the limit, in what it takes without.
const MAX_RATIO: f64 = 1.05;

pub(crate) fn cases() -> Vec<Case> {
    // One case, since the module cannot be exchanged for each batch. Instructions only: a clock is not exact enough.
    vec![Case::other(GROUP, "time limit", measure).on(&[Machine::Counted])]
}

fn measure(report: Report<'_>) -> Result<()> {
    ensure!(Path::new(UNTIMED).exists(), "{UNTIMED} is missing");
    let mut timed = vec![Vec::new(); SCRIPTS.len()];
    let mut untimed = timed.clone();
    for _ in 0..ROUNDS {
        Module::unload()?;
        Module::insert(UNTIMED)?;
        let measured = measure_loaded(&mut untimed);
        // Whatever happened, the next case finds the module that it expects.
        Module::unload()?;
        Module::load()?;
        measured?;
        measure_loaded(&mut timed)?;
    }
    for (((name, _), samples), baseline) in SCRIPTS.iter().zip(timed).zip(untimed) {
        let record = Record::new(GROUP, *name, Unit::Time, samples)
            .against("no time limit", baseline)
            .target(Target::AtMost(MAX_RATIO));
        report(record)?;
    }
    Ok(())
}

/// What each script takes with the module that is loaded.
fn measure_loaded(times: &mut [Vec<f64>]) -> Result<()> {
    for ((name, script), times) in SCRIPTS.iter().zip(times) {
        let state = states::state("")?;
        let run = || -> Result<Duration> {
            let begin = Instant::now();
            state.call(*script).timeout(Duration::from_secs(10)).run()?;
            Ok(begin.elapsed())
        };
        // The first is to warm up.
        run().context(*name)?;
        times.push(run()?.as_secs_f64() * 1e9);
    }
    Ok(())
}
