// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets that a script's own doing makes, and packets that come with a lock held: each
//! has its verdict at once, and nothing waits for ever.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{Context, Hook, State};
use lunatik_tests::{Netns, Over, by_kernel, eventually, lua, run, stay_on, tell, undisturbed};

/// Lets what is said over netlink in the namespace leave it in a tunnel, and so pass the
/// hook `output`, under the lock of a queue. False where the kernel cannot.
fn monitor(netns: &Netns) -> bool {
    if by_kernel(false, true) {
        tell!("skipped: this kernel has no tunnels");
        return false;
    }
    for line in [
        "ip link add tunnel type gretap local 10.9.0.1 remote 10.9.0.2",
        "ip link set tunnel up",
        "ip link add nlmon0 type nlmon",
        "ip link set nlmon0 up",
        "tc qdisc add dev nlmon0 root handle 1: prio",
        "tc filter add dev nlmon0 parent 1: matchall action mirred egress redirect dev tunnel",
    ] {
        let mut words = line.split(' ');
        let mut command = netns.command(words.next().expect("a program"));
        run(command.args(words)).success();
    }
    true
}

/// A socket of the namespace.
fn socket(netns: &Netns) -> UdpSocket {
    netns.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"))
}

/// The one hook of a state.
fn hook(state: &State) -> Hook {
    let mut hooks = state.description().expect("a description").hooks;
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    hooks.remove(0)
}

/// Sends to its subscribers for each packet that leaves the namespace.
const TELL: &str = "n = 0
    require 'netfilter'.register{family = 'ipv4', hook = 'output', function(pkt)
      n = n + 1
      require 'lunatik'.send(pkt:string(0, 20))
    end}";

/// Each message makes a packet, which the script cannot be called for.
#[test]
fn what_a_script_sends_meets_its_own_hook() {
    undisturbed(|| {
        let netns = Netns::to_nobody();
        if !monitor(&netns) {
            return;
        }
        let state = netns.filter("a");
        let mut subscription = state.subscribe().expect("subscribes");
        lua(&state, TELL);
        let before = hook(&state).missed;
        let socket = socket(&netns);
        for _ in 0..20 {
            socket.send_to(b"data", "10.9.0.2:9").expect("sends");
            subscription
                .recv_timeout(Duration::from_secs(5))
                .expect("no loss")
                .expect("a message");
        }
        let hook = hook(&state);
        assert!(hook.missed >= before + 20, "{hook:?}");
        assert_eq!(hook.errors, 0, "{hook:?}");
    });
}

/// One CPU has a queue's lock and waits for the script; the other runs that, and what it
/// sends waits for the queue.
#[test]
fn locks_in_either_order() {
    if let Some(hook) = in_either_order(false) {
        assert!(hook.missed > 10, "{hook:?}");
    }
}

/// The other CPU has a replica of its own, and both send to the same subscribers.
#[test]
fn replicas_that_send_with_locks_in_either_order() {
    in_either_order(true);
}

/// Datagrams from one CPU and requests from the other for a while; the hook that met them,
/// if the kernel can have such.
fn in_either_order(percpu: bool) -> Option<Hook> {
    let netns = Netns::to_nobody();
    if !monitor(&netns) {
        return None;
    }
    let session = netns.session();
    let new = session.new_state("a").context(Context::Softirq);
    // Waits end, but after a while.
    let new = new.percpu(percpu).timeout(Duration::from_millis(5));
    let state = new.create().expect("a state");
    let _subscription = state.subscribe().expect("subscribes");
    lua(&state, TELL);
    let socket = socket(&netns);
    let over = AtomicBool::new(false);
    let (sent, asked) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let end = Over(&over);
        scope.spawn(|| {
            stay_on(0);
            while !over.load(Relaxed) {
                socket.send_to(b"data", "10.9.0.2:9").expect("sends");
                sent.fetch_add(1, Relaxed);
            }
        });
        scope.spawn(|| {
            stay_on(1);
            while !over.load(Relaxed) {
                session.info().expect("an answer");
                asked.fetch_add(1, Relaxed);
            }
        });
        thread::sleep(Duration::from_secs(3));
        drop(end);
    });
    let (sent, asked) = (sent.into_inner(), asked.into_inner());
    let hook = hook(&state);
    tell!(
        "{sent} datagrams, {asked} requests, {} missed, {} ended",
        hook.missed,
        hook.deadline_kills
    );
    assert!(sent > 10 && asked > 10, "{sent} and {asked}: {hook:?}");
    Some(hook)
}

/// Its subscribers are told, which makes packets for its hook, whose script tells them
/// more.
#[test]
fn a_state_that_is_closed_tells_through_its_own_hook() {
    let netns = Netns::to_nobody();
    if !monitor(&netns) {
        return;
    }
    for _ in 0..5 {
        let state = netns.filter("a");
        let other = netns.session().state("a");
        let mut subscription = other.subscribe().expect("subscribes");
        lua(&state, TELL);
        let socket = socket(&netns);
        socket.send_to(b"data", "10.9.0.2:9").expect("sends");
        state.close_force().expect("closes");
        let start = Instant::now();
        while let Ok(Some(_)) = subscription.recv_timeout(Duration::from_millis(100)) {
            assert!(start.elapsed() < Duration::from_secs(10), "no end");
        }
        eventually("it is gone", || {
            netns.session().info().expect("info").states == 0
        });
    }
}
