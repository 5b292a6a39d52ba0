// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs that go and come while packets are looked at. It runs alone, because nobody else
//! has that CPU meanwhile.

use std::{
    fs,
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{Context, LogLine, State};
use lunatik_tests::{
    Datagrams, Family, Netns, Network, Over, Parameter, Removable, SOON, Transfer, cpus,
    eventually, integer, lua, stay_on, tell,
};

/// The second CPU; says so where there is none.
fn removable() -> Option<Removable> {
    let cpu = Removable::second();
    if cpu.is_none() {
        tell!("skipped: this machine has one CPU");
    }
    cpu
}

fn state(netns: &Netns, name: &str) -> State {
    let session = netns.session();
    let longest = session.info().expect("info").max_softirq_timeout;
    let new = session.new_state(name).context(Context::Softirq);
    let new = new.percpu(true).timeout(longest);
    new.create().expect("a state")
}

/// What `expression`, a number, is in the replica of each CPU.
fn each(state: &State, expression: &str) -> Vec<u64> {
    let before = state.log(None).expect("a log").lines;
    let next = before.last().map_or(0, |line| line.sequence + 1);
    lua(
        state,
        &format!("print(require 'lunatik'.cpu, {expression})"),
    );
    let pair = |line: LogLine| {
        let text = String::from_utf8(line.text).expect("UTF-8");
        let (cpu, value) = text.split_once('\t').expect("a line of ours");
        let number = |text: &str| -> u64 { text.parse().expect("a number") };
        (number(cpu), number(value))
    };
    let lines = state.log(Some(next)).expect("a log").lines;
    let mut values: Vec<_> = lines.into_iter().map(pair).collect();
    values.sort_unstable();
    assert_eq!(values.len(), cpus() as usize, "{values:?}");
    values.into_iter().map(|(_, value)| value).collect()
}

const LOOK: &str = "nf, lunatik, linux = require 'netfilter', require 'lunatik', require 'linux'
    n, ticks, elsewhere = 0, 0, 0
    function add(hook)
      return nf.register{family = 'inet', hook = hook, on_error = 'drop', function(pkt)
        n = n + 1
        if linux.cpu() ~= lunatik.cpu then elsewhere = elsewhere + 1 end
        if #pkt < 20 then return nf.DROP end
      end}
    end
    for _, hook in ipairs {'prerouting', 'forward', 'postrouting'} do add(hook) end
    timer = lunatik.every(5, function() ticks = ticks + 1 end)";

#[test]
fn a_cpu_goes_and_comes_under_traffic() {
    let Some(cpu) = removable() else { return };
    let network = Network::router();
    let state = state(network.middle(), "look");
    lua(&state, LOOK);
    let (over, done) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let end = Over(&over);
        let senders = Family::ALL.map(|family| {
            let (network, over, done) = (&network, &over, &done);
            scope.spawn(move || {
                let transfer = Transfer {
                    family,
                    bytes: 1 << 18,
                    patience: 6 * SOON,
                    ..Transfer::default()
                };
                while !over.load(Relaxed) {
                    network.tcp(&transfer).expect("arrives");
                    let udp = network.udp(&transfer, Datagrams::Segmented(1400));
                    udp.expect("arrives");
                    done.fetch_add(1, Relaxed);
                }
            })
        });
        let traffic = |rounds| {
            let before = done.load(Relaxed);
            eventually("data arrives", || done.load(Relaxed) >= before + rounds);
        };
        for round in 0..3 {
            traffic(2);
            let before = each(&state, "ticks");
            cpu.set(false);
            // All replicas are there still, and have their timers.
            assert_eq!(integer(&state, &format!("x = {round} return x")), round);
            eventually("timers fire", || {
                let after = each(&state, "ticks");
                after
                    .iter()
                    .zip(&before)
                    .all(|(after, before)| *after > before + 5)
            });
            let idle = each(&state, "n")[1];
            traffic(2);
            assert_eq!(each(&state, "n")[1], idle);
            // What is made now is for all of them.
            lua(
                &state,
                "hook = add 'forward' late = 0
                 lunatik.after(20, function() late = late + 1 end)",
            );
            eventually("timers fire", || each(&state, "late") == [1, 1]);
            cpu.set(true);
            // Requests and traffic find it again.
            thread::scope(|scope| {
                scope.spawn(|| {
                    stay_on(1);
                    assert_eq!(integer(&state, "return lunatik.cpu"), 1);
                });
            });
            eventually("it has packets", || each(&state, "n")[1] > idle);
            lua(&state, "hook:unregister()");
        }
        drop(end);
        for sender in senders {
            sender.join().expect("all arrives");
        }
    });
    lua(&state, "timer:cancel()");
    assert_eq!(each(&state, "elsewhere"), [0, 0]);
    let description = state.description().expect("a description");
    let hooks = &description.hooks;
    assert_eq!(hooks.len(), 3, "{hooks:?}");
    assert!(
        hooks
            .iter()
            .all(|hook| hook.errors == 0 && hook.missed == 0),
        "{hooks:?}"
    );
    assert_eq!((description.errors, description.timers), (0, 0));
    tell!(
        "{} packets, {} rounds of transfers",
        each(&state, "n").iter().sum::<u64>(),
        done.into_inner()
    );
    state.close().expect("closes");
}

