// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scripts print: a bounded log for each state, and a group that follows.

use std::time::{Duration, SystemTime};

use lunatik::{ErrorKind, Log, limits};
use lunatik_tests::{Client, Netns, SOON, eventually, holds, integer, lua, refused};

fn texts(log: &Log) -> Vec<String> {
    log.lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect()
}

#[test]
fn lines_are_kept_and_reading_removes_none() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(state.log(None).expect("a log"), Log::default());
    let before = SystemTime::now() - Duration::from_secs(1);
    lua(&state, "print('one', 1) print('two\\0') print('ä')");
    for _ in 0..3 {
        let log = state.log(None).expect("a log");
        assert_eq!(texts(&log), ["one\t1", "two\0", "ä"]);
        assert_eq!(log.lost, 0);
        for (line, sequence) in log.lines.iter().zip(1..) {
            assert_eq!(line.sequence, sequence);
            assert_eq!(line.state, "a");
            assert_eq!(Some(line.state_id), state.id());
            assert!(line.time >= before, "{line:?}");
            assert!(
                line.time <= SystemTime::now() + Duration::from_secs(1),
                "{line:?}"
            );
        }
    }
}

#[test]
fn a_cursor_goes_on_where_it_was() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "for i = 1, 10 do print(i) end");
    let log = state.log(None).expect("a log");
    assert_eq!(log.next(), Some(11));
    assert_eq!(state.log(log.next()).expect("a log").lines, []);
    lua(&state, "print 'more'");
    assert_eq!(texts(&state.log(log.next()).expect("a log")), ["more"]);
    assert_eq!(
        texts(&state.log(Some(9)).expect("a log")),
        ["9", "10", "more"]
    );
    assert_eq!(state.log(Some(1000)).expect("a log").lines, []);
    assert_eq!(state.log(Some(u64::MAX)).expect("a log").lines, []);
    let all = state.log(Some(1)).expect("a log");
    assert_eq!((all.lines.len(), all.lost), (11, 0));
}

#[test]
fn the_log_is_bounded_and_tells_what_is_lost() {
    let netns = Netns::new();
    let state = netns.state("a");
    let session = netns.session();
    lua(&state, "for i = 1, 5000 do print('line ' .. i) end");
    let log = state.log(Some(1)).expect("a log");
    let kept = u64::try_from(log.lines.len()).expect("small");
    assert!(kept > 100 && kept < 5000, "{kept}");
    assert_eq!(log.lost, 5000 - kept);
    assert_eq!(log.lines[0].sequence, 5001 - kept);
    assert_eq!(log.lines[0].lost, log.lost);
    assert!(log.lines[1..].iter().all(|line| line.lost == 0));
    for (line, sequence) in log.lines.iter().zip(5001 - kept..) {
        assert_eq!(line.sequence, sequence);
        assert_eq!(line.text, format!("line {sequence}").into_bytes());
    }
    // Who does not ask for more loses nothing.
    let newest = state.log(None).expect("a log");
    assert_eq!(newest.lost, 0);
    let half = state.log(Some(5001 - kept)).expect("a log");
    assert_eq!(half.lost, 0);
    // The log counts against the state's memory.
    let alloc = state.description().expect("a description").curr_alloc;
    assert!(session.info().expect("info").alloc < 1 << 20);
    assert!(alloc > 16_000, "{alloc}");
}

#[test]
fn a_log_of_many_messages_comes_whole() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "for i = 1, 4 do print(string.char(64 + i):rep(4000)) end print 'end'",
    );
    let log = state.log(None).expect("a log");
    let last = log.lines.last().expect("a line");
    assert_eq!(last.text, b"end");
    for line in &log.lines[..log.lines.len() - 1] {
        assert_eq!(line.text.len(), 4000);
    }
    assert!(log.lines.len() >= 4, "{}", log.lines.len());
}

