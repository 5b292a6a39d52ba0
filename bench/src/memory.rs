// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory: what a state counts as its own, and what the machine has less.

use std::fs;

use anyhow::{Context, Result};
use figures::{Record, Target, Unit};

use crate::case::Case;
use crate::states;

/// What an empty state may need, in bytes.
pub(crate) const MAX_ALLOC: f64 = 10.0 * 1024.0;

/// A figure of memory.
pub(crate) fn record(group: &str, case: &str, bytes: f64, target: Option<Target>) -> Record {
    Record {
        group: group.to_owned(),
        case: case.to_owned(),
        against: None,
        unit: Unit::Bytes,
        target,
        samples: vec![bytes],
        baseline: Vec::new(),
    }
}

/// What a state uses that has all of its libraries and nothing else.
pub(crate) fn of_empty_state(group: &'static str) -> Case {
    const NAME: &str = "memory of an empty state";
    Case::other(group, NAME, move |report| {
        let state = lunatik::Session::open()?
            .new_state(&states::name())
            .ephemeral(true)
            .create()?;
        let description = state.snapshot().context("a new state has a description")?;
        let bytes = f64::from(description.curr_alloc);
        report(record(group, NAME, bytes, Some(Target::AtMost(MAX_ALLOC))))
    })
}

/// The memory that the machine has left, in bytes.
pub(crate) fn available() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))
        .context("no MemAvailable in /proc/meminfo")?;
    Ok(kib.trim().parse::<f64>()? * 1024.0)
}
