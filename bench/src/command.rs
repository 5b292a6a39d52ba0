// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that are run for what they do.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program; it is an error if it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}
