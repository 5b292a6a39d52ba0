// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many clients: processes that each use a state of their own, on two CPUs.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use figures::{Machine, Record, Target, Unit};

use crate::case::{Case, Report};
use crate::worker::{self, Job, Worker};

const GROUP: &str = "clients";
const ROUNDS: usize = 15;
/// How long all processes work, by the clock.
const TIME: Duration = Duration::from_millis(100);
/// Numbers of processes, and what their throughput should be in that of one.
const PROCESSES: [(usize, Option<Target>); 4] = [
    (1, None),
    (2, Some(Target::AtLeast(1.7))),
    (4, None),
    (8, None),
];

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &'static str, job, targets| {
        Case::other(GROUP, name, move |report| {
            measure(name, job, targets, report)
        })
        .on(&[Machine::Pair])
    };
    vec![
        case("DOSTRING return 1", Job::Dostring, true),
        // What the machine's two CPUs give to processes that share nothing.
        case("no system call", Job::Spin, false),
    ]
}

fn measure(name: &str, job: Job, targets: bool, report: Report<'_>) -> Result<()> {
    let most = PROCESSES.iter().map(|(count, _)| *count).max();
    let mut workers = (0..most.unwrap_or_default())
        .map(|_| Worker::of(job))
        .collect::<Result<Vec<_>>>()?;
    let mut rates = vec![Vec::new(); PROCESSES.len()];
    // The first round is to warm up.
    for round in 0..=ROUNDS {
        for ((count, _), rates) in PROCESSES.iter().zip(&mut rates) {
            let rate = worker::rate(&mut workers[..*count], TIME)?;
            if round > 0 {
                rates.push(rate);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    let baseline = rates[0].clone();
    for ((count, target), samples) in PROCESSES.iter().zip(rates).skip(1) {
        let case = format!("{name}, {count} processes");
        let record = Record::new(GROUP, case, Unit::Rate, samples)
            .against("1 process", baseline.clone())
            .target(target.filter(|_| targets));
        report(record)?;
    }
    Ok(())
}
