// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host sets for all namespaces. It runs alone, because it changes
//! the module's parameters.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{ErrorKind, limits};
use lunatik_sys::{lunatik_attr as A, lunatik_cmd as C};
use lunatik_tests::{
    Cgroup, Message, Netns, Parameter, Process, SOON, eventually, holds, integer, lua, refused, sh,
    undisturbed,
};
use nix::libc;

#[test]
fn states_of_a_namespace() {
    let netns = Netns::new();
    let session = netns.session();
    let first = session.new_state("1").create().expect("a state");
    let quota = Parameter::set("max_states", "3");
    assert_eq!(session.info().expect("info").max_states, 3);
    session.new_state("2").create().expect("a state");
    session.new_state("3").create().expect("a state");
    let error = refused(session.new_state("4").create(), ErrorKind::Quota);
    assert_eq!(error.errno(), Some(libc::EDQUOT));
    let text = error.message().expect("a text");
    assert!(text.contains('3') && text.contains("quota"), "{text}");
    assert_eq!(session.states().expect("a listing").len(), 3);
    // Another namespace has its own.
    let other = Netns::new();
    other.state("1").close().expect("closes");
    // What is closed makes room.
    first.close().expect("closes");
    let state = session.new_state("4").create().expect("a state");
    assert_eq!(integer(&state, "return 1"), 1);
    // Those that are there stay when the quota falls.
    drop(quota);
    let _quota = Parameter::set("max_states", "1");
    assert_eq!(integer(&state, "return 1"), 1);
    refused(session.new_state("5").create(), ErrorKind::Quota);
}

#[test]
fn bytes_of_a_namespace() {
    let netns = Netns::new();
    let session = netns.session();
    let _quota = Parameter::set("max_total_alloc", "200000");
    let state = session.new_state("a").create().expect("a state");
    refused(
        state.do_string("t = {} for i = 1, 100000 do t[i] = i end"),
        ErrorKind::OutOfMemory,
    );
    assert_eq!(integer(&state, "t = nil return 1"), 1);
    let info = session.info().expect("info");
    assert!(info.alloc <= 200_000, "{info:?}");
    let mut made = 0;
    let error = loop {
        match session.new_state(&format!("s{made}")).create() {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 1000);
    };
    assert_eq!(error.kind(), ErrorKind::Quota, "{error}");
    assert!(error.to_string().contains("200000"), "{error}");
    let info = session.info().expect("info");
    assert!(info.alloc <= 200_000, "{info:?}");
    assert_eq!(info.states, made + 1);
    session.state("a").close().expect("closes");
    for n in 0..made {
        session.state(format!("s{n}")).close().expect("closes");
    }
    lunatik_tests::eventually("nothing is charged", || {
        session.info().expect("info").alloc == 0
    });
}

#[test]
fn ceilings_of_a_state() {
    let netns = Netns::new();
    let session = netns.session();
    let _alloc = Parameter::set("max_alloc", "65536");
    let _timeout = Parameter::set("max_timeout_us", "200000");
    let info = session.info().expect("info");
    assert_eq!(info.max_alloc, 65_536);
    assert_eq!(info.max_timeout, Duration::from_millis(200));
    assert!(info.timeout <= info.max_timeout, "{info:?}");
    let error = refused(
        session.new_state("a").max_alloc(65_537).create(),
        ErrorKind::OutOfRange,
    );
    let text = error.to_string();
    assert!(text.contains("65536"), "{text}");
    assert!(text.contains(&limits::MAX_ALLOC_MIN.to_string()), "{text}");
    let state = session.new_state("a").create().expect("a state");
    assert_eq!(state.snapshot().expect("a description").max_alloc, 65_536);
    let error = refused(
        state
            .call("return 1")
            .timeout(Duration::from_millis(201))
            .run(),
        ErrorKind::OutOfRange,
    );
    assert!(error.to_string().contains("200000"), "{error}");
    refused(state.do_string("while true do end"), ErrorKind::Deadline);
}

