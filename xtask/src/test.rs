// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every test: those of this machine, then the integration tests in a VM of each kernel.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::guest::{Failure, Guest, Pass, Sink};
use crate::kernel::{Kernel, Version};
use crate::kmod::Module;
use crate::vm::Vm;
use crate::{artifacts, command, host};

/// How long one test program may take.
const LIMIT: Duration = Duration::from_mins(15);
/// Test programs of this prefix run after all others, one test at a time: they disturb the whole guest.
const SOLO: &str = "solo_";

/// Runs all tests whose name contains `filter`; the status is 1 if one failed.
pub(crate) fn run(kernels: &[Version], filter: Option<&str>) -> Result<i32> {
    host::ensure_tests(kernels)?;
    let mut tally = Tally::default();
    host_tests(filter, &mut tally).or_else(|error| tally.broken("host", &error))?;
    for &kernel in kernels {
        vm_tests(kernel, filter, &mut tally)
            .or_else(|error| tally.broken(&format!("Linux {kernel}"), &error))?;
    }
    for failure in &tally.failures {
        println!("failed: {failure}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    io::stdout().flush()?;
    Ok(i32::from(tally.failed > 0))
}

/// The tests that need no kernel.
fn host_tests(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    println!("=== host");
    let mut command = artifacts::cargo()?;
    // Its tests need the module.
    command
        .args([
            "test",
            "--workspace",
            "--exclude",
            "lunatik-tests",
            "--no-fail-fast",
        ])
        .args(filter);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut results = Results::default();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).split(b'\n') {
        results.output(&[&line?[..], b"\n"].concat())?;
    }
    tally.add("host", results, child.wait()?.code().unwrap_or(-1));
    Ok(())
}

/// The integration tests on one kernel.
fn vm_tests(version: Version, filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let kernel = Kernel::get(version)?;
    let programs = in_order(artifacts::tests()?);
    let mut installed: Vec<(String, PathBuf)> = Vec::new();
    for (folder, programs) in [("tests", &programs), ("examples", &artifacts::examples()?)] {
        let paths = programs.iter().cloned();
        installed.extend(paths.map(|(name, path)| (format!("/{folder}/{name}"), path)));
    }
    let mut guest = None;
    for (name, _) in &programs {
        let threads = if name.starts_with(SOLO) {
            "--test-threads=1"
        } else {
            ""
        };
        let filter = filter.map(command::quote).unwrap_or_default();
        let command = format!("RUST_BACKTRACE=1 exec /tests/{name} {threads} {filter}");
        let whole_name = format!("Linux {version}: {name}");
        println!("=== {whole_name}");
        let mut results = Results::default();
        let status = on(&mut guest, &kernel, &installed, |guest| {
            guest.run(&command, &mut results, Some(LIMIT))
        });
        match status {
            Ok(status) => tally.add(&whole_name, results, status),
            Err(error) => {
                tally.count(&whole_name, results);
                tally.broken(&whole_name, &error)?;
            }
        }
    }
    let mut last = |what: &str, work: &dyn Fn(&mut Guest) -> Result<i32>| -> Result<()> {
        let whole_name = format!("Linux {version}: {what}");
        println!("=== {whole_name}");
        match on(&mut guest, &kernel, &installed, work) {
            Ok(0) => tally.passed += 1,
            Ok(status) => tally.fail(format!("{whole_name}: status {status}")),
            Err(error) => tally.broken(&whole_name, &error)?,
        }
        Ok(())
    };
    let find_leaks = |guest: &mut Guest| guest.find_leaks().map(|()| 0);
    if version.is_debug() {
        // While the module is there, a report names the functions of it that asked for the memory.
        last("kmemleak", &find_leaks)?;
    }
    last("rmmod lunatik", &|guest| {
        guest.run("exec rmmod lunatik", &mut Pass, Some(LIMIT))
    })?;
    if version.is_debug() {
        last("kmemleak after rmmod", &find_leaks)?;
    }
    Ok(())
}

/// Does something in `guest`, which is booted first where there is none; one that did not survive is dropped.
fn on(
    guest: &mut Option<Guest>,
    kernel: &Kernel,
    installed: &[(String, PathBuf)],
    work: impl FnOnce(&mut Guest) -> Result<i32>,
) -> Result<i32> {
    let mut running = match guest.take() {
        Some(running) => running,
        None => boot(kernel, installed)?,
    };
    let result = work(&mut running);
    let survived = match &result {
        Ok(_) => true,
        Err(error) => matches!(error.downcast_ref(), Some(Failure::Complained(_))),
    };
    *guest = survived.then_some(running);
    result
}

/// Boots a guest with programs where `installed` says, the folder `examples` and the probe.
fn boot(kernel: &Kernel, installed: &[(String, PathBuf)]) -> Result<Guest> {
    let examples = host::workspace()?.join("examples");
    let mut vm = Vm::new(kernel)
        .smp(kernel.version.cpus(None, 2)?)
        .memory(kernel.version.test_memory())
        .traffic(true)
        .file(&examples)?
        .file(&kernel.build(Module::Probe)?)?;
    for (place, path) in installed {
        vm = vm.program(path, place);
    }
    vm.boot()
}

/// Those that disturb the guest come last.
fn in_order(mut programs: Vec<(String, PathBuf)>) -> Vec<(String, PathBuf)> {
    programs.sort_by_key(|(name, _)| (name.starts_with(SOLO), name.clone()));
    programs
}

/// The sum of all test programs.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    /// Adds a program that ended with `status`.
    fn add(&mut self, name: &str, results: Results, status: i32) {
        let failed = results.failed;
        let summaries = results.summaries;
        self.count(name, results);
        if summaries == 0 {
            self.fail(format!("{name}: no summary of tests, status {status}"));
        } else if status != 0 && failed == 0 {
            self.fail(format!("{name}: status {status}"));
        }
    }

    fn count(&mut self, name: &str, results: Results) {
        self.passed += results.passed;
        self.failed += results.failed;
        self.failures.extend(
            results
                .failures
                .into_iter()
                .map(|test| format!("{name}: {test}")),
        );
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Counts what could not be run to its end as one failure; an interruption ends everything.
    fn broken(&mut self, name: &str, error: &anyhow::Error) -> Result<()> {
        println!("{name}: {error:#}");
        let reason = error.to_string();
        self.fail(format!(
            "{name}: {}",
            reason
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end_matches(':')
        ));
        match error.downcast_ref() {
            Some(Failure::Interrupted) => Err(Failure::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

/// What test programs print, passed on and read on the way.
#[derive(Default)]
struct Results {
    line: Vec<u8>,
    passed: u64,
    failed: u64,
    /// How many programs have summed up.
    summaries: u64,
    /// The names of the tests that failed.
    failures: Vec<String>,
}

impl Results {
    /// Reads what a program printed, whole lines or not.
    fn feed(&mut self, data: &[u8]) {
        for &byte in data {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.read(&String::from_utf8_lossy(&line));
            } else {
                self.line.push(byte);
            }
        }
    }

    fn read(&mut self, line: &str) {
        if let Some((passed, failed)) = parse_summary(line) {
            self.passed += passed;
            self.failed += failed;
            self.summaries += 1;
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }
}

impl Sink for Results {
    fn output(&mut self, data: &[u8]) -> io::Result<()> {
        self.feed(data);
        let mut stdout = io::stdout().lock();
        stdout.write_all(data)?;
        stdout.flush()
    }

    fn error(&mut self, data: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(data)
    }
}

/// How many passed and failed, from `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn parse_summary(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some((count("passed")?, count("failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &[u8] = b"running 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn summaries() {
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        assert_eq!(parse_summary(ok), Some((12, 0)));
        assert_eq!(
            parse_summary("test result: FAILED. 1 passed; 2 failed; 0 ignored"),
            Some((1, 2))
        );
        assert_eq!(parse_summary("test a ... ok"), None);
    }

    #[test]
    fn output_in_pieces_is_counted_once() {
        let mut results = Results::default();
        for piece in OUTPUT.chunks(7) {
            results.feed(piece);
        }
        let mut tally = Tally::default();
        tally.add("x", results, 101);
        assert_eq!((tally.passed, tally.failed), (1, 1));
        assert_eq!(tally.failures, ["x: b::c"]);
    }

    #[test]
    fn programs_that_break_off_have_failed() {
        let mut tally = Tally::default();
        tally.add("silent", Results::default(), 0);
        tally.add(
            "killed",
            Results {
                summaries: 1,
                passed: 1,
                ..Results::default()
            },
            137,
        );
        assert_eq!((tally.passed, tally.failed), (1, 2));
    }

    #[test]
    fn solo_programs_come_last() {
        let programs = ["solo_a", "b", "a"]
            .map(|name| (name.to_owned(), PathBuf::new()))
            .to_vec();
        let names: Vec<String> = in_order(programs)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["a", "b", "solo_a"]);
    }
}
