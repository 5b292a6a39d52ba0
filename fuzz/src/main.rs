// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzes the module; `cargo xtask fuzz` runs it in a VM.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use lunatik_fuzz::{Limit, Plan, lua, netlink, packets};

/// Fuzz the module. Exits with 1 if something is wrong
#[derive(Parser)]
struct Cli {
    target: Target,
    /// What the cases are made from [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How long to go on
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many cases to run, however long that takes
    #[arg(long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// How many threads run cases at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Begin with this case
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    skip: u64,
    /// Show this case and run it alone
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["skip", "count", "seconds"])]
    only: Option<u64>,
    /// Tell of each case in the kernel's log before it begins
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Messages to the family
    Netlink,
    /// Programs for the states
    Lua,
    /// Programs that are called for packets
    Packets,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
    });
    println!("seed {seed}");
    match run(&cli, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED, with --seed {seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, seed: u64) -> Result<()> {
    let mut plan = Plan {
        seed,
        threads: cli.threads.into(),
        first: cli.skip,
        limit: match cli.count {
            Some(count) => Limit::Cases(count),
            None => Limit::Time(Duration::from_secs(cli.seconds)),
        },
        trace: cli.trace,
    };
    if let Some(index) = cli.only {
        plan.threads = 1;
        plan.first = index;
        plan.limit = Limit::Cases(1);
        println!(
            "{}",
            match cli.target {
                Target::Netlink => netlink::show(seed, index),
                Target::Lua => lua::show(seed, index)?,
                Target::Packets => packets::show(seed, index)?,
            }
        );
    }
    let tally = match cli.target {
        Target::Netlink => netlink::run(&plan),
        Target::Lua => lua::run(&plan),
        Target::Packets => packets::run(&plan),
    }?;
    println!("{tally}");
    Ok(())
}