#[test]
fn requests_of_one_datagram_share_the_longest_deadline() {
    undisturbed(|| {
        // All of them are served under a lock that the whole machine's generic netlink shares.
        let netns = Netns::new();
        let session = netns.session();
        let state = session.new_state("a").create().expect("a state");
        let _longest = Parameter::set("max_timeout_us", "300000");
        let endless = Message::new(C::LUNATIK_CMD_DOSTRING)
            .name("a")
            .attr(A::LUNATIK_A_CODE, b"while true do end")
            .u32(A::LUNATIK_A_TIMEOUT, 200_000);
        let mut raw = netns.raw();
        let begin = Instant::now();
        raw.send_together(&vec![endless; 100]);
        let elapsed = begin.elapsed();
        assert!(elapsed >= Duration::from_millis(300), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
        let description = state.description().expect("a description");
        assert_eq!(description.deadline_kills, 2, "{description:?}");
        assert_eq!(integer(&state, "return 42"), 42);
    });
}

#[test]
fn user_namespaces_when_the_host_allows_them() {
    let line = "unshare --user --map-root-user --net sh -c \
                'lunatikctl newstate a && lunatikctl dostring a \"return 6 * 7\"'";
    sh(line).failure(4);
    let _allowed = Parameter::set("allow_user_ns", "1");
    assert_eq!(sh(line).success(), "42\n");
    // Such a user has no right over the host's namespace.
    let output = sh("unshare --user --map-root-user lunatikctl list");
    output.failure(4);
}

#[test]
fn the_quota_of_states_is_exact_when_many_ask_at_once() {
    const QUOTA: usize = 7;
    let netns = Netns::new();
    let _quota = Parameter::set("max_states", QUOTA);
    for _ in 0..10 {
        let results = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|who| {
                    let netns = &netns;
                    scope.spawn(move || {
                        let session = netns.session();
                        let made = |n| session.new_state(&format!("s{who}-{n}")).create();
                        // The quota is for those that live, whoever holds a reference.
                        (0..5).map(|n| made(n).map(drop)).collect::<Vec<_>>()
                    })
                })
                .collect();
            let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
            results
                .flat_map(|r| r.expect("results"))
                .collect::<Vec<_>>()
        });
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, QUOTA);
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(error.errno(), Some(libc::EDQUOT), "{error}");
        }
        let session = netns.session();
        let states = session.states().expect("a listing");
        assert_eq!(states.len(), QUOTA);
        for state in states {
            session.state(state.name).close_force().expect("closes");
        }
        assert_eq!(session.info().expect("info").states, 0);
    }
}

#[test]
fn the_quota_of_bytes_is_exact_when_many_states_grow_at_once() {
    const QUOTA: u64 = 400_000;
    let netns = Netns::new();
    let _quota = Parameter::set("max_total_alloc", QUOTA);
    let session = netns.session();
    let states: Vec<_> = (0..4).map(|n| netns.state(&format!("s{n}"))).collect();
    let growing = AtomicBool::new(true);
    let refusals: usize = thread::scope(|scope| {
        let growers: Vec<_> = states
            .iter()
            .map(|state| {
                scope.spawn(|| {
                    let mut refusals = 0;
                    for n in 0..9 {
                        let code = [
                            "t = {} for i = 1, 3000 do t[i] = {i} end",
                            "t = {} for i = 1, 6000 do t[i] = i end",
                            "t = nil collectgarbage()",
                        ][n % 3];
                        // Others may have taken the last byte.
                        if let Err(error) = state.do_string(code) {
                            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
                            assert!(error.to_string().contains("not enough memory"));
                            refusals += 1;
                        }
                    }
                    refusals
                })
            })
            .collect();
        let sampler = scope.spawn(|| {
            let session = netns.session();
            let mut samples = 0;
            while growing.load(Relaxed) {
                let info = session.info().expect("info");
                let states = session.states().expect("a listing");
                let held: u64 = states.iter().map(|s| u64::from(s.curr_alloc)).sum();
                // A charge that is refused is there for a moment: one step for each state.
                assert!(info.alloc <= QUOTA + (4 << 20), "{info:?}");
                assert!(held <= QUOTA + 4 * 65_536, "{held}");
                samples += 1;
            }
            samples
        });
        let results: Vec<_> = growers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        growing.store(false, Relaxed);
        let refusals = results
            .into_iter()
            .map(|result| result.expect("grows"))
            .sum();
        assert!(sampler.join().expect("samples") > 10);
        refusals
    });
    assert!(refusals > 3, "{refusals}");
    let info = session.info().expect("info");
    assert!(info.alloc <= QUOTA, "{info:?}");
    // Usable all the same, at the latest when one of them has given back its own.
    states[0].close().expect("closes");
    for state in &states[1..] {
        eventually("it has room", || {
            state.do_string("t = nil collectgarbage()").is_ok()
        });
    }
    for state in &states[1..] {
        assert_eq!(integer(state, "return 6 * 7"), 42);
        state.close().expect("closes");
    }
    eventually("nothing is charged", || {
        session.info().expect("info").alloc == 0
    });
}

