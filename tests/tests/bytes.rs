// SPDX-License-Identifier: MIT OR Apache-2.0
//! The libraries `data` and `linux`.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use lunatik::{Context, ErrorKind, State};
use lunatik_tests::{Netns, holds, integer, lua, lua_error, string};
use nix::time::{ClockId, clock_gettime};

const BYTES: &str = include_str!("../../kmod-host/scripts/bytes.lua");

#[test]
fn buffers_do_what_they_should_where_scripts_may_sleep() {
    let netns = Netns::new();
    lua(&netns.state("a"), BYTES);
}

#[test]
fn buffers_do_what_they_should_where_scripts_may_not_sleep() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").context(Context::Softirq);
    // What is slow in the debug kernel is no reason to fail.
    let state = state.timeout(Duration::from_millis(100)).create();
    let state = state.expect("a state");
    state
        .call(BYTES)
        .timeout(Duration::from_secs(5))
        .run()
        .expect("no error");
}

#[test]
fn a_buffer_counts_against_the_memory_of_its_state() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").max_alloc(64 << 10).create();
    let state = state.expect("a state");
    lua(&state, "data = require 'data' b = data.new(30000)");
    let used = state.description().expect("a state").curr_alloc;
    assert!(used > 30000, "{used}");
    lua_error(&state, "return data.new(40000)", ErrorKind::OutOfMemory);
    lua_error(&state, "return data.new(1 << 30)", ErrorKind::OutOfMemory);
    let text = lua_error(&state, "return data.new(1 << 40)", ErrorKind::Script);
    assert!(text.contains("size out of range"), "{text}");
    // One that nobody has any more makes room for the next.
    lua(&state, "for i = 1, 20 do b = nil b = data.new(30000) end");
}

#[test]
fn a_large_buffer_is_made_within_the_deadline() {
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("a")
        .max_alloc(64 << 20)
        .create()
        .expect("a state");
    let forever = "local data = require 'data' while true do data.new(30 << 20) end";
    let run = state.call(forever).timeout(Duration::from_millis(50)).run();
    assert_eq!(run.expect_err("it ends").kind(), ErrorKind::Deadline);
}

#[test]
fn no_address_comes_out_of_a_buffer() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "b = require 'data'.new(100)");
    let text = string(&state, "return tostring(b)");
    let number = text.strip_prefix("data: ").expect("its kind");
    let number = number.trim_start_matches("0x");
    let number = u64::from_str_radix(number, 16).expect("a number");
    assert!(u32::try_from(number).is_ok(), "{text}");
    // Memory that was someone else's is no content.
    holds(
        &state,
        "local data = require 'data' for _ = 1, 50 do local b = data.new(500)
           if b:string() ~= ('\\0'):rep(500) then return false end b:setstring(0, ('x'):rep(500)) end return true",
    );
}

#[test]
fn clocks_are_those_of_the_kernel() {
    let netns = Netns::new();
    let state = netns.state("a");
    let now = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262")
    };
    let before = now();
    let time = integer(&state, "linux = require 'linux' return linux.time()");
    assert!((before..=now()).contains(&time), "{time}");
    let now = || {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
        now.tv_sec() * 1_000_000_000 + now.tv_nsec()
    };
    let before = now();
    let time = integer(&state, "return linux.monotonic()");
    assert!((before..=now()).contains(&time), "{time}");
    let cpus = std::thread::available_parallelism()
        .expect("a number")
        .get();
    let cpu = integer(&state, "return linux.cpu()");
    assert!(
        (0..i64::try_from(cpus).expect("few")).contains(&cpu),
        "{cpu}"
    );
}

#[test]
fn random_numbers_have_the_range_that_is_asked_for() {
    let netns = Netns::new();
    let state = netns.state("a");
    let random = |arguments: &str| -> BTreeSet<i64> {
        let code = format!(
            "local linux, t = require 'linux', {{}} for i = 1, 200 do t[i] = linux.random({arguments}) end return t"
        );
        let values = lua(&state, &code);
        let values = values[0].as_array().expect("an array");
        values
            .iter()
            .filter_map(|value| value.as_integer())
            .collect()
    };
    assert_eq!(random("3"), BTreeSet::from([1, 2, 3]));
    assert_eq!(random("-1, 1"), BTreeSet::from([-1, 0, 1]));
    assert_eq!(random("7, 7"), BTreeSet::from([7]));
    for whole in ["", "0", "math.mininteger, math.maxinteger"] {
        let values = random(whole);
        assert_eq!(values.len(), 200);
        assert!(values.iter().any(|&value| value < 0) && values.iter().any(|&value| value > 0));
    }
    assert!(
        random("1 << 40")
            .iter()
            .all(|value| (1..=1 << 40).contains(value))
    );
    for wrong in ["0, -1", "-1", "1, 2, 3", "'x'", "{}"] {
        let code = format!("require 'linux'.random({wrong})");
        lua_error(&state, &code, ErrorKind::Script);
    }
}

/// The interfaces as `ip` has them.
fn interfaces(netns: &Netns) -> Vec<(String, i64)> {
    let output = netns.command("ip").args(["-o", "link"]).output();
    let text = String::from_utf8(output.expect("ip runs").stdout).expect("text");
    let line = |line: &str| {
        let mut fields = line.split(": ");
        let index = fields.next()?.parse().ok()?;
        let name = fields.next()?.split('@').next()?;
        Some((name.to_owned(), index))
    };
    text.lines().filter_map(line).collect()
}

fn check_interfaces(netns: &Netns, state: &State) {
    let expected = interfaces(netns);
    assert!(expected.len() > 1);
    let values = lua(state, "return require 'linux'.interfaces()");
    assert_eq!(values[0].as_table().expect("a table").len(), expected.len());
    for (name, index) in expected {
        assert_eq!(
            values[0]
                .get(name.as_str())
                .and_then(lunatik::Value::as_integer),
            Some(index),
            "{name}"
        );
        holds(
            state,
            &format!(
                "local linux = require 'linux' return linux.ifindex '{name}' == {index} and linux.ifname({index}) == '{name}'"
            ),
        );
    }
}

#[test]
fn interfaces_are_those_of_the_namespace() {
    let netns = Netns::new();
    let other = Netns::new();
    let ip = |arguments: &str| {
        let output = netns.command("ip").args(arguments.split(' ')).output();
        assert!(output.expect("ip runs").status.success(), "{arguments}");
    };
    let state = netns.state("a");
    ip("link add mine type veth peer name theirs");
    ip("link add a-name-15-bytes type veth peer name b");
    check_interfaces(&netns, &state);
    let session = netns.session();
    let softirq = session.new_state("s").context(Context::Softirq);
    check_interfaces(&netns, &softirq.create().expect("a state"));
    ip("link set dev b name c");
    ip(&format!("link set dev theirs netns {}", other.name()));
    check_interfaces(&netns, &state);
    for gone in [
        "b",
        "theirs",
        "",
        "lo\\0",
        "a-name-of-more-than-15-bytes",
        "../lo",
    ] {
        holds(
            &state,
            &format!("return require 'linux'.ifindex '{gone}' == nil"),
        );
    }
    for none in ["0", "-1", "math.maxinteger", "(1 << 32) + 1"] {
        holds(
            &state,
            &format!("return require 'linux'.ifname({none}) == nil"),
        );
    }
    holds(
        &other.state("a"),
        "local linux = require 'linux' return linux.ifindex 'theirs' ~= nil and linux.ifindex 'mine' == nil",
    );
}
