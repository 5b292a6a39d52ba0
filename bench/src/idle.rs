// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work that the kernel does later and elsewhere: how long the CPU was busy until nothing was left to be done.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long the kernel may take with what it does later.
const REST: Duration = Duration::from_millis(500);

/// How long the CPU is looked at, and how much of that it is idle when nothing is left to be done.
const LOOK: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(45);
/// How long it may take until then.
const LONGEST: Duration = Duration::from_mins(3);

/// Waits until the kernel has done what earlier work left to be done later, such as the end of namespaces.
pub(crate) fn settle() -> Result<()> {
    let start = Instant::now();
    loop {
        let before = idle()?;
        thread::sleep(LOOK);
        if idle()?.saturating_sub(before) >= IDLE {
            return Ok(());
        }
        ensure!(
            start.elapsed() < LONGEST,
            "the machine does not come to rest"
        );
    }
}

/// How long the CPU was busy with `work` and with what came of it, on a machine with one CPU.
pub(crate) fn busy(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let (start, idle) = (Instant::now(), idle()?);
    work()?;
    thread::sleep(REST);
    let elapsed = start.elapsed();
    Ok(elapsed.saturating_sub(self::idle()?.saturating_sub(idle)))
}

/// How long the first CPU has been idle, to the nanosecond, unlike in `/proc/stat`.
fn idle() -> Result<Duration> {
    let text = fs::read_to_string("/proc/timer_list")?;
    parse(&text).context("no idle_sleeptime in /proc/timer_list")
}

fn parse(text: &str) -> Option<Duration> {
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(".idle_sleeptime"))?;
    let (_, value) = line.split_once(':')?;
    let nanoseconds = value.trim().strip_suffix("nsecs")?.trim().parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpu_is_read() {
        let text = "cpu: 0\n  .idle_active    : 1\n  .idle_sleeptime : 123456 nsecs\n\
                    cpu: 1\n  .idle_sleeptime : 9 nsecs\n";
        assert_eq!(parse(text), Some(Duration::from_nanos(123_456)));
        assert_eq!(parse("cpu: 0\n"), None);
    }
}
