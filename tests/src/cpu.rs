// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's CPUs.

use std::{fs, path::PathBuf};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// How many CPUs there may be, by ranges such as `0-3,8`.
pub fn cpus() -> u32 {
    let ranges = fs::read_to_string("/sys/devices/system/cpu/possible").expect("ranges");
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| -> u32 { text.parse().expect("a number") };
        number(last) - number(first) + 1
    };
    ranges.trim().split(',').map(count).sum()
}

/// Keeps the calling thread, and what it starts, on one CPU.
pub fn stay_on(cpu: u32) {
    let mut set = CpuSet::new();
    set.set(cpu as usize).expect("a CPU");
    sched_setaffinity(Pid::from_raw(0), &set).expect("that CPU");
}

/// A CPU that can be taken away; it is back when this is dropped.
#[derive(Debug)]
pub struct Removable {
    switch: PathBuf,
}

impl Removable {
    /// The second CPU, where the machine has one.
    pub fn second() -> Option<Self> {
        let switch = PathBuf::from("/sys/devices/system/cpu/cpu1/online");
        switch.exists().then_some(Self { switch })
    }

    /// Takes it away, or brings it back.
    pub fn set(&self, online: bool) {
        fs::write(&self.switch, if online { "1" } else { "0" }).expect("a switch");
    }
}

impl Drop for Removable {
    fn drop(&mut self) {
        let _ = fs::write(&self.switch, "1");
    }
}
