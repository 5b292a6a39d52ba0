// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of this machine other work takes, which makes times longer.

use std::fs;

use anyhow::{Context, Result};

/// Times since the machine was started, in ticks that are the same for all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ticks {
    /// Of all CPUs, idle or not.
    all: f64,
    busy: f64,
    /// Of this process and of the children that it has waited for.
    own: f64,
}

impl Ticks {
    pub(crate) fn now() -> Result<Self> {
        let machine = fs::read_to_string("/proc/stat")?;
        let own = fs::read_to_string("/proc/self/stat")?;
        Self::parse(&machine, &own).context("cannot make sense of /proc/stat and /proc/self/stat")
    }

    /// See proc(5): user, nice, system, idle, iowait, irq, softirq, steal of all CPUs; utime, stime, cutime,
    /// cstime as the fields 14 to 17, of which the second may hold anything up to its parenthesis.
    fn parse(machine: &str, own: &str) -> Option<Self> {
        let numbers = |text: &str, skip, take| -> Option<Vec<f64>> {
            let fields = text.split_whitespace().skip(skip).take(take);
            let numbers: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
            (numbers.len() == take).then_some(numbers)
        };
        let cpus = numbers(machine.lines().next()?.strip_prefix("cpu ")?, 0, 8)?;
        let own = numbers(own.rsplit_once(')')?.1, 11, 4)?;
        let all = cpus.iter().sum();
        Some(Self {
            all,
            busy: all - cpus[3] - cpus[4],
            own: own.iter().sum(),
        })
    }

    /// How many of `cpus` were busy with the work of others from then to `later`, on average.
    pub(crate) fn others(self, later: Self, cpus: u32) -> f64 {
        let all = later.all - self.all;
        let others = (later.busy - self.busy) - (later.own - self.own);
        if all > 0.0 {
            (others / all).max(0.0) * f64::from(cpus)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_of_others() {
        let own = |ticks: u32| format!("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 {ticks} 1 1 1 20 0\n");
        let before = Ticks::parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1\n", &own(7)).unwrap();
        assert_eq!(
            before,
            Ticks {
                all: 1000.0,
                busy: 150.0,
                own: 10.0
            }
        );
        // 200 ticks of two CPUs, of which 150 were busy, 50 for us.
        let later = Ticks::parse("cpu  200 0 100 850 50 0 0 0 0 0\n", &own(57)).unwrap();
        assert!((before.others(later, 2) - 1.0).abs() < 1e-9);
        assert!(before.others(before, 2).abs() < 1e-9);
        assert_eq!(Ticks::parse("cpu  1 2 3\n", &own(1)), None);
    }
}
