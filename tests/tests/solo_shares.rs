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
use lunatik_tests::{Netns, SOON, cpus, eventually, integer, lua, refused, stay_on, tell};

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

/// How long the calling thread has run, in ticks of which a second has a hundred.
fn own_ticks() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/stat").expect("figures");
    // The name, in parentheses, comes second.
    let (_, figures) = text.rsplit_once(')').expect("a name");
    let figures: Vec<&str> = figures.split_whitespace().collect();
    let number = |at: usize| figures[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

/// The function of a hook is soon done, but many are told, and that takes long.
#[test]
fn what_hooks_send_leaves_the_cpu_to_others() {
    const SUBSCRIBERS: usize = 500;
    let netns = Netns::to_nobody();
    let states: Vec<State> = ["a", "b", "c"].map(|name| netns.filter(name)).into();
    for state in &states {
        lua(
            state,
            "lunatik = require 'lunatik'
             require 'netfilter'.register{family = 'ipv4', hook = 'output', function()
               for i = 1, 20 do lunatik.send('x') end
             end}",
        );
    }
    let subscriptions: Vec<_> = (0..SUBSCRIBERS)
        .map(|n| {
            let state = netns.session().state(states[n % 3].name().expect("a name"));
            state.subscribe().expect("subscribes")
        })
        .collect();
    let socket = netns.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let over = AtomicBool::new(false);
    let (ran, took) = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                socket.send_to(b"data", "10.9.0.2:9").expect("sends");
                thread::sleep(Duration::from_millis(1));
            }
        });
        thread::sleep(Duration::from_millis(300));
        // What waits by now keeps a thread of the kernel busy.
        let (before, start) = (own_ticks(), Instant::now());
        while start.elapsed() < Duration::from_secs(2) {
            black_box(0);
        }
        let result = (own_ticks() - before, start.elapsed());
        over.store(true, Relaxed);
        result
    });
    tell!("{ran} ticks in {took:?}");
    assert!(ran > 20, "{ran} ticks in {took:?}");
    // And each that has something to say is heard when so many are told no more.
    drop(subscriptions);
    for state in &states {
        let mut subscription = state.subscribe().expect("subscribes");
        socket.send_to(b"data", "10.9.0.2:9").expect("sends");
        let message = subscription.recv_timeout(SOON).expect("no loss");
        assert_eq!(message.expect("a message").data, b"x");
    }
}
