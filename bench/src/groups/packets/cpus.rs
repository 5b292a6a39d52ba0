// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many more packets two CPUs get through a hook than one.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use figures::{Record, Target, Unit};
use lunatik::State;

use super::GROUP;
use super::hook::{Hook, READS_PORT};
use crate::case::Report;
use crate::worker::{self, Job, Worker};
use crate::{netns, states};

/// How long packets are sent at once: the longer, the likelier is it that this machine takes
/// away a CPU meanwhile.
const TIME: Duration = Duration::from_micros(1500);
/// How many rates count: the best, since what else the machine does can only take away.
const BEST: usize = 9;
/// By how much the best may differ when they are believed.
const SPREAD: f64 = 0.05;
/// What is twice.
const TWICE: f64 = 1.9;
/// After how many rounds they are looked at first, and at last.
const ROUNDS: [usize; 2] = [200, 3000];

/// Parses a packet and adds up what it carries, so that most of its time is the function's.
const READS_ALL: &str = "(function()
  local packet, DROP = require 'packet', require 'netfilter'.DROP
  local ip, udp = packet.ip, packet.udp
  return function(pkt)
    local from, header, sum = ip(pkt).saddr, udp(pkt), 0
    for at = header.payload, #pkt - 1 do sum = sum + pkt:u8(at) end
    if from == 0 or header.dport == 53 or sum == 0 then return DROP end
  end
end)()";

/// What is at the hook, and what of it.
const HOOKS: [(&str, Hook, Option<Target>); 5] = [
    (
        "percpu, hook that reads all bytes",
        lua(READS_ALL, true),
        Some(Target::AtLeast(1.8)),
    ),
    (
        "one replica, hook that reads all bytes",
        lua(READS_ALL, false),
        None,
    ),
    (
        "percpu, hook that compares the port",
        lua(READS_PORT, true),
        Some(Target::AtLeast(1.8)),
    ),
    (
        "one replica, hook that compares the port",
        lua(READS_PORT, false),
        None,
    ),
    ("no hook", Hook::None, None),
];

const fn lua(function: &'static str, percpu: bool) -> Hook {
    Hook::Lua { function, percpu }
}

/// A process on each CPU, in a namespace of theirs, and the hook there.
struct Lane {
    workers: [Worker; 2],
    state: Option<State>,
    /// Packets in a second on one CPU, and on both.
    rates: [Best; 2],
}

impl Lane {
    fn open(hook: Hook) -> Result<Self> {
        netns::with_loopback(move || {
            Ok(Self {
                state: hook.install()?,
                workers: [Worker::on(0, Job::Packet)?, Worker::on(1, Job::Packet)?],
                rates: Default::default(),
            })
        })
    }

    /// Measures packets in a second on some CPUs at once.
    fn measure(&mut self, cpus: Range<usize>) -> Result<()> {
        let workers = &mut self.workers[cpus.clone()];
        let rate = states::undisturbed(self.state.as_ref(), || worker::rate(workers, TIME))?;
        if let Some(rate) = rate {
            self.rates[cpus.len() - 1].add(rate);
        }
        Ok(())
    }

    /// Whether there were moments in which nothing else used the CPUs, as it seems. Without a hook
    /// nothing is in the way of two CPUs, so they are twice one then.
    fn is_believed(&self) -> bool {
        let [one, both] = &self.rates;
        one.agree() && both.agree() && (self.state.is_some() || both.0[0] >= TWICE * one.0[0])
    }
}

/// The highest rates so far.
#[derive(Default)]
struct Best(Vec<f64>);

impl Best {
    fn add(&mut self, rate: f64) {
        let at = self.0.partition_point(|better| *better > rate);
        self.0.insert(at, rate);
        self.0.truncate(BEST);
    }

    /// Whether they are as high as they get, as it seems.
    fn agree(&self) -> bool {
        let [first, .., last] = self.0[..] else {
            return false;
        };
        self.0.len() == BEST && last >= first * (1.0 - SPREAD)
    }
}

pub(super) fn measure(report: Report<'_>) -> Result<()> {
    let mut lanes = HOOKS
        .iter()
        .map(|(_, hook, _)| Lane::open(*hook))
        .collect::<Result<Vec<_>>>()?;
    let [first, last] = ROUNDS;
    let mut rounds = 0;
    while rounds < first || rounds < last && !lanes.iter().all(Lane::is_believed) {
        let cpu = rounds % 2;
        for lane in &mut lanes {
            lane.measure(cpu..cpu + 1)?;
            lane.measure(0..2)?;
        }
        rounds += 1;
    }
    let believed = lanes.iter().all(Lane::is_believed);
    for ((name, _, target), lane) in HOOKS.iter().zip(lanes) {
        if let Some(state) = &lane.state {
            states::check_calls(state, rounds as u64)?;
        }
        let [one, both] = lane.rates.map(|Best(rates)| rates);
        ensure!(
            !one.is_empty() && !both.is_empty(),
            "the CPUs have too much other work"
        );
        report(
            Record::new(GROUP, format!("{name}, 2 CPUs"), Unit::Rate, both)
                .against("1 CPU", one)
                .target(target.filter(|_| believed)),
        )?;
    }
    ensure!(
        believed,
        "what two CPUs give cannot be judged, for other work took them away all the time"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_agree_at_last() {
        let mut best = Best::default();
        for rate in 1..=20 {
            best.add(f64::from(rate * 10));
        }
        best.add(100.0);
        assert_eq!((best.0.len(), best.0[0], best.0[8]), (9, 200.0, 120.0));
        assert!(!best.agree());
        for _ in 0..8 {
            best.add(191.0);
            best.add(189.0);
        }
        assert!(best.agree(), "{:?}", best.0);
    }

    #[test]
    fn few_do_not_agree() {
        let mut best = Best::default();
        for _ in 0..BEST {
            assert!(!best.agree());
            best.add(1.0);
        }
        assert!(best.agree());
    }
}
