// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tour: `examples/demo.sh`, run in a VM.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::guest::Pass;
use crate::host;
use crate::kernel::{Kernel, Version};
use crate::vm::Vm;

const LIMIT: Duration = Duration::from_mins(5);

/// Boots a VM and runs the tour in it, with all of the examples beside it.
pub(crate) fn run(version: Version) -> Result<i32> {
    let examples = host::workspace()?.join("examples");
    let tour = examples.join("demo.sh");
    ensure!(tour.exists(), "{} is missing", tour.display());
    host::ensure_vm(&[version])?;
    let kernel = Kernel::get(version)?;
    let mut guest = Vm::new(&kernel)
        .smp(version.cpus(None, 2)?)
        .file(&examples)?
        .boot()?;
    let status = guest.run(
        "cd /files/examples && exec sh demo.sh",
        &mut Pass,
        Some(LIMIT),
    )?;
    if version.is_debug() {
        guest.find_leaks()?;
    }
    Ok(status)
}
