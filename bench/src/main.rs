// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures what Lunatik costs, each figure in turn with what bounds it or competes with it.
//!
//! `cargo xtask bench` runs it in VMs and makes tables of what it prints. A group of cases
//! is a file of `groups/`; how a case is measured is in `case.rs`.

#![deny(unsafe_code)]

mod bpf;
mod case;
mod command;
mod groups;
mod idle;
mod lua;
mod memory;
mod netlink;
mod netns;
mod nlctrl;
mod pair;
mod states;
mod window;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use figures::{Machine, Record};

use crate::case::Case;
use crate::worker::Job;

/// Measure Lunatik
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Print the name of every case and where it is measured, one JSON document a line
    List,
    /// Measure cases and print their figures, one JSON document a line
    ///
    /// Exits with 2 if one of them could not be measured.
    Run {
        /// What this machine measures by
        machine: Machine,
        /// Their groups and names, as `GROUP: NAME`
        names: Vec<String>,
    },
    /// Do a job between the two moments that each line of standard input says, and answer how often in a second
    Work {
        job: Job,
        /// The only CPU to do it on
        cpu: Option<usize>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::List => list().map(|()| true),
        Task::Run { machine, names } => run(machine, &names),
        Task::Work { job, cpu } => worker::work(job, cpu).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("lunatik-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() -> Result<()> {
    let mut out = io::stdout().lock();
    let mut cases: Vec<_> = groups::cases().iter().map(Case::listed).collect();
    // One thing with two baselines is measured twice, but has one name.
    cases.dedup();
    for case in cases {
        writeln!(out, "{}", serde_json::to_string(&case)?)?;
    }
    Ok(())
}

/// Whether all of the cases could be measured.
fn run(machine: Machine, names: &[String]) -> Result<bool> {
    let cases: Vec<Case> = groups::cases()
        .into_iter()
        .filter(|case| case.is_for(machine) && names.contains(&case.listed().id()))
        .collect();
    ensure!(!cases.is_empty(), "no such cases");
    let mut good = true;
    for case in cases {
        let name = case.name.clone();
        let measured = case.measure(&mut |record| print(&record));
        if let Err(error) = measured {
            eprintln!("lunatik-bench: {name}: {error:#}");
            good = false;
        }
    }
    Ok(good)
}

fn print(record: &Record) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(record)?)?;
    Ok(out.flush()?)
}
