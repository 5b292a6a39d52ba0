// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds, runs and tests Lunatik: the module, the VM and everything that goes into it.

#![forbid(unsafe_code)]

mod apt;
mod artifacts;
mod bench;
mod btf;
mod cache;
mod command;
mod debug;
mod demo;
mod dmesg;
#[cfg(test)]
mod docs;
mod frame;
mod fuzz;
mod guest;
mod host;
mod init;
mod initramfs;
mod kernel;
mod kmod;
mod load;
mod machine;
mod qemu;
mod step;
mod test;
mod uml;
mod vm;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::bench::BenchTask;
use crate::fuzz::FuzzTask;
use crate::guest::{Failure, Pass};
use crate::kernel::{Kernel, Version};
use crate::kmod::Module;
use crate::vm::Vm;

/// Build, run and test Lunatik. What is missing on a Debian 12 machine is installed or fetched.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the other commands need, which they also do by themselves, and `cargo build` does not
    Setup,
    /// Boot a VM with the module loaded and run a command or a shell in it
    ///
    /// Exits with the command's status; 124 if it did not end in time, 125 if the VM failed or its
    /// kernel's log has a bug, a warning or the like.
    Vm(VmTask),
    /// Build the module
    Kmod {
        /// The kernel's headers [default: those of the running kernel]
        #[arg(long, value_name = "DIR")]
        kernel_dir: Option<PathBuf>,
    },
    /// Run every test, on this machine and in VMs
    Test {
        /// The kernels to test on [default: all]
        #[arg(long)]
        kernel: Vec<Version>,
        /// The same as --kernel debug
        #[arg(long)]
        debug: bool,
        /// Run only tests whose name contains this
        filter: Option<String>,
    },
    /// Take a tour in a VM
    Demo {
        /// The kernel to boot
        #[arg(long, default_value = "6.12")]
        kernel: Version,
    },
    /// Fuzz the module in a VM
    ///
    /// Exits with 1 if something is wrong, and 125 if the kernel's log tells so. What is printed tells
    /// how to come to the same case again.
    Fuzz(FuzzTask),
    /// Measure speed and memory in VMs, each figure beside what bounds it
    ///
    /// Instructions are counted in one VM; another, with as many CPUs as a case wants, goes by the clock.
    /// Exits with 1 if a target is missed, and 2 if something could not be measured.
    Bench(BenchTask),
}

#[derive(Args)]
struct VmTask {
    /// The kernel to boot
    #[arg(long, default_value = "6.12")]
    kernel: Version,
    /// The guest's number of CPUs [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    smp: Option<u32>,
    /// The guest's memory
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// A file or folder to copy to the guest's /files
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// How long the command may take [default: 600, and no limit for a shell]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Add curl, dig, dnsmasq and openssl to the guest, which takes a second; a shell has them always
    #[arg(long)]
    traffic: bool,
    /// Show the kernel's log on standard error
    #[arg(long, short)]
    verbose: bool,
    /// The command, run as root under `sh -c`; several words are joined with spaces
    #[arg(last = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == init::INIT)
    {
        init::run();
    }
    match run(Cli::parse().task) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(match error.downcast_ref() {
                Some(Failure::TimedOut(_)) => 124,
                Some(Failure::Interrupted) => guest::INTERRUPTED,
                _ => 125,
            })
        }
    }
}

fn run(task: Task) -> Result<i32> {
    match task {
        Task::Setup => host::ensure_tests(&Version::ALL).map(|()| 0),
        Task::Vm(task) => vm(&task),
        Task::Kmod { kernel_dir } => {
            let headers = kernel_dir.map_or_else(kmod::running_headers, Ok)?;
            host::ensure_build()?;
            println!(
                "{}",
                kmod::build(&headers, None, Module::Lunatik)?.display()
            );
            Ok(0)
        }
        Task::Test {
            kernel: mut kernels,
            debug,
            filter,
        } => {
            if debug && !kernels.contains(&Version::Debug) {
                kernels.push(Version::Debug);
            }
            if kernels.is_empty() {
                kernels.extend(Version::ALL);
            }
            test::run(&kernels, filter.as_deref())
        }
        Task::Demo { kernel } => demo::run(kernel),
        Task::Fuzz(task) => fuzz::run(&task),
        Task::Bench(task) => bench::run(&task),
    }
}

fn vm(task: &VmTask) -> Result<i32> {
    let cpus = task.kernel.cpus(task.smp, 1)?;
    host::ensure_vm(&[task.kernel])?;
    let kernel = Kernel::get(task.kernel)?;
    let shell = task.command.is_empty() && io::stdin().is_terminal();
    let mut vm = Vm::new(&kernel)
        .smp(cpus)
        .memory(task.memory)
        .traffic(task.traffic || shell)
        .verbose(task.verbose);
    for path in &task.file {
        vm = vm.file(path)?;
    }
    let mut guest = vm.boot()?;
    let limit = task.timeout.map(Duration::from_secs);
    let status = if shell {
        guest.shell(limit)?
    } else {
        // Without a terminal and without a command, standard input is the script.
        let command = if task.command.is_empty() {
            "exec sh".to_owned()
        } else {
            task.command.join(" ")
        };
        guest.run_with_input(&command, &mut Pass, Some(limit.unwrap_or(COMMAND)))?
    };
    if task.kernel.is_debug() {
        guest.find_leaks()?;
    }
    Ok(status)
}

/// How long a command may take where nothing else is said.
const COMMAND: Duration = Duration::from_mins(10);
