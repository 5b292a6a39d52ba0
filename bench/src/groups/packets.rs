// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a packet costs more because of a hook: a Lua function's against others that do the same.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use figures::{Machine, Record, Target, Unit};
use lunatik::{Session, State};
use nix::sched::{CloneFlags, unshare};

use crate::case::{Case, Report};
use crate::pair::Pair;
use crate::states;
use crate::worker::{Job, Worker};

const GROUP: &str = "packets";
/// The module whose hook does nothing, where `cargo xtask bench` puts it.
const EMPTY_HOOK: &str = "/files/lunatik_hook.ko";
const ROUNDS: usize = 7;
/// Packets of a batch.
const PACKETS: u32 = 2000;
const RULE: &str = "nft rule that compares the port";

/// One compare of a port, of which there are no packets.
const NFT: &str = "table ip t {
  chain c {
    type filter hook input priority 0
    udp dport 53 drop
  }
}";
const RETURNS: &str = "function() end";
const READS_PORT: &str =
    "function(pkt) if pkt:u16(22) == 53 then return require 'netfilter'.DROP end end";

pub(crate) fn cases() -> Vec<Case> {
    // One case, since a cost that is added takes two measurements. A clock is not exact enough for their difference.
    vec![
        Case::other(GROUP, "netfilter", measure).on(&[Machine::Counted]),
        Case::other(GROUP, "2 CPUs", measure_cpus).on(&[Machine::Pair]),
    ]
}

/// What is at the hook.
#[derive(Clone, Copy)]
enum Hook {
    None,
    Empty,
    Nft,
    Lua(&'static str),
    /// With a replica for each CPU
    Percpu(&'static str),
}

fn measure(report: Report<'_>) -> Result<()> {
    run("insmod", &[EMPTY_HOOK])?;
    let measured = measure_with_module();
    // Its namespaces are gone, so nothing is in the way.
    run("rmmod", &["lunatik_hook"])?;
    let [bare, empty, nft, returns, reads] = measured?;
    let added = |with: &[f64]| -> Vec<f64> {
        with.iter()
            .zip(&bare)
            .map(|(with, bare)| with - bare)
            .collect()
    };
    let (empty, nft) = (added(&empty), added(&nft));
    let (returns, reads) = (added(&returns), added(&reads));
    let mut tell = |case: &str, against: &str, samples: &[f64], baseline: &[f64], target| {
        report(Record {
            group: GROUP.to_owned(),
            case: case.to_owned(),
            against: Some(against.to_owned()),
            unit: Unit::Time,
            target,
            samples: samples.to_vec(),
            baseline: baseline.to_vec(),
        })
    };
    tell(
        "added by a hook that does nothing",
        RULE,
        &empty,
        &nft,
        None,
    )?;
    tell(
        "added by a Lua hook that returns",
        RULE,
        &returns,
        &nft,
        Some(Target::AtMost(1.5)),
    )?;
    tell(
        "added by a Lua hook that compares the port",
        RULE,
        &reads,
        &nft,
        Some(Target::AtMost(4.0)),
    )?;
    tell(RULE, "a packet, sent and received", &nft, &bare, None)
}

fn measure_with_module() -> Result<[Vec<f64>; 5]> {
    let hooks = [
        Hook::None,
        Hook::Empty,
        Hook::Nft,
        Hook::Lua(RETURNS),
        Hook::Lua(READS_PORT),
    ];
    let mut times: [Vec<f64>; 5] = Default::default();
    let links = hooks.map(Link::open);
    let mut open = Vec::new();
    for link in links {
        open.push(link?);
    }
    for link in &open {
        // To warm up.
        link.time()?;
    }
    for _ in 0..ROUNDS {
        for (link, times) in open.iter().zip(&mut times) {
            times.push(link.time()?);
        }
    }
    for link in open {
        link.close()?;
    }
    Ok(times)
}

/// Calls in a new namespace, which is the thread's, then its sockets' and its children's.
fn in_namespace<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        run("ip", &["link", "set", "lo", "up"])?;
        call()
    })
    .join()
    .map_err(|_| anyhow!("a thread panicked"))?
}

/// Two sockets in a namespace of their own, and the hook there.
struct Link {
    pair: Pair,
    state: Option<State>,
}

impl Link {
    fn open(hook: Hook) -> Result<Self> {
        in_namespace(move || {
            Ok(Self {
                pair: Pair::open()?,
                state: hook.install()?,
            })
        })
    }

    /// What a packet takes, in nanoseconds.
    fn time(&self) -> Result<f64> {
        let begin = Instant::now();
        for _ in 0..PACKETS {
            self.pair.pass()?;
        }
        Ok(begin.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS))
    }

    /// Makes sure that the hook was what was measured.
    fn close(self) -> Result<()> {
        let packets = u64::from(PACKETS) * (ROUNDS as u64 + 1);
        self.state.map_or(Ok(()), |state| check(&state, packets))
    }
}

