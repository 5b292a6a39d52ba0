// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts and results of all sizes.

use lunatik::{ErrorKind, State, Value, limits};
use lunatik_tests::{Netns, integer, lua, refused, string};

fn large_state(netns: &Netns) -> State {
    netns
        .session()
        .new_state("large")
        .max_alloc(16 << 20)
        .create()
        .expect("a state")
}

/// A script of `length` bytes that returns 42.
fn script(length: usize) -> String {
    let tail = "\nreturn 42";
    format!("--{}{tail}", "x".repeat(length - 2 - tail.len()))
}

#[test]
fn the_shortest() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(lua(&state, ""), []);
    assert_eq!(lua(&state, ";"), []);
    refused(state.do_string("x"), ErrorKind::Compile);
    // A script may hold any byte.
    assert_eq!(integer(&state, "return #'a\0b'"), 3);
    assert_eq!(string(&state, "return 'ä'"), "ä");
}

#[test]
fn as_long_as_allowed() {
    let netns = Netns::new();
    let state = large_state(&netns);
    for length in [
        64_999,
        65_000,
        65_001,
        131_072,
        limits::CODE - 1,
        limits::CODE,
    ] {
        let code = script(length);
        assert_eq!(code.len(), length);
        assert_eq!(integer(&state, &code), 42, "{length}");
    }
    // One of real statements.
    let line = "x = (x or 0) + 1\n";
    let code = line.repeat(limits::CODE / line.len());
    lua(&state, &code);
    assert_eq!(
        integer(&state, "return x"),
        i64::try_from(limits::CODE / line.len()).expect("small")
    );
}

#[test]
fn one_byte_more_is_refused() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let error = refused(
        state.do_string(script(limits::CODE + 1)),
        ErrorKind::TooLarge,
    );
    assert!(error.to_string().contains("262144"), "{error}");
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn a_script_in_pieces_is_one() {
    // A token that lies across the boundary of two attributes.
    let netns = Netns::new();
    let state = large_state(&netns);
    let head = format!("--{}\nlocal ", "x".repeat(64_990 - 9));
    let code = format!("{head}one_long_name_across = 42 return one_long_name_across");
    assert!(head.len() < 65_000 && head.len() > 64_980);
    assert_eq!(integer(&state, &code), 42);
}

#[test]
fn results_of_almost_1_mib_in_strings() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let values = lua(
        &state,
        "local t = {} for i = 1, 17 do t[i] = string.char(64 + i):rep(61440) end return table.unpack(t)",
    );
    assert_eq!(values.len(), 17);
    for (value, byte) in values.iter().zip(b'A'..) {
        let bytes = value.as_bytes().expect("a string");
        assert_eq!(bytes.len(), limits::STRING);
        assert!(bytes.iter().all(|b| *b == byte));
    }
}

#[test]
fn results_of_almost_1_mib_in_small_values() {
    let netns = Netns::new();
    let state = large_state(&netns);
    // An integer takes 16 bytes, a table's key and value 32.
    let values = lua(
        &state,
        "local t = {} for i = 1, 30000 do t[i] = -i end return t",
    );
    let array = values[0].as_array().expect("a sequence");
    assert_eq!(array.len(), 30_000);
    assert_eq!(array[29_999], &Value::Integer(-30_000));
}

#[test]
fn results_over_1_mib_are_refused() {
    let netns = Netns::new();
    let state = large_state(&netns);
    for code in [
        "ran = 1 local s = ('x'):rep(61440) local t = {} for i = 1, 18 do t[i] = s end return t",
        "ran = 2 local t = {} for i = 1, 70000 do t[i] = i end return t",
    ] {
        let error = refused(state.do_string(code), ErrorKind::TooLarge);
        assert!(error.to_string().contains("1048576"), "{error}");
    }
    // What ran before stays done.
    assert_eq!(integer(&state, "return ran"), 2);
}

#[test]
fn tracebacks_of_deep_calls_come_whole() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let name = "f".repeat(200);
    let code = format!(
        "local function {name}(n) if n == 0 then error('deep', 0) end {name}(n - 1) return 1 end {name}(100)"
    );
    let error = refused(state.do_string(code), ErrorKind::Script);
    let lua = error.lua().expect("a Lua error");
    assert_eq!(lua.message(), "deep");
    let traceback = lua.traceback().expect("a traceback");
    assert!(traceback.contains("...\t(skipping"), "{traceback}");
    assert!(traceback.contains("in main chunk"), "{traceback}");
}
