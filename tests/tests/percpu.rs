// SPDX-License-Identifier: MIT OR Apache-2.0
//! States of replicas with packets: each CPU's meet its own replica, requests go to all,
//! and figures are sums.

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use lunatik::{Context, ErrorKind, Hook, NewState, Session, State, Verdict};
use lunatik_tests::{
    Datagrams, Family, Netns, Network, Over, SOON, Transfer, by_kernel, cpus, eventually, integer,
    lua, refused, stay_on, string, tell, undisturbed,
};

/// A new state of replicas, with time enough for a slow machine.
fn new<'a>(session: &'a Session, name: &'a str) -> NewState<'a> {
    let longest = session.info().expect("info").max_softirq_timeout;
    let new = session.new_state(name).context(Context::Softirq);
    new.percpu(true).timeout(longest)
}

fn state(netns: &Netns, name: &str) -> State {
    let session = netns.session();
    new(&session, name).create().expect("a state")
}

/// Calls `body` on a thread that stays on a CPU of the namespace.
fn on<T: Send>(netns: &Netns, cpu: u32, body: impl FnOnce() -> T + Send) -> T {
    netns.within(|| {
        stay_on(cpu);
        body()
    })
}

/// Sends so many datagrams from a CPU.
fn send(netns: &Netns, cpu: u32, count: u32) {
    on(netns, cpu, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for _ in 0..count {
            socket.send_to(b"data", "10.9.0.2:9").expect("sends");
        }
    });
}

/// What `expression` is in each replica, by its CPU.
fn each(state: &State, expression: &str) -> BTreeMap<String, String> {
    let before = state.log(None).expect("a log").lines;
    let next = before.last().map_or(0, |line| line.sequence + 1);
    let code =
        format!("print('each ' .. (require 'lunatik'.cpu or 0) .. '=' .. tostring({expression}))");
    lua(state, &code);
    let lines = state.log(Some(next)).expect("a log").lines;
    // There may be others, of failures.
    let pair = |text: Vec<u8>| {
        let text = String::from_utf8(text).expect("UTF-8");
        let (cpu, value) = text.strip_prefix("each ")?.split_once('=')?;
        Some((cpu.to_owned(), value.to_owned()))
    };
    let values: BTreeMap<_, _> = lines
        .into_iter()
        .filter_map(|line| pair(line.text))
        .collect();
    assert_eq!(values.len(), cpus() as usize, "{values:?}");
    values
}

/// The sum of what `expression` is in each replica.
fn total(state: &State, expression: &str) -> u64 {
    let values = each(state, expression);
    let number = |text: &String| -> u64 { text.parse().expect("a number") };
    values.values().map(number).sum()
}

/// Counts the packets that other states' hooks let through.
fn state_behind(netns: &Netns) -> State {
    let behind = state(netns, "behind");
    lua(
        &behind,
        "n = 0
         require 'netfilter'.register{family = 'ipv4', hook = 'postrouting',
           function() n = n + 1 end}",
    );
    behind
}

/// The one hook of a state.
fn hook(state: &State) -> Hook {
    let mut hooks = state.description().expect("a description").hooks;
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    hooks.remove(0)
}

#[test]
fn packets_meet_the_replica_of_their_cpu() {
    undisturbed(|| {
        let netns = Netns::to_nobody();
        let state = state(&netns, "a");
        lua(
            &state,
            "local lunatik, linux = require 'lunatik', require 'linux'
         n, elsewhere = 0, 0
         require 'netfilter'.register{family = 'ipv4', hook = 'output', function(pkt)
           n = n + 1
           if linux.cpu() ~= (lunatik.cpu or 0) then elsewhere = elsewhere + 1 end
           if n % 5 == 0 then error 'fifth' end
           if n % 5 == 1 then return require 'netfilter'.ACCEPT end
         end}",
        );
        for cpu in 0..cpus() {
            send(&netns, cpu, 20 + 5 * cpu);
        }
        let mut sent = 0;
        for cpu in 0..cpus() {
            // The results are those of who asks.
            let seen = on(&netns, cpu, || integer(&state, "return n"));
            assert_eq!(seen, i64::from(20 + 5 * cpu));
            assert_eq!(each(&state, "n")[&cpu.to_string()], seen.to_string());
            sent += 20 + 5 * u64::from(cpu);
        }
        assert_eq!(total(&state, "elsewhere"), 0);
        let hook = hook(&state);
        assert_eq!((hook.calls, hook.errors, hook.missed), (sent, sent / 5, 0));
        assert_eq!(hook.verdicts, [(Verdict::Accept, sent - sent / 5)]);
        let description = state.description().expect("a description");
        assert_eq!(description.errors, sent / 5);
        // Each tells of its own failures.
        let log = state.log(None).expect("a log").lines;
        for cpu in (0..cpus()).filter(|_| cpus() > 1) {
            let place = format!("cpu {cpu}: ipv4 output: ");
            let named = |line: &&lunatik::LogLine| line.text.starts_with(place.as_bytes());
            let count = log.iter().filter(named).count();
            assert_eq!(count as u64, (20 + 5 * u64::from(cpu)) / 5, "{log:?}");
        }
    });
}

