// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every operation, as the client library makes it.

use std::time::{Duration, SystemTime};

use lunatik::{Context, ErrorKind, Value, limits};
use lunatik_tests::{Netns, integer, lua, refused, string};

#[test]
fn newstate_describes_what_it_made() {
    let netns = Netns::new();
    let session = netns.session();
    let before = SystemTime::now() - Duration::from_secs(1);
    let state = session
        .new_state("fw")
        .max_alloc(1 << 17)
        .timeout(Duration::from_millis(250))
        .create()
        .expect("a state");
    let description = state.snapshot().expect("a description");
    assert_eq!(description.name, "fw");
    assert!(description.id > 0);
    assert_eq!(state.id(), Some(description.id));
    assert_eq!(description.max_alloc, 1 << 17);
    assert!(description.curr_alloc > 0, "{description:?}");
    assert!(description.peak_alloc >= description.curr_alloc);
    assert_eq!(description.context, Context::Process);
    assert!(!description.ephemeral);
    assert_eq!((description.percpu, description.replicas), (false, 1));
    assert_eq!((description.timers, &*description.hooks), (0, &[][..]));
    assert_eq!(description.timeout, Duration::from_millis(250));
    assert_eq!((description.references, description.subscribers), (1, 0));
    assert_eq!((description.runs, description.errors), (0, 0));
    assert_eq!(description.deadline_kills, 0);
    assert!(description.created >= before, "{description:?}");
    assert!(description.created <= SystemTime::now() + Duration::from_secs(1));
}

#[test]
fn defaults_are_those_that_info_tells() {
    let netns = Netns::new();
    let session = netns.session();
    let info = session.info().expect("info");
    assert!(info.lua_version.starts_with("Lua 5.5"), "{info:?}");
    assert!(!info.version.is_empty());
    assert_eq!((info.states, info.alloc), (0, 0), "{info:?}");
    assert!(info.max_states > 0 && info.max_total_alloc > 0, "{info:?}");
    assert!(info.timeout <= info.max_timeout, "{info:?}");
    assert!(info.softirq_timeout <= info.max_softirq_timeout, "{info:?}");
    let state = session.new_state("a").create().expect("a state");
    let description = state.snapshot().expect("a description");
    assert_eq!(description.max_alloc, 1 << 20);
    assert_eq!(description.timeout, info.timeout);
    let info = session.info().expect("info");
    assert_eq!(info.states, 1);
    assert!(info.alloc >= u64::from(description.curr_alloc), "{info:?}");
    state.close().expect("closes");
    let info = session.info().expect("info");
    assert_eq!(info.states, 0);
}

#[test]
fn names_are_any_printable_ascii_to_63_bytes() {
    let netns = Netns::new();
    let session = netns.session();
    let longest = "n".repeat(limits::STATE_NAME);
    for name in ["x", " ", "a b\"'\\~!", &longest] {
        let state = session.new_state(name).create().expect(name);
        assert_eq!(state.name(), Some(name));
        let found = session.get_state(name).expect(name);
        assert_eq!(found.id(), state.id());
        assert_eq!(string(&state, "return require('lunatik').name"), name);
        state.close().expect(name);
    }
}

#[test]
fn states_keep_what_scripts_set() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(lua(&state, "x = 41"), []);
    assert_eq!(integer(&state, "return x + 1"), 42);
    assert_eq!(
        lua(&state, "return 1, 'two', nil, true, {3}"),
        [
            1.into(),
            "two".into(),
            Value::Nil,
            true.into(),
            Value::sequence([3])
        ]
    );
    // A state outlives the session that made it.
    drop(state);
    let session = netns.session();
    assert_eq!(integer(&session.state("a"), "return x"), 41);
}

#[test]
fn dostring_takes_arguments_a_chunk_name_and_a_timeout() {
    let netns = Netns::new();
    let state = netns.state("a");
    let values = state
        .call("return select('#', ...), ...")
        .arg(1)
        .arg(())
        .arg("x")
        .run()
        .expect("runs");
    assert_eq!(values, [3.into(), 1.into(), Value::Nil, "x".into()]);
    let error = refused(
        state.call("\nerror 'boom'").chunk_name("@rules.lua").run(),
        ErrorKind::Script,
    );
    let lua = error.lua().expect("a Lua error");
    assert_eq!(lua.message(), "rules.lua:2: boom");
    let traceback = lua.traceback().expect("a traceback");
    assert!(traceback.starts_with("stack traceback:\n"), "{traceback}");
    assert!(
        traceback.contains("rules.lua:2: in main chunk"),
        "{traceback}"
    );
    refused(
        state
            .call("while true do end")
            .timeout(Duration::from_millis(20))
            .run(),
        ErrorKind::Deadline,
    );
}

