// SPDX-License-Identifier: MIT OR Apache-2.0
//! Speed and memory, measured in VMs by the program of `bench/`.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::guest::Pass;
use crate::kernel::{Kernel, Version};
use crate::kmod::{self, Module};
use crate::vm::Vm;
use crate::{artifacts, host};

const LIMIT: Duration = Duration::from_mins(10);
const PROGRAM: &str = "/usr/bin/lunatik-bench";

/// Measures calls and the time limit by counted instructions, then many states by the clock; the status
/// is the highest of them, and 1 says that a target was missed.
pub(crate) fn run(version: Version) -> Result<i32> {
    ensure!(
        !version.is_debug(),
        "what the debug kernel takes tells nothing: its checkers are most of it"
    );
    host::ensure_vm(&[version])?;
    let kernel = Kernel::get(version)?;
    let program = artifacts::bench()?;
    let vm = || Vm::new(&kernel).program(&program, PROGRAM);
    let calls = part(vm().count_instructions(), "calls")?;
    println!();
    let untimed = kmod::build(&kernel.headers(), Module::Untimed)?;
    let limit = part(vm().file(&untimed)?.count_instructions(), "limit")?;
    println!();
    let scale = part(vm(), "scale")?;
    Ok(calls.max(limit).max(scale))
}

fn part(vm: Vm<'_>, part: &str) -> Result<i32> {
    let mut guest = vm.boot()?;
    guest.run(&format!("exec {PROGRAM} {part}"), &mut Pass, Some(LIMIT))
}