/// One endless script costs its own CPU's packets alone.
#[test]
fn deadlines_are_of_each_replica() {
    undisturbed(|| {
        let netns = Netns::to_nobody();
        let state = state(&netns, "a");
        lua(
        &state,
        "require 'netfilter'.register{family = 'ipv4', hook = 'output', on_error = 'drop', function(pkt)
           n = (n or 0) + 1
           if n <= ((require 'lunatik'.cpu or 0) + 1) then while true do end end
         end}",
    );
        for cpu in 0..cpus() {
            on(&netns, cpu, || {
                let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
                for n in 0..5 {
                    let sent = socket.send_to(b"data", "10.9.0.2:9");
                    // What is dropped where it begins is an error.
                    assert_eq!(sent.is_err(), n <= cpu, "{sent:?}");
                    // A namespace's hooks rest when they have had their share of a CPU.
                    thread::sleep(Duration::from_millis(300));
                }
            });
        }
        let hook = hook(&state);
        let kills = (1..=u64::from(cpus())).sum();
        assert_eq!((hook.errors, hook.deadline_kills), (kills, kills));
        assert_eq!(hook.calls, 5 * u64::from(cpus()));
        let description = state.description().expect("a description");
        assert_eq!(description.deadline_kills, kills);
        let least = description.timeout * u32::try_from(kills).expect("few");
        assert!(hook.run_time >= least / 2 && description.run_time >= hook.run_time);
    });
}

#[test]
fn an_error_names_the_cpu_of_its_replica() {
    if cpus() == 1 {
        tell!("skipped: there is one CPU");
        return;
    }
    let netns = Netns::to_nobody();
    let state = state(&netns, "a");
    for bound in [false, true] {
        let code = "if require 'lunatik'.cpu == 1 then error('no good') end return 7";
        let error = on(&netns, 0, || {
            refused(state.do_string(code), ErrorKind::Script)
        });
        let error = error.lua().expect("a Lua error");
        let message = error.message();
        assert!(
            message.starts_with("cpu 1: ") && message.ends_with("no good"),
            "{message}"
        );
        assert!(
            error
                .traceback()
                .expect("a traceback")
                .contains("in main chunk")
        );
        // Who asks knows where it is.
        let error = on(&netns, 1, || {
            refused(state.do_string(code), ErrorKind::Script)
        });
        let message = error.lua().expect("a Lua error").message();
        assert!(!message.contains("cpu"), "{message}");
        // Of several the first.
        let code = "error('all')";
        let error = on(&netns, 1, || {
            refused(state.do_string(code), ErrorKind::Script)
        });
        assert!(error.lua().expect("a Lua error").message().ends_with("all"));
        // The others did what they should.
        lua(&state, "x = (x or 0) + 1");
        assert_eq!(total(&state, "x"), 2 * u64::from(bound) + 2);
        if !bound {
            lua(
                &state,
                "require 'netfilter'.register{family = 'ipv4', hook = 'output', function() end}",
            );
        }
    }
}

