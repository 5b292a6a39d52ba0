// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory: what a state counts as its own, and what the kernel uses.

use std::fs;

use anyhow::{Context, Result};
use figures::{Record, Target, Unit};

use crate::case::Case;
use crate::states;

/// What an empty state may need, in bytes.
pub(crate) const MAX_ALLOC: f64 = 10.0 * 1024.0;

/// A figure of memory.
pub(crate) fn record(group: &str, case: &str, bytes: f64, target: Option<Target>) -> Record {
    Record::new(group, case, Unit::Bytes, vec![bytes]).target(target)
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

/// What the kernel uses for itself, in bytes. What the machine has left would tell less: programs take some,
/// and the kernel gives back what it booted from while others run.
pub(crate) fn of_kernel() -> Result<f64> {
    parse(&fs::read_to_string("/proc/meminfo")?)
}

fn parse(text: &str) -> Result<f64> {
    let mut sum = 0.0;
    for name in ["Slab:", "VmallocUsed:", "Percpu:"] {
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"))
            .with_context(|| format!("no {name} in /proc/meminfo"))?;
        sum += kib.trim().parse::<f64>()? * 1024.0;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_and_the_like_are_added() {
        let text = "MemFree: 9 kB\nSlab:  3 kB\nVmallocUsed: 2 kB\nPercpu: 1 kB\n";
        assert_eq!(parse(text).unwrap().to_string(), "6144");
        assert!(parse("Slab: 3 kB\n").is_err());
    }
}
