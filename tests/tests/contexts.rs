// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contexts and replicas of states, as clients ask for them and are told of them.

use std::time::Duration;

use lunatik::{Context, Description, ErrorKind, State, Value};
use lunatik_tests::{Netns, cpus, integer, lua, refused};
use nix::libc;
use serde_json::json;

fn snapshot(state: &State) -> &Description {
    state.snapshot().expect("a description")
}

#[test]
fn the_library_makes_and_tells_them() {
    let netns = Netns::new();
    let session = netns.session();
    let new = |name| session.new_state(name);
    let made = [
        (new("default"), Context::Process, false),
        (
            new("process").context(Context::Process),
            Context::Process,
            false,
        ),
        (
            new("softirq").context(Context::Softirq),
            Context::Softirq,
            false,
        ),
        (
            new("replicas").context(Context::Softirq).percpu(true),
            Context::Softirq,
            true,
        ),
    ]
    .map(|(new, context, percpu)| {
        let state = new.create().expect("a state");
        (state, context, percpu)
    });
    let listed = session.states().expect("a listing");
    for (state, context, percpu) in &made {
        let asked = state.description().expect("a description");
        let listed = listed
            .iter()
            .find(|one| one.id == asked.id)
            .expect("listed");
        for told in [snapshot(state), &asked, listed] {
            let replicas = if *percpu { cpus() } else { 1 };
            assert_eq!(told.context, *context, "{told:?}");
            assert_eq!(
                (told.percpu, told.replicas),
                (*percpu, replicas),
                "{told:?}"
            );
            assert_eq!((told.timers, told.hooks.len()), (0, 0), "{told:?}");
            assert!(!told.ephemeral, "{told:?}");
        }
        assert_eq!(integer(state, "return 6 * 7"), 42);
    }
}

#[test]
fn the_command_makes_and_tells_them() {
    let netns = Netns::new();
    netns.ctl(&["newstate", "a"]).success();
    let made = netns.ctl(&["-j", "newstate", "b", "--context", "softirq", "--percpu"]);
    assert_eq!(made.json()["context"], "softirq");
    netns
        .ctl(&["newstate", "c", "--context", "process"])
        .success();
    let shown = netns.ctl(&["-j", "show", "b"]).json();
    assert_eq!(
        [&shown["context"], &shown["percpu"], &shown["replicas"]],
        [&json!("softirq"), &json!(true), &json!(cpus())]
    );
    let shown = netns.ctl(&["show", "b"]);
    for line in [
        "context: softirq",
        "percpu: yes",
        &format!("replicas: {}", cpus()),
        "timers: 0",
        "hooks: 0",
    ] {
        assert!(shown.success().lines().any(|one| one == line), "{shown:?}");
    }
    assert!(netns.ctl(&["show", "a"]).success().contains("percpu: no\n"));
    let listed = netns.ctl(&["list"]);
    let contexts: Vec<_> = listed
        .success()
        .lines()
        .map(|line| line.split_whitespace().nth(2).expect("a column"))
        .collect();
    assert_eq!(contexts, ["CONTEXT", "process", "softirq", "process"]);
}