/// Hooks on a CPU that is going, and states that end while it is gone.
#[test]
fn states_come_and_go_with_a_cpu() {
    let Some(cpu) = removable() else { return };
    let network = Network::router();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let transfer = Transfer {
                patience: 6 * SOON,
                bytes: 1 << 18,
                ..Transfer::default()
            };
            while !over.load(Relaxed) {
                network.tcp(&transfer).expect("arrives");
            }
        });
        let switching = scope.spawn(|| {
            let _end = Over(&over);
            for round in 0..8 {
                cpu.set(round % 2 == 1);
                thread::sleep(Duration::from_millis(30));
            }
        });
        let mut rounds = 0;
        while !over.load(Relaxed) {
            let state = state(network.middle(), "look");
            lua(&state, LOOK);
            assert_eq!(each(&state, "6 * 7"), [42, 42]);
            state.close().expect("closes");
            rounds += 1;
        }
        switching.join().expect("switches");
        sender.join().expect("all arrives");
        tell!("{rounds} states came and went");
    });
}

/// The CPUs whose list of timers has the one that watches over packets' scripts.
fn watched() -> Vec<u32> {
    let list = fs::read_to_string("/proc/timer_list").expect("a list");
    let mut cpu = 0;
    let mut found = Vec::new();
    for line in list.lines() {
        if let Some(number) = line.strip_prefix("cpu: ") {
            cpu = number.trim().parse().expect("a number");
        } else if line.contains("tick_atomic") {
            found.push(cpu);
        }
    }
    found
}

/// A timer that was armed before a CPU went would go off elsewhere, and meet what runs on
/// the CPU when it is back.
#[test]
fn the_watch_goes_with_its_cpu() {
    let Some(cpu) = removable() else { return };
    let _longest = Parameter::set("max_softirq_timeout_us", 1_000_000);
    let netns = Netns::with_loopback();
    let state = state(&netns, "a");
    lua(
        &state,
        "require 'netfilter'.register{family = 'ipv4', hook = 'output', function(pkt)
           n = (n or 0) + 1
           if pkt:u16(22) == 7 then while true do end end
         end}",
    );
    let send = |port: u16| {
        netns.within(|| {
            stay_on(1);
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.send_to(b"data", ("127.0.0.1", port)).expect("sends");
        });
    };
    let start = Instant::now();
    send(9);
    assert!(watched().contains(&1), "{:?}", watched());
    cpu.set(false);
    assert_eq!(watched(), [0; 0]);
    cpu.set(true);
    let back = start.elapsed();
    thread::scope(|scope| {
        let endless = scope.spawn(|| send(7));
        eventually("it is watched", || {
            watched() == [1] || endless.is_finished()
        });
        // When the old one would have gone off.
        thread::sleep(Duration::from_millis(1200).saturating_sub(start.elapsed()));
        let seen = watched();
        if !endless.is_finished() {
            assert_eq!(seen, [1], "back after {back:?}");
        }
        endless.join().expect("sends");
    });
    let hooks = state.description().expect("a description").hooks;
    assert_eq!(hooks[0].deadline_kills, 1, "{hooks:?}");
}