#[test]
fn each_replica_has_its_own_memory() {
    const MAX: u32 = 256 << 10;
    let netns = Netns::to_nobody();
    let session = netns.session();
    let state = new(&session, "a").max_alloc(MAX).create().expect("a state");
    let empty = state.description().expect("a description");
    assert_eq!(empty.max_alloc, MAX);
    // Nearly all of it in each.
    lua(&state, "x = ('x'):rep(200 << 10)");
    let full = state.description().expect("a description");
    let more = full.curr_alloc - empty.curr_alloc;
    assert!(more >= cpus() * (200 << 10), "{more}");
    assert!(full.curr_alloc <= cpus() * MAX && full.peak_alloc >= full.curr_alloc);
    assert!(session.info().expect("info").alloc >= u64::from(full.curr_alloc));
    // One that has no more of it does not take from others.
    for bound in [false, true] {
        let last = cpus() - 1;
        let code =
            format!("if (require 'lunatik'.cpu or 0) == {last} then y = ('y'):rep(100 << 10) end");
        let error = on(&netns, 0, || {
            refused(state.do_string(&code), ErrorKind::OutOfMemory)
        });
        if last > 0 {
            let message = error.lua().expect("a Lua error").message();
            assert!(message.starts_with(&format!("cpu {last}: ")), "{message}");
        }
        lua(&state, "return 1");
        let code = format!(
            "if (require 'lunatik'.cpu or 0) ~= {last} then local y = ('y'):rep(10 << 10) end"
        );
        lua(&state, &code);
        if !bound {
            lua(
                &state,
                "require 'netfilter'.register{family = 'ipv4', hook = 'output', function() end}",
            );
        }
    }
    lua(&state, "x = nil collectgarbage()");
    let now = state.description().expect("a description").curr_alloc;
    assert!(now < full.curr_alloc - cpus() * (190 << 10), "{now}");
    state.close().expect("closes");
    eventually("nothing is charged", || {
        session.info().expect("info").alloc == 0
    });
}

#[test]
fn timers_of_each_replica() {
    let netns = Netns::to_nobody();
    let state = state(&netns, "a");
    lua(
        &state,
        "lunatik = require 'lunatik'
         cpu, n, elsewhere = require 'linux'.cpu, 0, 0
         timer = lunatik.every(2, function()
           n = n + 1
           if cpu() ~= (lunatik.cpu or 0) then elsewhere = elsewhere + 1 end
         end)
         lunatik.after(100000, print)",
    );
    let timers = || state.description().expect("a description").timers;
    assert_eq!(timers(), 2 * cpus());
    eventually("all come", || {
        let counts = each(&state, "n");
        counts
            .values()
            .all(|n| n.parse::<u32>().expect("a number") > 10)
    });
    // Where its packets are, wherever the request came from
    assert_eq!(total(&state, "elsewhere"), 0);
    // Those of a state whose replicas packets and timers meet already
    lua(
        &state,
        "lunatik.after(1, function() if cpu() ~= (lunatik.cpu or 0) then elsewhere = 100 end end)",
    );
    eventually("they come", || timers() == 2 * cpus());
    assert_eq!(total(&state, "elsewhere"), 0);
    lua(&state, "timer:cancel()");
    assert_eq!(timers(), cpus());
    // One that fires at that moment may yet count.
    eventually("they have ended", || {
        let before = each(&state, "n");
        thread::sleep(Duration::from_millis(50));
        each(&state, "n") == before
    });
}

/// Hooks of replicas are one to the kernel, however many of them take part.
#[test]
fn replicas_join_and_leave_a_hook() {
    undisturbed(|| {
        let netns = Netns::to_nobody();
        let state = state(&netns, "a");
        let hooks = || state.description().expect("a description").hooks;
        lua(
        &state,
        "nf = require 'netfilter' cpu = require 'lunatik'.cpu or 0 n = 0
         function add() h = nf.register{family = 'ipv4', hook = 'output', function() n = n + 1 end} end
         if cpu == 0 then add() end",
    );
        assert_eq!(hooks().len(), 1);
        for cpu in 0..cpus() {
            send(&netns, cpu, 3);
        }
        assert_eq!(total(&state, "n"), 3);
        lua(&state, "if cpu > 0 then add() end");
        assert_eq!(hooks().len(), 1);
        for cpu in 0..cpus() {
            send(&netns, cpu, 3);
        }
        assert_eq!(total(&state, "n"), 3 + 3 * u64::from(cpus()));
        lua(&state, "if cpu == 0 then h:unregister() end");
        assert_eq!(hooks().len(), usize::from(cpus() > 1));
        for cpu in 0..cpus() {
            send(&netns, cpu, 3);
        }
        assert_eq!(total(&state, "n"), 6 * u64::from(cpus()));
        lua(&state, "h:unregister()");
        assert_eq!(hooks(), []);
        // One that fails on its way leaves the others' hooks.
        let code = "add() if cpu == 0 then h:unregister() error 'no' end";
        refused(state.do_string(code), ErrorKind::Script);
        assert_eq!(hooks().len(), usize::from(cpus() > 1));
        lua(&state, "h:unregister()");
        assert_eq!(hooks(), []);
    });
}

