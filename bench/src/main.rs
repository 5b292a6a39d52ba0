// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures what calls cost and what many states need, and holds both to targets.
//!
//! `cargo xtask bench` runs it, each part in a VM of its own.

#![forbid(unsafe_code)]

mod calls;
mod limit;
mod nlctrl;
mod report;
mod scale;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Measure Lunatik. Exits with 1 if a target is missed, 2 if nothing could be measured
#[derive(Parser)]
struct Cli {
    part: Part,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// What calls cost, in nanoseconds, which are instructions where QEMU counts them, and how
    /// much memory a state needs
    Calls,
    /// What the time limit costs scripts that keep it, against a module without it
    Limit,
    /// Whether 10,000 states are as quick to make as 100, and what they need
    Scale,
}

fn main() -> ExitCode {
    match run(Cli::parse().part) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("lunatik-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(part: Part) -> Result<bool> {
    let report = match part {
        Part::Calls => calls::measure()?,
        Part::Limit => limit::measure()?,
        Part::Scale => scale::measure()?,
    };
    println!("{report}");
    Ok(report.is_met())
}

/// The middle one, which what disturbs a few does not move.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        let times = |times: &[u64]| times.iter().copied().map(Duration::from_nanos).collect();
        assert_eq!(median(times(&[900, 1, 3])), Duration::from_nanos(3));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
