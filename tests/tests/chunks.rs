// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chunks that a state has compiled before behave as if it had not.

use lunatik::{ErrorKind, State};
use lunatik_tests::{Netns, integer, lua, refused};

#[test]
fn each_run_has_its_own_env() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "x = 1");
    let code = "local seen = x _ENV = {x = 2} return seen";
    for _ in 0..3 {
        assert_eq!(integer(&state, code), 1);
    }
}

#[test]
fn each_run_has_its_own_variables() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "counters = {}");
    for _ in 0..2 {
        lua(
            &state,
            "local n = 0 counters[#counters + 1] = function() n = n + 1 return n end",
        );
    }
    lua(&state, "counters[1]()");
    let values = lua(&state, "return counters[1](), counters[2]()");
    assert_eq!(values, [2.into(), 1.into()]);
}

#[test]
fn a_chunk_has_the_name_of_its_run() {
    let netns = Netns::new();
    let state = netns.state("a");
    let message = |state: &State, name: &str| {
        let error = refused(
            state.call("error 'boom'").chunk_name(name).run(),
            ErrorKind::Script,
        );
        error.lua().expect("a message").message().into_owned()
    };
    for _ in 0..2 {
        assert_eq!(message(&state, "=one"), "one:1: boom");
        assert_eq!(message(&state, "@two.lua"), "two.lua:1: boom");
    }
}

#[test]
fn arguments_are_those_of_the_run() {
    let netns = Netns::new();
    let state = netns.state("a");
    for n in 0..5 {
        let values = state.call("return ...").arg(n).run().expect("it runs");
        assert_eq!(values, [n.into()]);
    }
}

#[test]
fn a_collection_may_come_at_any_time() {
    let netns = Netns::new();
    let state = netns.state("a");
    for n in 1..50 {
        let code = "collectgarbage() n = (n or 0) + 1 collectgarbage('step') return n";
        assert_eq!(integer(&state, code), n);
    }
}

#[test]
fn chunks_that_were_run_once_go() {
    let netns = Netns::new();
    let session = netns.session();
    let small = session.new_state("small").max_alloc(64 << 10);
    let state = small.create().expect("a state");
    for n in 0..2000 {
        let code = format!("local t = {{{n}, 'text {n}'}} return t[1]");
        assert_eq!(integer(&state, &code), n);
    }
    // In the end, all of the memory is a script's.
    lua(&state, "collectgarbage()");
    let held = state.description().expect("a state").curr_alloc;
    assert!(held < 24 << 10, "{held}");
}