#[test]
fn runs_and_errors_are_counted() {
    let netns = Netns::new();
    let state = netns.state("a");
    for _ in 0..3 {
        lua(&state, "return 1");
    }
    refused(state.do_string("error 'x'"), ErrorKind::Script);
    refused(state.do_string("x ="), ErrorKind::Compile);
    refused(
        state
            .call("while true do end")
            .timeout(Duration::from_millis(20))
            .run(),
        ErrorKind::Deadline,
    );
    let description = state.description().expect("a description");
    assert_eq!(description.runs, 6, "{description:?}");
    assert_eq!(description.errors, 3, "{description:?}");
    assert_eq!(description.deadline_kills, 1, "{description:?}");
    assert!(description.run_time >= Duration::from_millis(20));
}

#[test]
fn getstate_finds_by_name_and_by_number() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    let id = state.id().expect("a number");
    let by_name = session.get_state("a").expect("by name");
    let by_id = session.get_state_by_id(id).expect("by number");
    assert_eq!(by_name.id(), Some(id));
    assert_eq!(by_id.name(), Some("a"));
    assert_eq!(by_id.snapshot().expect("a description").references, 3);
    by_name.put().expect("drops");
    by_id.put().expect("drops");
    assert_eq!(state.description().expect("a description").references, 2);
}

#[test]
fn numbers_are_not_used_again_soon() {
    let netns = Netns::new();
    let session = netns.session();
    let first = session.new_state("a").create().expect("a state");
    let id = first.id().expect("a number");
    first.close().expect("closes");
    let second = session.new_state("a").create().expect("a state");
    assert_ne!(second.id(), Some(id));
    refused(session.get_state_by_id(id), ErrorKind::NoState);
}

#[test]
fn putstate_drops_only_what_the_socket_has() {
    let netns = Netns::new();
    let state = netns.state("a");
    let other = netns.session();
    refused(other.state("a").put(), ErrorKind::Invalid);
    assert_eq!(state.description().expect("a description").references, 2);
    state.put().expect("drops");
    refused(other.state("a").put(), ErrorKind::Invalid);
}

#[test]
fn listing_is_complete() {
    let netns = Netns::new();
    let session = netns.session();
    assert_eq!(session.states().expect("a listing"), []);
    let mut names: Vec<String> = (0..300)
        .map(|n| format!("state {n} {}", "x".repeat(40)))
        .collect();
    for name in &names {
        session.new_state(name).create().expect("a state");
    }
    let states = session.states().expect("a listing");
    assert!(states.iter().all(|state| state.references == 0));
    let mut listed: Vec<String> = states.into_iter().map(|state| state.name).collect();
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
}

#[test]
fn ephemeral_states_close_with_their_last_reference() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("e")
        .ephemeral(true)
        .create()
        .expect("a state");
    assert!(state.snapshot().expect("a description").ephemeral);
    let other = netns.session();
    let second = other.get_state("e").expect("a state");
    drop(state);
    assert_eq!(integer(&second, "return 1"), 1);
    second.put().expect("drops");
    refused(session.get_state("e"), ErrorKind::NoState);
}

#[test]
fn close_ends_a_state() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    let handle = session.state("a");
    state.close().expect("closes");
    refused(handle.do_string("return 1"), ErrorKind::NoState);
    refused(handle.send_data("x"), ErrorKind::NoState);
    refused(handle.log(None), ErrorKind::NoState);
    refused(handle.description(), ErrorKind::NoState);
    refused(handle.subscribe(), ErrorKind::NoState);
    refused(handle.close(), ErrorKind::NoState);
    assert_eq!(session.states().expect("a listing"), []);
    // The name is free.
    let again = session.new_state("a").create().expect("a state");
    assert_eq!(lua(&again, "return x"), [Value::Nil]);
}