#[test]
fn a_quota_that_falls_below_what_is_used_stops_growth_only() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    lua(&state, "x = ('x'):rep(500000)");
    let quota = Parameter::set("max_total_alloc", 100_000);
    let info = session.info().expect("info");
    assert!(info.alloc > 500_000, "{info:?}");
    assert_eq!(info.max_total_alloc, 100_000);
    let status = sh(&format!("lunatikctl -n {} -j status", netns.name())).json();
    assert_eq!(status["max_total_alloc"], 100_000, "{status}");
    refused(
        state.do_string("y = ('y'):rep(100000)"),
        ErrorKind::OutOfMemory,
    );
    refused(session.new_state("b").create(), ErrorKind::Quota);
    // What it has is enough to run, and to give memory back.
    assert_eq!(integer(&state, "return #x"), 500_000);
    lua(&state, "x = nil collectgarbage()");
    assert!(session.info().expect("info").alloc < 100_000);
    session.new_state("b").create().expect("a state");
    quota.change(1_000_000);
    assert_eq!(integer(&state, "y = ('y'):rep(500000) return #y"), 500_000);
    // The default and the longest deadline, while a state lives.
    let timeout = Parameter::set("timeout_us", 123_000);
    let longest = Parameter::set("max_timeout_us", 100_000);
    let status = sh(&format!("lunatikctl -n {} -j status", netns.name())).json();
    let info = session.info().expect("info");
    assert_eq!(info.timeout, Duration::from_millis(100), "{status}");
    assert_eq!(info.max_timeout, Duration::from_millis(100), "{status}");
    drop((timeout, longest));
    assert_eq!(
        session.info().expect("info").timeout,
        Duration::from_secs(1)
    );
}

#[test]
fn memory_is_charged_to_the_cgroup_of_who_runs_the_script() {
    let Some(cgroup) = Cgroup::new("lunatik-test") else {
        return;
    };
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").max_alloc(32 << 20);
    let _state = state.create().expect("a state");
    let runner = Process::fork(|parent| {
        cgroup.enter();
        let session = netns.session();
        let state = session.state("a");
        lua(&state, "return 1");
        parent.say("there");
        parent.hear("grow");
        let grow = state.call("x = ('x'):rep(8 << 20)").timeout(SOON);
        grow.run().expect("it runs");
        parent.say("grown");
        parent.hear("shrink");
        lua(&state, "x = nil collectgarbage()");
        parent.say("shrunk");
        parent.hear("grow too much");
        // The script gets an error; nobody is killed.
        let error = refused(
            state.do_string(
                "local function fill() for i = 1, 200 do y[i] = ('y'):rep(100000) end end
                y = {}
                local _, message = pcall(fill)
                -- Its process may need a page, too, when this returns.
                y = nil
                collectgarbage()
                error(message, 0)",
            ),
            ErrorKind::OutOfMemory,
        );
        assert!(error.to_string().contains("not enough memory"), "{error}");
        assert_eq!(integer(&state, "return 6 * 7"), 42);
    });
    let peer = runner.peer();
    peer.hear("there");
    let before = cgroup.current();
    peer.say("grow");
    peer.hear("grown");
    let grown = cgroup.current();
    assert!(grown > before + (8 << 20) - (1 << 20), "{before}, {grown}");
    peer.say("shrink");
    peer.hear("shrunk");
    eventually("the memory is given back", || {
        cgroup.current() < before + (4 << 20)
    });
    cgroup.write("memory.max", &(cgroup.current() + (6 << 20)).to_string());
    peer.say("grow too much");
    runner.join();
    let events = cgroup.read("memory.events");
    assert!(events.contains("oom_kill 0"), "{events}");
}

/// What goes together has the longest deadline together, so what is not run soon is
/// sent again.
#[test]
fn a_batch_that_takes_long_is_run_to_its_end() {
    const COUNT: i64 = 60;

    let longest = Parameter::set("max_timeout_us", 2_000_000);
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").timeout(Duration::from_secs(2));
    let state = state.create().expect("a state");
    lua(
        &state,
        "local monotonic = require('linux').monotonic
         seen = {}
         require('lunatik').receive(function(data)
           seen[#seen + 1] = data
           local begin = monotonic()
           while monotonic() - begin < 80000000 do end
           return data
         end)",
    );

    // All of them take longer than the deadline, one of them much less.
    let begin = Instant::now();
    let answers = state.send_all((0..COUNT).map(|n| n.to_string()));
    let elapsed = begin.elapsed();
    assert!(elapsed > Duration::from_secs(4), "{elapsed:?}");
    for (n, answer) in answers.into_iter().enumerate() {
        let reply = answer.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(reply, Some(n.to_string().into_bytes()));
    }
    drop(longest);
    holds(
        &state,
        &format!(
            "if #seen ~= {COUNT} then return false end
         for i, data in ipairs(seen) do if data ~= tostring(i - 1) then return false end end
         return true"
        ),
    );
}
