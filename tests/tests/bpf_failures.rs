// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions for XDP and TC that fail for each packet, and states that are closed, under
//! traffic: our programs pass what they have no verdict for.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use lunatik::{Context, Hook, State};
use lunatik_tests::{
    Datagrams, Family, Netns, Network, Over, SOON, Transfer, bpf::kfuncs, by_kernel, eventually,
    integer, lua, undisturbed,
};

/// Where a function is asked: the command, and what it takes besides.
const WAYS: [(&str, &[&str]); 4] = [
    ("xdp", &["--mode", "native"]),
    ("xdp", &["--mode", "generic"]),
    ("tc", &["ingress"]),
    ("tc", &["egress"]),
];

/// What a function does to each packet, and what the log has of it.
const FAILURES: [(&str, &str); 5] = [
    ("error('no')", "no"),
    ("while true do end", "deadline"),
    (
        "local s = 'x' while true do s = s .. s end",
        "not enough memory",
    ),
    (
        "local function f() return string.gsub('x', 'x', f) end f()",
        "overflow",
    ),
    ("return 'drop'", "not a verdict"),
];

/// A state whose functions for XDP and TC are `body`.
fn state(netns: &Netns, body: &str) -> State {
    let session = netns.session();
    let new = session.new_state("fw").context(Context::Softirq);
    // What a slow machine needs for an error and its traceback.
    let limit = by_kernel(Duration::from_millis(20), Duration::from_millis(100));
    let state = new.timeout(limit).create().expect("a state");
    lua(
        &state,
        &format!(
            "local function f(pkt) {body} end
             require 'xdp'.register(f)
             require 'tc'.register(f)"
        ),
    );
    state
}

/// The one of its hooks that was called.
fn hook(state: &State, kind: &str) -> Hook {
    let hooks = state.description().expect("a description").hooks;
    let mut hooks = hooks
        .into_iter()
        .filter(|hook| hook.kind.to_string() == kind);
    hooks.next().expect("a hook")
}

#[test]
fn failures_under_traffic() {
    const COUNT: u32 = 10;
    if !kfuncs() {
        return;
    }
    undisturbed(|| {
        let network = Network::direct();
        let netns = &network.server.netns;
        for (kind, more) in WAYS {
            for (body, in_log) in FAILURES {
                let what = format!("{kind} {more:?}: {body}");
                let state = state(netns, body);
                let attach = [&[kind, "attach", "fw", "--dev", "eth0"], more].concat();
                netns.ctl(&attach).success();
                for family in Family::ALL {
                    let to = network.server.address(family);
                    let before = hook(&state, kind);
                    let mut sent = 0;
                    // Those that take all their time have their share of the CPU.
                    eventually("some fail", || {
                        let replies = network.client.ping_slowly(to, COUNT, 3 * SOON);
                        assert_eq!(replies, COUNT, "{what}, {family:?}");
                        sent += u64::from(COUNT);
                        hook(&state, kind).errors > before.errors + 2
                    });
                    let after = hook(&state, kind);
                    assert_eq!(after.calls, after.errors, "{what}: {after:?}");
                    let (failed, missed) =
                        (after.errors - before.errors, after.missed - before.missed);
                    assert!(failed + missed >= sent, "{what}: {after:?}");
                    let killed = after.deadline_kills > 0;
                    assert_eq!(killed, in_log == "deadline", "{what}: {after:?}");
                }
                let lines = state.log(None).expect("a log").lines;
                let last = String::from_utf8_lossy(&lines.last().expect("a line").text);
                assert!(last.contains(in_log), "{what}: {last}");
                assert_eq!(integer(&state, "return 6 * 7"), 42, "{what}");
                netns.ctl(&[kind, "detach", "--dev", "eth0"]).success();
                state.close().expect("closes");
            }
        }
    });
}

/// States come and go behind programs that stay, and programs before states that stay.
#[test]
fn states_and_programs_come_and_go_under_traffic() {
    const ROUNDS: u64 = 8;
    if !kfuncs() {
        return;
    }
    undisturbed(|| {
        for (kind, more) in WAYS {
            let network = Network::direct();
            let netns = &network.server.netns;
            let attach = [&[kind, "attach", "fw", "--dev", "eth0"], more].concat();
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let end = Over(&over);
                let senders = Family::ALL.map(|family| {
                    let (network, over) = (&network, &over);
                    scope.spawn(move || {
                        let transfer = Transfer {
                            family,
                            bytes: 1 << 17,
                            count: kind == "tc",
                            ..Transfer::default()
                        };
                        let mut bytes = 0;
                        while !over.load(Relaxed) {
                            bytes += network.tcp(&transfer).expect("arrives").bytes;
                            let udp = network.udp(&transfer, Datagrams::Segmented(1400));
                            let udp = udp.expect("arrives");
                            // A device that gets another XDP program loses some.
                            assert_eq!(udp.lost, 0, "{kind}, {family:?}: {udp}");
                            bytes += udp.bytes;
                        }
                        bytes
                    })
                });
                for round in 0..ROUNDS {
                    let state = state(netns, "n = (n or 0) + pkt:u8(0) + #pkt");
                    netns.ctl(&attach).success();
                    thread::sleep(Duration::from_millis(3 * round));
                    if round % 2 == 0 {
                        state.close().expect("closes");
                        netns.ctl(&[kind, "detach", "--dev", "eth0"]).success();
                    } else {
                        netns.ctl(&[kind, "detach", "--dev", "eth0"]).success();
                        state.close().expect("closes");
                    }
                }
                drop(end);
                for sender in senders {
                    assert!(sender.join().expect("all arrives") > 0);
                }
            });
        }
    });
}
