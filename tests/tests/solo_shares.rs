// SPDX-License-Identifier: MIT OR Apache-2.0
//! What waits for a state's script on another CPU, or lets packets wait for one, takes its
//! own CPU's time, of which a namespace has no more than its share.

use std::{
    fs,
    hint::black_box,
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{ErrorKind, State};
use lunatik_tests::{Netns, cpus, eventually, integer, lua, refused, stay_on, tell};

/// Three, so that a packet could wait for each.
const HOOKS: &str = "for _ = 1, 3 do
       require 'netfilter'.register{family = 'ipv4', hook = 'output', function() end}
     end";

/// Runs scripts without an end on the CPU 1 meanwhile, each as long as it may.
fn beside_endless_requests<T>(state: &State, body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            stay_on(1);
            while !over.load(Relaxed) {
                refused(state.do_string("while true do end"), ErrorKind::Deadline);
            }
        });
        let result = body();
        over.store(true, Relaxed);
        result
    })
}

fn several_cpus() -> bool {
    if cpus() == 1 {
        tell!("skipped: with one CPU nothing waits for another");
    }
    cpus() > 1
}

#[test]
fn packets_that_wait_use_up_their_namespaces_share() {
    if !several_cpus() {
        return;
    }
    stay_on(0);
    let netns = Netns::to_nobody();
    let state = netns.filter("a");
    lua(&state, HOOKS);
    let socket = netns.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let mut sent = 0;
    beside_endless_requests(&state, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            socket.send_to(b"data", "10.9.0.2:9").expect("sends");
            sent += 1;
        }
    });
    let hooks = state.description().expect("a description").hooks;
    let missed: u64 = hooks.iter().map(|hook| hook.missed).sum();
    tell!("{missed} missed, of {sent} packets in three hooks");
    // Few wait in vain for a CPU that stands still. All that come after one that waited
    // for 100 ms are missed for a while.
    assert!(missed > 100, "{missed} of {sent}");
}

#[test]
fn requests_that_packets_wait_for_have_three_quarters_of_a_cpu() {
    stay_on(0);
    let netns = Netns::to_nobody();
    let state = netns.filter("a");
    lua(&state, HOOKS);
    let ran = || state.description().expect("a description").run_time;
    let (start, before) = (Instant::now(), ran());
    while start.elapsed() < Duration::from_secs(3) {
        refused(state.do_string("while true do end"), ErrorKind::Deadline);
    }
    let took = start.elapsed();
    let ran = ran().checked_sub(before).expect("it only grows");
    tell!("requests ran for {ran:?} of {took:?}");
    assert!(
        ran <= took * 3 / 4 + Duration::from_millis(200),
        "{ran:?} of {took:?}"
    );
    // Who has waited for its turn too long is told, and others go on.
    lua(&state, "return 1");
}

/// What the CPU 0 did so far: in softirqs, and in all, in ticks.
fn ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").expect("figures");
    let line = text.lines().find(|line| line.starts_with("cpu0 "));
    let figures: Vec<u64> = line
        .expect("a CPU")
        .split_whitespace()
        .skip(1)
        .map(|figure| figure.parse().expect("a number"))
        .collect();
    // Guests' ticks, the last two, are users'.
    (figures[6], figures[..8].iter().sum())
}

#[test]
fn timers_do_not_wait_long_for_another_cpu() {
    if !several_cpus() {
        return;
    }
    stay_on(0);
    let netns = Netns::new();
    let state = netns.filter("a");
    lua(
        &state,
        "n = 0
         for _ = 1, 20 do require 'lunatik'.every(1, function() n = n + 1 end) end",
    );
    let (softirqs, all) = beside_endless_requests(&state, || {
        let (before, start) = (ticks(), Instant::now());
        while start.elapsed() < Duration::from_secs(2) {
            black_box(0);
        }
        let after = ticks();
        (after.0 - before.0, after.1 - before.1)
    });
    tell!("{softirqs} of {all} ticks in softirqs");
    assert!(all > 20 && softirqs < all / 2, "{softirqs} of {all}");
    eventually("they come", || integer(&state, "return n") > 100);
}

/// The function of a hook is soon done, but many are told.
#[test]
fn what_hooks_send_takes_their_namespaces_share() {
    const SUBSCRIBERS: usize = 300;
    stay_on(0);
    let netns = Netns::to_nobody();
    let state = netns.filter("a");
    lua(
        &state,
        "lunatik = require 'lunatik'
         require 'netfilter'.register{family = 'ipv4', hook = 'output', function()
           lunatik.send('x')
         end}",
    );
    let socket = netns.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let flood = || {
        let before = state.description().expect("a description").hooks[0].missed;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            socket.send_to(b"data", "10.9.0.2:9").expect("sends");
        }
        state.description().expect("a description").hooks[0].missed - before
    };
    let alone = flood();
    let _subscriptions: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| netns.session().state("a").subscribe().expect("subscribes"))
        .collect();
    let told = flood();
    tell!("{alone} missed without subscribers, {told} with {SUBSCRIBERS}");
    assert!(told > 100, "{told} missed");
}
