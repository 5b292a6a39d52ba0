// SPDX-License-Identifier: MIT OR Apache-2.0
//! A span of time in which several processes work at once.

use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use nix::time::{ClockId, clock_gettime};

use crate::case::Operation;

/// Begin and end by the clock that all processes share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    begin: Duration,
    end: Duration,
}

impl Window {
    /// One of that length, which begins when processes that are told of it now are ready.
    pub(crate) fn soon(length: Duration) -> Result<Self> {
        const READY: Duration = Duration::from_millis(2);
        let begin = now()? + READY;
        Ok(Self {
            begin,
            end: begin + length,
        })
    }

    /// Waits for it, and gives how often in a second there is an operation.
    ///
    /// A process that comes late is no faster for it.
    pub(crate) fn rate(self, operation: &mut Operation) -> Result<f64> {
        // Whoever sleeps does not wake up on time.
        const WAKE: Duration = Duration::from_micros(300);
        thread::sleep(self.begin.saturating_sub(now()? + WAKE));
        while now()? < self.begin {}
        let mut count = 0.0;
        loop {
            operation(1)?;
            count += 1.0;
            let now = now()?;
            if now >= self.end {
                return Ok(count / now.saturating_sub(self.begin).as_secs_f64());
            }
        }
    }
}

fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.begin.as_nanos(), self.end.as_nanos())
    }
}

impl FromStr for Window {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (begin, end) = text.split_once(' ').context("a window has two moments")?;
        let [begin, end] = [begin.parse()?, end.parse()?].map(Duration::from_nanos);
        ensure!(begin < end, "a window ends after it begins");
        Ok(Self { begin, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::each;

    #[test]
    fn it_is_the_same_for_who_is_told() {
        let window = Window::soon(Duration::from_millis(5)).unwrap();
        assert_eq!(window.to_string().parse::<Window>().unwrap(), window);
        assert!("1".parse::<Window>().is_err());
        assert!("2 1".parse::<Window>().is_err());
    }

    #[test]
    fn who_comes_late_is_slower() {
        let window = Window::soon(Duration::from_millis(20)).unwrap();
        thread::sleep(Duration::from_millis(50));
        let rate = window.rate(&mut each(|| Ok(()))).unwrap();
        assert!(rate < 1.0 / 0.048, "{rate}");
    }
}
