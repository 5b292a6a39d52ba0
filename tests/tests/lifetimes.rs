// SPDX-License-Identifier: MIT OR Apache-2.0
//! References, and clients that die.

use std::{
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use lunatik::{ErrorKind, LogFollow, State, Value};
use lunatik_tests::{Client, Netns, SOON, eventually, integer, lua, references, refused, sleeper};
use nix::{sys::signal::Signal, unistd::gettid};

/// How soon "at once" must be: far less than the deadline of what runs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Starts an endless loop with a deadline of 10 s, and waits until it runs.
fn endless(netns: &Netns, lines: &mut LogFollow) -> Client {
    let client = Client::start(Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "dostring",
        "a",
        "print 'running' while true do end",
        "--timeout",
        "10s",
    ]));
    assert_eq!(lines.recv().expect("a line").text, b"running");
    client
}

#[test]
fn a_killed_client_leaves_no_reference() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut client = netns
        .client("s = {} for i = 1, 5 do s[i] = assert(l.getstate 'a') end print 'ready' io.read()");
    assert_eq!(references(&state), 6);
    refused(state.close(), ErrorKind::Busy);
    client.end(Signal::SIGKILL);
    eventually("one reference", || references(&state) == 1);
    state.close().expect("closes");
}

#[test]
fn a_killed_client_closes_its_ephemeral_states() {
    let netns = Netns::new();
    let session = netns.session();
    let mut client = netns.client(
        "s = {} for i = 1, 10 do s[i] = assert(l.newstate{name = 'e' .. i, ephemeral = true}) end \
         print 'ready' io.read()",
    );
    assert_eq!(session.states().expect("a listing").len(), 10);
    client.end(Signal::SIGKILL);
    eventually("no state", || {
        session.states().expect("a listing").is_empty()
    });
    assert_eq!(session.info().expect("info").states, 0);
}

#[test]
fn a_killed_client_ends_its_script() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let mut client = endless(&netns, &mut lines);
        let elapsed = client.end(signal);
        assert!(elapsed < AT_ONCE, "{signal}: {elapsed:?}");
        let start = Instant::now();
        assert_eq!(integer(&state, "return 1"), 1);
        assert!(start.elapsed() < AT_ONCE, "{signal}: {:?}", start.elapsed());
        eventually("its references are gone", || references(&state) == 1);
    }
    let description = state.description().expect("a description");
    assert_eq!(description.errors, 3, "{description:?}");
    assert_eq!(description.deadline_kills, 0, "{description:?}");
}

#[test]
fn a_client_that_waits_for_its_turn_can_be_killed() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let mut first = endless(&netns, &mut lines);
    let mut second = Client::start(Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "dostring",
        "a",
        "print 'second'",
        "--timeout",
        "10s",
    ]));
    sleeper([second.pid()]);
    let elapsed = second.end(Signal::SIGKILL);
    assert!(elapsed < AT_ONCE, "{elapsed:?}");
    assert_eq!(lines.try_recv().expect("open"), None);
    first.end(Signal::SIGKILL);
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn who_waits_for_its_turn_waits_no_longer_than_its_deadline() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let mut client = endless(&netns, &mut lines);
    let start = Instant::now();
    refused(
        state
            .call("return 1")
            .timeout(Duration::from_millis(100))
            .run(),
        ErrorKind::Deadline,
    );
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    client.end(Signal::SIGKILL);
}

#[test]
fn an_endless_loop_ends_by_itself() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    let start = Instant::now();
    let output = netns.ctl(&["dostring", "a", "while true do end"]);
    let elapsed = start.elapsed();
    let text = output.failure(1);
    assert!(
        text.contains("ETIME") && text.contains("deadline"),
        "{text}"
    );
    assert!(elapsed >= Duration::from_millis(900), "{elapsed:?}");
    assert!(elapsed < SOON, "{elapsed:?}");
    assert_eq!(
        state.description().expect("a description").deadline_kills,
        1
    );
}

#[test]
fn force_ends_a_running_script() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let closer = netns.session();
    let started = Instant::now();
    let result = thread::scope(|scope| {
        let running = scope.spawn(|| {
            state
                .call("print 'running' while true do end")
                .timeout(Duration::from_secs(10))
                .run()
        });
        assert_eq!(lines.recv().expect("a line").text, b"running");
        refused(closer.state("a").close(), ErrorKind::Busy);
        let start = Instant::now();
        closer.state("a").close_force().expect("closes");
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        running.join().expect("a result")
    });
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    let error = refused(result, ErrorKind::Closed);
    assert!(error.to_string().contains("ESHUTDOWN"), "{error}");
    refused(closer.get_state("a"), ErrorKind::NoState);
    refused(state.do_string("return 1"), ErrorKind::NoState);
}

