// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fuzzers of `fuzz/`, in a VM.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::guest::Pass;
use crate::kernel::{Kernel, Version};
use crate::vm::Vm;
use crate::{artifacts, host};

/// How long a run may take beside its own time, or with a count of cases.
const SLACK: Duration = Duration::from_mins(5);
const LIMIT: Duration = Duration::from_hours(12);
const PROGRAM: &str = "/usr/bin/lunatik-fuzz";

#[derive(Args)]
pub(crate) struct FuzzTask {
    target: Target,
    /// The kernel to boot
    #[arg(long, default_value = "debug")]
    kernel: Version,
    /// The guest's number of CPUs [default: 2 where there can be as many]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    smp: Option<u32>,
    /// How long to go on
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many cases to run, however long that takes
    #[arg(long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// What the cases are made from [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many threads run cases at the same time
    #[arg(long, default_value_t = 2)]
    threads: u8,
    /// Begin with this case
    #[arg(long, value_name = "INDEX")]
    skip: Option<u64>,
    /// Show this case and run it alone
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["skip", "count", "seconds"])]
    only: Option<u64>,
    /// Tell of each case in the kernel's log before it begins, for a kernel that dies
    #[arg(long)]
    trace: bool,
    /// Show the kernel's log on standard error
    #[arg(long, short)]
    verbose: bool,
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

impl FuzzTask {
    /// The command for the guest.
    fn command(&self) -> String {
        let mut words = vec![format!("exec {PROGRAM}")];
        words.push(match self.target {
            Target::Netlink => "netlink".to_owned(),
            Target::Lua => "lua".to_owned(),
            Target::Packets => "packets".to_owned(),
        });
        words.push(format!("--threads {}", self.threads));
        match (self.only, self.count) {
            (Some(index), _) => words.push(format!("--only {index}")),
            (None, Some(count)) => words.push(format!("--count {count}")),
            (None, None) => words.push(format!("--seconds {}", self.seconds)),
        }
        if let Some(seed) = self.seed {
            words.push(format!("--seed {seed}"));
        }
        if let Some(index) = self.skip {
            words.push(format!("--skip {index}"));
        }
        if self.trace {
            words.push("--trace".to_owned());
        }
        words.join(" ")
    }

    fn limit(&self) -> Duration {
        match (self.only, self.count) {
            (None, Some(_)) => LIMIT,
            _ => Duration::from_secs(self.seconds) + SLACK,
        }
    }
}

/// Runs a fuzzer; the status is its own, 1 if it found something.
pub(crate) fn run(task: &FuzzTask) -> Result<i32> {
    let cpus = task.kernel.cpus(task.smp, 2)?;
    host::ensure_vm(&[task.kernel])?;
    let kernel = Kernel::get(task.kernel)?;
    let program = artifacts::fuzz()?;
    let mut guest = Vm::new(&kernel)
        .smp(cpus)
        .verbose(task.verbose)
        .program(&program, PROGRAM)
        .boot()?;
    let status = guest.run(&task.command(), &mut Pass, Some(task.limit()))?;
    if task.kernel.is_debug() {
        guest.find_leaks()?;
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        task: FuzzTask,
    }

    fn command(line: &str) -> String {
        Cli::parse_from(line.split(' ')).task.command()
    }

    #[test]
    fn options_are_passed_on() {
        assert_eq!(
            command("fuzz lua"),
            "exec /usr/bin/lunatik-fuzz lua --threads 2 --seconds 60"
        );
        assert_eq!(
            command("fuzz netlink --count 9 --seed 3 --skip 4 --trace"),
            "exec /usr/bin/lunatik-fuzz netlink --threads 2 --count 9 --seed 3 --skip 4 --trace"
        );
        assert_eq!(
            command("fuzz lua --only 7 --seed 3"),
            "exec /usr/bin/lunatik-fuzz lua --threads 2 --only 7 --seed 3"
        );
    }
}