/// Whether the hook of a state was called for so many packets.
fn check(state: &State, packets: u64) -> Result<()> {
    let hooks = state.description()?.hooks;
    let [hook] = &hooks[..] else {
        return Err(anyhow!("{} hooks", hooks.len()));
    };
    ensure!(
        hook.calls >= packets && hook.errors == 0 && hook.missed == 0,
        "the hook was not called for each packet: {hook:?}"
    );
    Ok(())
}

/// How long packets are sent, by the clock.
const TIME: Duration = Duration::from_millis(20);
const CPU_ROUNDS: usize = 100;
/// How many of them count: the best, since what else the machine does can only take away.
const BEST: usize = 15;

/// A process on each CPU, in a namespace of theirs, and the hook there.
struct Lane {
    workers: [Worker; 2],
    state: Option<State>,
    /// Packets so far.
    packets: f64,
    /// Packets in a second on one CPU, and on both.
    rates: [Vec<f64>; 2],
}

impl Lane {
    fn open(hook: Hook) -> Result<Self> {
        in_namespace(move || {
            Ok(Self {
                state: hook.install()?,
                workers: [Worker::on(0, Job::Packet)?, Worker::on(1, Job::Packet)?],
                packets: 0.0,
                rates: Default::default(),
            })
        })
    }

    /// Packets in a second on some CPUs at once.
    fn rate(&mut self, cpus: std::ops::Range<usize>) -> Result<f64> {
        let mut sum = 0.0;
        for worker in &mut self.workers[cpus.clone()] {
            worker.tell(TIME.as_millis())?;
        }
        for worker in &mut self.workers[cpus] {
            sum += worker.answer()?.parse::<f64>()?;
        }
        self.packets += sum;
        thread::sleep(Duration::from_millis(2));
        Ok(sum / TIME.as_secs_f64())
    }
}

fn best(mut rates: Vec<f64>) -> Vec<f64> {
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.truncate(BEST);
    rates
}

fn measure_cpus(report: Report<'_>) -> Result<()> {
    let hooks = [
        ("percpu hook", Hook::Percpu(READS_PORT)),
        ("hook without percpu", Hook::Lua(READS_PORT)),
        ("no hook", Hook::None),
    ];
    let mut lanes = hooks
        .iter()
        .map(|(_, hook)| Lane::open(*hook))
        .collect::<Result<Vec<_>>>()?;
    // The first round is to warm up.
    for round in 0..=CPU_ROUNDS {
        for lane in &mut lanes {
            let cpu = round % 2;
            let rates = [lane.rate(cpu..cpu + 1)?, lane.rate(0..2)?];
            if round > 0 {
                for (all, rate) in lane.rates.iter_mut().zip(rates) {
                    all.push(rate);
                }
            }
        }
    }
    for lane in &lanes {
        if let Some(state) = &lane.state {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count"
            )]
            check(state, lane.packets as u64)?;
        }
    }
    let rates = lanes.into_iter().map(|lane| lane.rates.map(best));
    let rates: Vec<[Vec<f64>; 2]> = rates.collect();
    let mut tell = |name: &str, against: &str, samples: &[f64], baseline: &[f64], target| {
        report(Record {
            group: GROUP.to_owned(),
            case: format!("{name}, packets on 2 CPUs"),
            against: Some(against.to_owned()),
            unit: Unit::Rate,
            target,
            samples: samples.to_vec(),
            baseline: baseline.to_vec(),
        })
    };
    for ((name, _), [one, both]) in hooks.iter().zip(&rates) {
        tell(name, "1 CPU", both, one, None)?;
    }
    // Where two CPUs are not twice one, though nothing is between them, a hook is not the reason.
    let [[one, both], _, [bare, bare_both]] = &rates[..] else {
        bail!("not every hook was measured");
    };
    let machine = median(bare_both) / median(bare) / 2.0;
    let fair: Vec<f64> = one.iter().map(|rate| rate * machine).collect();
    tell(
        hooks[0].0,
        "1 CPU, scaled by no hook",
        both,
        &fair,
        Some(Target::AtLeast(1.8)),
    )
}

/// Of sorted samples.
fn median(samples: &[f64]) -> f64 {
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Hook {
    fn install(self) -> Result<Option<State>> {
        match self {
            Self::None => {}
            Self::Empty => fs::write("/proc/lunatik_hook", "1")?,
            Self::Nft => run("nft", &[NFT])?,
            Self::Lua(function) | Self::Percpu(function) => {
                let session = Session::open()?;
                // A machine that has other work to do may take its time.
                let timeout = session.info()?.max_softirq_timeout;
                let state = session
                    .new_state(&states::name())
                    .timeout(timeout)
                    .ephemeral(true)
                    .context(lunatik::Context::Softirq)
                    .percpu(matches!(self, Self::Percpu(_)))
                    .create()?;
                state.do_string(format!(
                    "require 'netfilter'.register{{family = 'ipv4', hook = 'input', {function}}}"
                ))?;
                return Ok(Some(state));
            }
        }
        Ok(None)
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}