#[test]
fn force_ends_those_that_wait_for_their_turn() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let mut runner = endless(&netns, &mut lines);
    let session = netns.session();
    let result = thread::scope(|scope| {
        let (tell, hear) = mpsc::channel();
        let waiting = scope.spawn(move || {
            let other = netns.session();
            let state = other.state("a");
            tell.send(gettid()).expect("heard");
            state
                .call("print 'my turn'")
                .timeout(Duration::from_secs(10))
                .run()
        });
        let task = hear.recv().expect("it is there");
        sleeper([task.as_raw().cast_unsigned()]);
        session.state("a").close_force().expect("closes");
        waiting.join().expect("a result")
    });
    refused(result, ErrorKind::Closed);
    let (elapsed, _) = runner.wait();
    assert!(elapsed < AT_ONCE, "{elapsed:?}");
    assert_eq!(lines.try_recv().expect("open"), None);
}

#[test]
fn close_is_for_who_has_it_alone() {
    let netns = Netns::new();
    let state = netns.state("a");
    let session = netns.session();
    // No reference of its own, but another has one.
    refused(session.state("a").close(), ErrorKind::Busy);
    let theirs = session.get_state("a").expect("a state");
    refused(theirs.close(), ErrorKind::Busy);
    refused(state.close(), ErrorKind::Busy);
    state.put().expect("drops");
    theirs.close().expect("closes");
    refused(session.get_state("a"), ErrorKind::NoState);
}

#[test]
fn after_force_the_others_have_no_state() {
    let netns = Netns::new();
    let state = netns.state("a");
    let session = netns.session();
    session.state("a").close_force().expect("closes");
    refused(state.do_string("return 1"), ErrorKind::NoState);
    // A new one of that name is another one.
    let again = session.new_state("a").create().expect("a state");
    refused(state.do_string("return 1"), ErrorKind::NoState);
    assert_eq!(integer(&again, "return 1"), 1);
    // Not even the old handle's end concerns it.
    drop(state);
    assert_eq!(references(&again), 1);
}

fn hammer(state: &State, who: i64, rounds: i64) {
    for n in 0..rounds {
        let values = state
            .call("local who, n = ... count = (count or 0) + 1 return who, n, ('x'):rep(n)")
            .args([who, n])
            .run()
            .unwrap_or_else(|e| panic!("{who}, {n}: {e}"));
        assert_eq!(values[..2], [Value::from(who), Value::from(n)]);
        let length = values[2].as_bytes().expect("a string").len();
        assert_eq!(length, usize::try_from(n).expect("small"));
    }
}

#[test]
fn clients_at_once_get_their_own_answers() {
    let netns = Netns::new();
    let state = netns.state("a");
    thread::scope(|scope| {
        for who in 0..4 {
            let netns = &netns;
            scope.spawn(move || {
                let session = netns.session();
                hammer(&session.get_state("a").expect("a state"), who, 200);
            });
        }
    });
    assert_eq!(integer(&state, "return count"), 800);
    assert_eq!(references(&state), 1);
}

#[test]
fn threads_may_share_a_session() {
    let netns = Netns::new();
    let state = netns.state("a");
    thread::scope(|scope| {
        for who in 0..4 {
            let state = &state;
            scope.spawn(move || hammer(state, who, 50));
        }
    });
    assert_eq!(integer(&state, "return count"), 200);
}

#[test]
fn clients_come_and_go_while_others_work() {
    let netns = Netns::new();
    let state = netns.state("a");
    thread::scope(|scope| {
        scope.spawn(|| {
            let session = netns.session();
            for n in 0..100 {
                let name = format!("s{n}");
                let state = session.new_state(&name).create().expect("a state");
                assert_eq!(integer(&state, "return 7"), 7);
                state.close().expect("closes");
            }
        });
        scope.spawn(|| {
            for _ in 0..100 {
                let session = netns.session();
                let state = session.get_state("a").expect("a state");
                assert_eq!(integer(&state, "return 8"), 8);
            }
        });
        scope.spawn(|| {
            let session = netns.session();
            for _ in 0..100 {
                let states = session.states().expect("a listing");
                assert!(states.iter().any(|state| state.name == "a"));
            }
        });
    });
    assert_eq!(references(&state), 1);
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
    lua(&state, "return 1");
}
