// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest runs on: a process of QEMU, or one that is the kernel itself.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::host;

/// What to boot.
pub(crate) struct Machine<'a> {
    pub(crate) image: &'a Path,
    pub(crate) initramfs: &'a Path,
    pub(crate) smp: u32,
    /// In MiB.
    pub(crate) memory: u32,
    pub(crate) pace: Pace,
}

/// What makes the guest and its clock go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Emulation, which runs everywhere
    Emulated,
    /// Emulation of one CPU, whose clock counts its instructions, one a nanosecond
    Counted,
    /// KVM, which may be there and not work
    Hardware,
}

/// Our ends of the lines to the guest.
pub(crate) struct Ports {
    pub(crate) frames: UnixStream,
    /// How much may be on its way to the guest that it has not read, in bytes.
    pub(crate) room: usize,
    pub(crate) log: File,
}

/// The running machine, killed with all that it started when this is dropped, and also when we die.
pub(crate) struct Process(Child);

impl Process {
    /// A command that dies with the thread that spawns it, which is to be the main one.
    pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = host::tool("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command
    }

    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        // Its own process group: Ctrl-C is for us to handle.
        let child = command.process_group(0).spawn();
        Ok(Self(child.context("cannot run setpriv")?))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// What every kernel is told.
pub(crate) fn kernel_parameters() -> Vec<String> {
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned());
    vec![
        format!("rdinit={}", crate::init::INIT),
        format!("TERM={terminal}"),
        // The log is read up to a mark that init writes, so nothing may be held back.
        "ignore_loglevel".to_owned(),
        "printk.devkmsg=on".to_owned(),
        // The guest ends where it cannot go on.
        "panic=-1".to_owned(),
    ]
}
