// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many states: whether the last is made as quickly as the first, and what they need.

use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lunatik::Session;

use crate::median;
use crate::report::Report;

const STATES: usize = 10_000;
/// The states whose times are looked at.
const FIRST: Range<usize> = 0..100;
const MIDDLE: Range<usize> = 950..1050;
const LAST: Range<usize> = STATES - 100..STATES;
/// What one of the last states may take, in what one of the first takes.
const MAX_RATIO: f64 = 1.5;

pub(crate) fn measure() -> Result<Report> {
    let session = Session::open()?;
    let create = |name: String| -> Result<Duration> {
        let start = Instant::now();
        let state = session.new_state(&name).create();
        let time = start.elapsed();
        // The state stays without its reference.
        state.and_then(lunatik::State::put).context(name)?;
        Ok(time)
    };
    let before = available()?;
    // The first are slower than all others, which would flatter the ratio.
    for number in FIRST {
        let name = format!("warm{number}");
        create(name.clone())?;
        session.state(name).close()?;
    }

    let times = (1..=STATES)
        .map(|number| create(name(number)))
        .collect::<Result<Vec<_>>>()?;
    let used = before.saturating_sub(available()?);
    let listed = session.states()?.len();
    for number in 1..=STATES {
        session.state(name(number)).close()?;
    }

    let mut report = Report::new(["10,000 states", "figure"]);
    let time = |range: Range<usize>| median(times[range].to_vec());
    for range in [FIRST, MIDDLE, LAST] {
        let name = format!("µs to make one, of {} to {}", range.start + 1, range.end);
        report.row([name, time(range).as_micros().to_string()]);
    }
    let ratio = time(LAST).div_duration_f64(time(FIRST));
    report.held(
        ["last to first".to_owned(), format!("{ratio:.2}")],
        format!("{MAX_RATIO:.2}"),
        ratio <= MAX_RATIO,
    );
    report.held(
        ["listed".to_owned(), listed.to_string()],
        STATES.to_string(),
        listed == STATES,
    );
    let each = used / STATES;
    report.row([
        "bytes of the machine's memory for one".to_owned(),
        each.to_string(),
    ]);
    Ok(report)
}

fn name(number: usize) -> String {
    format!("state{number}")
}

/// The memory that the machine has left, in bytes.
fn available() -> Result<usize> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))
        .context("no MemAvailable in /proc/meminfo")?;
    Ok(kib.trim().parse::<usize>()? << 10)
}
