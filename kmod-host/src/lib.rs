// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module computes without the kernel, built for user space under sanitizers. The sources are those
//! that Kbuild gets, unmodified; `include/` stands in for the kernel's headers. Each program of `programs/`
//! has named cases.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

/// A test program.
pub struct Program {
    /// Its source's name, without the suffix.
    pub name: String,
    path: PathBuf,
}

impl Program {
    /// The names of its cases.
    pub fn cases(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.path).arg("--list").output()?;
        ensure!(
            output.status.success(),
            "{} --list: {}",
            self.name,
            output.status
        );
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Runs one case; the error is all that it printed.
    pub fn run(&self, case: &str) -> Result<()> {
        let output = Command::new(&self.path)
            .arg(case)
            .current_dir(home())
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            output.status.success(),
            "{} {case}: {}\n{}{}",
            self.path.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the programs in `folder`, or what has changed of them.
pub fn build(folder: &Path) -> Result<Vec<Program>> {
    let (sources, output) = (folder.join("sources"), folder.join("output"));
    fs::create_dir_all(&output)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    staging::stage(&sources)?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let make = Command::new("make")
        .arg("--silent")
        .arg(format!("-j{jobs}"))
        .arg("-C")
        .arg(&output)
        .arg("-f")
        .arg(home().join("Makefile"))
        .arg(format!("src={}", sources.display()))
        .arg(format!("host={}", home().display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("cannot run make")?;
    ensure!(
        make.status.success(),
        "make: {}\n{}{}",
        make.status,
        String::from_utf8_lossy(&make.stdout),
        String::from_utf8_lossy(&make.stderr)
    );
    let list = fs::read_to_string(output.join("list"))?;
    Ok(list
        .split_whitespace()
        .map(|name| Program {
            name: name.to_owned(),
            path: output.join(name),
        })
        .collect())
}