#[test]
fn replicas_need_the_context_softirq() {
    let netns = Netns::new();
    let session = netns.session();
    let new = || session.new_state("a").percpu(true);
    for new in [new(), new().context(Context::Process)] {
        let error = refused(new.create(), ErrorKind::Invalid);
        assert_eq!(error.errno(), Some(libc::EINVAL));
        let text = error.message().expect("a text");
        assert!(
            text.contains("PERCPU") && text.contains("SOFTIRQ"),
            "{text}"
        );
    }
    for arguments in [
        &["newstate", "a", "--percpu"][..],
        &["newstate", "a", "--percpu", "--context", "process"],
    ] {
        let output = netns.ctl(arguments);
        let text = output.failure(1);
        assert!(
            text.contains("PERCPU") && text.contains("SOFTIRQ") && text.contains("EINVAL"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    assert_eq!(session.states().expect("a listing"), []);
}

#[test]
fn unknown_contexts_are_refused() {
    let netns = Netns::new();
    let session = netns.session();
    for number in [2, u32::MAX] {
        let new = session.new_state("a").context(Context::Unknown(number));
        let error = refused(new.create(), ErrorKind::Invalid);
        assert_eq!(error.errno(), Some(libc::EINVAL));
        let text = error.message().expect("a text");
        assert!(text.contains("CONTEXT"), "{text}");
    }
    assert_eq!(session.states().expect("a listing"), []);
}

#[test]
fn softirq_states_have_limits_of_their_own() {
    let netns = Netns::new();
    let session = netns.session();
    let info = session.info().expect("info");
    let new = |name| session.new_state(name).context(Context::Softirq);
    let state = new("default").create().expect("a state");
    assert_eq!(snapshot(&state).timeout, info.softirq_timeout);
    let longest = info.max_softirq_timeout;
    let state = new("longest").timeout(longest).create().expect("a state");
    assert_eq!(snapshot(&state).timeout, longest);
    for timeout in [Duration::ZERO, longest + Duration::from_micros(1)] {
        let error = refused(new("a").timeout(timeout).create(), ErrorKind::OutOfRange);
        let text = error.message().expect("a text");
        let limit = longest.as_micros().to_string();
        assert!(text.contains("TIMEOUT") && text.contains(&limit), "{text}");
    }
    let output = netns.ctl(&["newstate", "a", "--context", "softirq", "--timeout", "1s"]);
    assert!(output.failure(1).contains("ERANGE"), "{output:?}");
    // Others may have the same time.
    let new = session.new_state("process");
    let state = new.timeout(longest * 2).create().expect("a state");
    assert_eq!(snapshot(&state).timeout, longest * 2);
    let status = netns.ctl(&["-j", "status"]).json();
    assert_eq!(
        [
            &status["softirq_timeout_us"],
            &status["max_softirq_timeout_us"]
        ],
        [
            &json!(info.softirq_timeout.as_micros()),
            &json!(longest.as_micros())
        ]
    );
    let status = netns.ctl(&["status"]);
    for key in ["softirq_timeout: ", "max_softirq_timeout: "] {
        let told = status.success().lines().any(|line| line.starts_with(key));
        assert!(told, "{status:?}");
    }
}

#[test]
fn nothing_waits_for_a_state_that_is_not_bound() {
    let netns = Netns::new();
    let session = netns.session();
    let info = session.info().expect("info");
    let new = session.new_state("a").context(Context::Softirq);
    let state = new.create().expect("a state");
    // So its scripts have the time that those of other states have.
    let error = refused(state.do_string("while true do end"), ErrorKind::Deadline);
    let text = error.lua().expect("a Lua error").message().into_owned();
    let limit = format!("{} ms", info.timeout.as_millis());
    assert!(text.contains(&limit), "{text}");
    lua(&state, "x = 1");
}

#[test]
fn every_replica_gets_each_of_several_messages() {
    let netns = Netns::new();
    let session = netns.session();
    let new = session.new_state("a").context(Context::Softirq);
    let timeout = session.info().expect("info").max_softirq_timeout;
    let state = new.percpu(true).timeout(timeout).create().expect("a state");
    lua(
        &state,
        "n = 0
         require 'lunatik'.receive(function(data)
           n = n + 1
           if data == 'bad' then error('no good', 0) end
           return data .. n
         end)",
    );
    let bind = "require 'netfilter'.register{family = 'ipv4', hook = 'forward',
        priority = 'filter', function() end}";
    // The second time packets could come in between.
    for first in [1, 5] {
        let runs = || state.description().expect("a description").runs;
        let before = runs();
        let answers = state.send_all(["a", "bad", "c", "d"]);
        assert_eq!(runs() - before, 4 * u64::from(cpus()));
        let text = |at: usize| answers[at].as_ref().expect("an answer").clone();
        for (at, data) in [(0, "a"), (2, "c"), (3, "d")] {
            let expected = format!("{data}{}", first + at);
            assert_eq!(text(at), Some(expected.into_bytes()));
        }
        let error = answers[1].as_ref().expect_err("a failure");
        assert_eq!(error.kind(), ErrorKind::Script, "{error}");
        // Wherever that runs, so many have come.
        assert_eq!(
            integer(&state, "return n"),
            i64::try_from(first + 3).expect("small")
        );
        lua(&state, bind);
    }
}

#[test]
fn a_replica_knows_its_cpu() {
    let netns = Netns::new();
    let session = netns.session();
    let new = |name| session.new_state(name).context(Context::Softirq);
    let state = new("one").create().expect("a state");
    assert_eq!(lua(&state, "return require 'lunatik'.cpu"), [Value::Nil]);
    let state = new("each").percpu(true).create().expect("a state");
    lua(&state, "print(require 'lunatik'.cpu)");
    let replicas = snapshot(&state).replicas;
    let mut log: Vec<_> = state
        .log(None)
        .expect("a log")
        .lines
        .into_iter()
        .map(|line| String::from_utf8(line.text).expect("UTF-8"))
        .collect();
    log.sort();
    if replicas == 1 {
        assert_eq!(log, ["nil"]);
    } else {
        let all: Vec<_> = (0..replicas).map(|cpu| cpu.to_string()).collect();
        assert_eq!(log, all);
    }
}