#[test]
fn lines_have_a_limit() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, &format!("print(('x'):rep({}))", limits::LOG_LINE));
    let error = refused(
        state.do_string(format!("print(('x'):rep({}))", limits::LOG_LINE + 1)),
        ErrorKind::Script,
    );
    assert!(error.to_string().contains("4096"), "{error}");
    let log = state.log(None).expect("a log");
    assert_eq!(log.lines.len(), 1);
    assert_eq!(log.lines[0].text.len(), limits::LOG_LINE);
}

#[test]
fn old_lines_make_room_when_memory_is_short() {
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("a")
        .max_alloc(limits::MAX_ALLOC_MIN)
        .timeout(SOON)
        .create()
        .expect("a state");
    lua(&state, "for i = 1, 2000 do print('line', i) end");
    let log = state.log(None).expect("a log");
    assert_eq!(log.lines.last().expect("a line").text, b"line\t2000");
    holds(&state, "return true");
}

#[test]
fn followers_get_the_lines_of_all_states() {
    let netns = Netns::new();
    let session = netns.session();
    let (first, second) = (netns.state("a"), netns.state("b"));
    lua(&first, "print 'before'");
    let mut lines = session.log_follow().expect("lines");
    assert_eq!(lines.try_recv().expect("open"), None);
    lua(&first, "print 'one'");
    lua(&second, "print 'two'");
    lua(&first, "print('three\\0')");
    for (state, sequence, text) in [
        ("a", 2, &b"one"[..]),
        ("b", 1, b"two"),
        ("a", 3, b"three\0"),
    ] {
        let line = lines.recv_timeout(SOON).expect("open").expect("a line");
        assert_eq!((&line.state[..], line.sequence), (state, sequence));
        assert_eq!(line.text, text);
        assert_eq!(line.lost, 0);
        assert!(line.time <= SystemTime::now() + Duration::from_secs(1));
    }
    assert_eq!(lines.try_recv().expect("open"), None);
}

#[test]
fn followers_that_are_slow_are_told() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    let mut lines = session.log_follow().expect("lines");
    state
        .call("for i = 1, 1000 do print(('x'):rep(4000)) end")
        .timeout(SOON)
        .run()
        .expect("runs");
    let (mut received, mut told) = (0, 0);
    loop {
        match lines.try_recv() {
            Ok(Some(_)) => received += 1,
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
                told += 1;
            }
        }
    }
    assert!(
        told > 0 && received > 0 && received < 1000,
        "{told}, {received}"
    );
    lua(&state, "print 'next'");
    let line = lines.recv().expect("a line");
    assert_eq!((line.sequence, line.lost), (1001, 1000 - received));
}

#[test]
fn lunatikctl_shows_and_follows() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "print 'one' print('two', 2)");
    let output = netns.ctl(&["log", "a"]);
    let lines: Vec<_> = output.success().lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(
        lines[0].starts_with("1 ") && lines[0].ends_with(" one"),
        "{output:?}"
    );
    let output = netns.ctl(&["-j", "log", "a", "--from", "2"]);
    let json = output.json();
    assert_eq!(json["text"], "two\t2");
    assert_eq!(json["sequence"], 2);
    let mut client = Client::start(std::process::Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "log",
        "a",
        "--follow",
    ]));
    assert!(client.line().ends_with(" one"));
    assert!(client.line().contains("two"));
    lua(&state, "print 'three'");
    let line = client.line();
    assert!(line.starts_with("3 ") && line.ends_with(" three"), "{line}");
    state.close_force().expect("closes");
    let (elapsed, rest) = client.wait();
    assert!(elapsed < SOON, "{elapsed:?}");
    assert_eq!(rest, "");
}

#[test]
fn many_readers_at_once() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "for i = 1, 200 do print(i) end");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let session = netns.session();
                for _ in 0..30 {
                    let log = session.state("a").log(None).expect("a log");
                    let sequences: Vec<_> = log.lines.iter().map(|line| line.sequence).collect();
                    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
                }
            });
        }
        for n in 0..200_i64 {
            state.call("print('more', ...)").arg(n).run().expect("runs");
        }
    });
    eventually("all lines", || {
        state.log(None).expect("a log").next() == Some(401)
    });
    assert_eq!(integer(&state, "return 1"), 1);
}