/// A replica whose script failed before it registered its function cannot be asked: what
/// `on_error` says becomes of its packets, as long as others have one.
#[test]
fn packets_of_a_replica_without_a_function_meet_what_on_error_says() {
    undisturbed(|| {
        let last = cpus() - 1;
        if last == 0 {
            tell!("skipped: with one CPU there is one replica");
            return;
        }
        for (on_error, sent) in [("native", 5), ("drop", 0)] {
            let netns = Netns::to_nobody();
            let state = state(&netns, "a");
            let code = format!(
                "nf = require 'netfilter' n = 0
                 if require 'lunatik'.cpu == {last} then error 'too early' end
                 h = nf.register{{family = 'ipv4', hook = 'output', on_error = '{on_error}',
                   function() n = n + 1 end}}"
            );
            refused(state.do_string(&code), ErrorKind::Script);
            // It comes after that hook.
            let behind = state_behind(&netns);
            send(&netns, 0, 3);
            assert_eq!(total(&behind, "n"), 3, "{on_error}");
            let accepted = on(&netns, last, || {
                let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
                let send = |_: &i32| socket.send_to(b"data", "10.9.0.2:9").is_ok();
                (0..5).filter(send).count()
            });
            assert_eq!(accepted, sent, "{on_error}");
            let sent = sent as u64;
            assert_eq!(total(&behind, "n"), 3 + sent, "{on_error}");
            let figures = hook(&state);
            assert_eq!((figures.calls, figures.missed), (3, 5), "{figures:?}");
            // When none has one any more there is no hook.
            lua(&state, "if h then h:unregister() end");
            send(&netns, last, 5);
            assert_eq!(total(&behind, "n"), 8 + sent, "{on_error}");
        }
    });
}

/// Messages, scripts and references come and go while packets do.
#[test]
fn requests_under_traffic() {
    undisturbed(|| {
        let network = Network::router();
        let middle = network.middle();
        let one = state(middle, "one");
        lua(
            &one,
            "n, m = 0, 0
         require 'netfilter'.register{family = 'inet', hook = 'forward', function(pkt)
           n = n + 1
           if #pkt < 20 then return require 'netfilter'.DROP end
         end}
         require 'lunatik'.receive(function(data)
           m = m + 1
           if data == 'bad' then error 'no good' end
           return data .. m
         end)",
        );
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let end = Over(&over);
            let senders = Family::ALL.map(|family| {
                let (network, over) = (&network, &over);
                scope.spawn(move || {
                    let transfer = Transfer {
                        family,
                        bytes: by_kernel(1 << 19, 1 << 16),
                        patience: 3 * SOON,
                        ..Transfer::default()
                    };
                    while !over.load(Relaxed) {
                        network.tcp(&transfer).expect("arrives");
                        let udp = network.udp(&transfer, Datagrams::Segmented(1400));
                        udp.expect("arrives");
                    }
                })
            });
            for round in 1..=by_kernel(10, 4) {
                let answers = one.send_all(["a", "bad", "b", "c"]);
                let text = |at: usize| answers[at].as_ref().expect("an answer").clone();
                let base = 4 * (round - 1);
                assert_eq!(text(0), Some(format!("a{}", base + 1).into_bytes()));
                assert_eq!(text(3), Some(format!("c{}", base + 4).into_bytes()));
                let error = answers[1].as_ref().expect_err("a failure");
                assert_eq!(error.kind(), ErrorKind::Script, "{error}");

                // It closes with its last reference, in the middle of it.
                let session = middle.session();
                let other = new(&session, "other").ephemeral(true).create();
                let other = other.expect("a state");
                lua(
                &other,
                "require 'netfilter'.register{family = 'inet', hook = 'forward', function() n = 1 end}
                 require 'lunatik'.every(1, function() n = 2 end)",
            );
                let second = middle.session().get_state("other").expect("a reference");
                thread::sleep(Duration::from_millis(20));
                other.put().expect("puts");
                assert_eq!(string(&second, "return 'here'"), "here");
                second.put().expect("puts");
                refused(middle.session().get_state("other"), ErrorKind::NoState);
            }
            drop(end);
            for sender in senders {
                sender.join().expect("all arrives");
            }
        });
        assert_eq!(total(&one, "m"), by_kernel(40, 16) * u64::from(cpus()));
        // Some packets came between the two.
        let before = hook(&one);
        let seen = total(&one, "n");
        let after = hook(&one);
        assert!(
            before.calls <= seen && seen <= after.calls,
            "{before:?} {seen}"
        );
        assert!(seen > 50, "{seen}");
        assert_eq!((after.errors, after.missed), (0, 0), "{after:?}");
    });
}
