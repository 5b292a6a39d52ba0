// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a packet costs more because of a hook: a Lua function's against others that do the same.

use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use figures::{Machine, Record, Target, Unit};
use lunatik::{Session, State};
use nix::sched::{CloneFlags, unshare};

use crate::case::{Case, Report};
use crate::states;

const GROUP: &str = "packets";
/// The module whose hook does nothing, where `cargo xtask bench` puts it.
const EMPTY_HOOK: &str = "/files/lunatik_hook.ko";
const ROUNDS: usize = 7;
/// Packets of a batch.
const PACKETS: u32 = 2000;
const RULE: &str = "nft rule that compares the port";
const PAYLOAD: [u8; 64] = [b'x'; 64];

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
    vec![Case::other(GROUP, "netfilter", measure).on(&[Machine::Counted])]
}

/// What is at the hook.
#[derive(Clone, Copy)]
enum Hook {
    None,
    Empty,
    Nft,
    Lua(&'static str),
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

/// Two sockets that talk over the loopback device of a namespace of their own.
struct Link {
    from: UdpSocket,
    to: UdpSocket,
    state: Option<State>,
}

impl Link {
    fn open(hook: Hook) -> Result<Self> {
        // The namespace is the thread's, and then its sockets'.
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            run("ip", &["link", "set", "lo", "up"])?;
            let to = UdpSocket::bind("127.0.0.1:0")?;
            let from = UdpSocket::bind("127.0.0.1:0")?;
            from.connect(to.local_addr()?)?;
            let state = hook.install()?;
            Ok(Self { from, to, state })
        })
        .join()
        .map_err(|_| anyhow!("a thread panicked"))?
    }

    /// What a packet takes, in nanoseconds.
    fn time(&self) -> Result<f64> {
        let mut buffer = [0; PAYLOAD.len() + 1];
        let begin = Instant::now();
        for _ in 0..PACKETS {
            self.from.send(&PAYLOAD)?;
            ensure!(
                self.to.recv(&mut buffer)? == PAYLOAD.len(),
                "another packet"
            );
        }
        Ok(begin.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS))
    }

    /// Makes sure that the hook was what was measured.
    fn close(self) -> Result<()> {
        let Some(state) = self.state else {
            return Ok(());
        };
        let hooks = state.description()?.hooks;
        let [hook] = &hooks[..] else {
            return Err(anyhow!("{} hooks", hooks.len()));
        };
        let packets = u64::from(PACKETS) * (ROUNDS as u64 + 1);
        ensure!(
            hook.calls >= packets && hook.errors == 0 && hook.missed == 0,
            "the hook was not called for each packet: {hook:?}"
        );
        Ok(())
    }
}

impl Hook {
    fn install(self) -> Result<Option<State>> {
        match self {
            Self::None => {}
            Self::Empty => fs::write("/proc/lunatik_hook", "1")?,
            Self::Nft => run("nft", &[NFT])?,
            Self::Lua(function) => {
                let state = Session::open()?
                    .new_state(&states::name())
                    .ephemeral(true)
                    .context(lunatik::Context::Softirq)
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
