// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a Lua function's hook adds to a packet, against others that do the same.

use std::time::Instant;

use anyhow::{Context, Result};
use figures::{Record, Target, Unit};
use lunatik::State;

use super::GROUP;
use super::hook::{Hook, READS_PORT};
use crate::case::Report;
use crate::pair::Pair;
use crate::{command, netns, states};

/// The module whose hook does nothing, where `cargo xtask bench` puts it.
const EMPTY_HOOK: &str = "/files/lunatik_hook.ko";
const ROUNDS: usize = 7;
/// Packets of a batch.
const PACKETS: u32 = 2000;
/// What each of them carries.
const BYTES: usize = 64;
const RULE: &str = "nft rule that compares the port";
const RETURNS: &str = "function() end";

pub(super) fn measure(report: Report<'_>) -> Result<()> {
    command::run("insmod", &[EMPTY_HOOK])?;
    let measured = measure_with_module();
    // Its namespaces are gone, so nothing is in the way.
    command::run("rmmod", &["lunatik_hook"])?;
    let [bare, empty, nft, returns, reads] = measured?;
    let added = |with: Vec<f64>| -> Vec<f64> {
        let both = with.iter().zip(&bare);
        both.map(|(with, bare)| with - bare).collect()
    };
    let [empty, nft, returns, reads] = [empty, nft, returns, reads].map(added);
    let record = |case, samples| Record::new(GROUP, case, Unit::Time, samples);
    let mut against_nft = |case, samples, target| {
        report(
            record(case, samples)
                .against(RULE, nft.clone())
                .target(target),
        )
    };
    against_nft("added by a hook that does nothing", empty, None)?;
    against_nft(
        "added by a Lua hook that returns",
        returns,
        Some(Target::AtMost(1.5)),
    )?;
    against_nft(
        "added by a Lua hook that compares the port",
        reads,
        Some(Target::AtMost(4.0)),
    )?;
    report(record(RULE, nft).against("a packet, sent and received", bare))
}

fn measure_with_module() -> Result<[Vec<f64>; 5]> {
    let lua = |function| Hook::Lua {
        function,
        percpu: false,
    };
    let hooks = [
        Hook::None,
        Hook::Empty,
        Hook::Nft,
        lua(RETURNS),
        lua(READS_PORT),
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

/// Two sockets in a namespace of their own, and the hook there.
struct Link {
    pair: Pair,
    state: Option<State>,
}

impl Link {
    fn open(hook: Hook) -> Result<Self> {
        netns::with_loopback(move || {
            Ok(Self {
                pair: Pair::open(BYTES)?,
                state: hook.install()?,
            })
        })
    }

    /// What a packet takes, in nanoseconds.
    fn time(&self) -> Result<f64> {
        let time = states::undisturbed(self.state.as_ref(), || {
            let begin = Instant::now();
            for _ in 0..PACKETS {
                self.pair.pass()?;
            }
            Ok(begin.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS))
        })?;
        time.context("packets went by without the hook")
    }

    /// Makes sure that the hook was what was measured.
    fn close(self) -> Result<()> {
        let packets = u64::from(PACKETS) * (ROUNDS as u64 + 1);
        self.state
            .map_or(Ok(()), |state| states::check_calls(&state, packets))
    }
}
