// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values, into a state and out of it.

use lunatik::{ErrorKind, State, Value, limits};
use lunatik_tests::{Netns, integer, lua, refused};

/// What comes back of `value`.
fn echo(state: &State, value: &Value) -> Value {
    let mut values = state
        .call("return ...")
        .arg(value.clone())
        .run()
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(values.len(), 1);
    values.pop().expect("one value")
}

/// Tables in tables, `depth` of them.
fn nested(depth: usize) -> Value {
    (0..depth).fold("deep".into(), |inside, _| Value::sequence([inside]))
}

/// The entries in an order of their own, for Lua's may be any.
fn sorted(value: Value) -> Value {
    match value {
        Value::Table(entries) => {
            let mut entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| (sorted(key), sorted(value)))
                .collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Table(entries)
        }
        other => other,
    }
}

fn large_state(netns: &Netns) -> State {
    netns
        .session()
        .new_state("large")
        .max_alloc(16 << 20)
        .create()
        .expect("a state")
}

#[test]
fn what_goes_in_comes_out() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = [
        Value::Nil,
        true.into(),
        false.into(),
        0.into(),
        (-1).into(),
        i64::MIN.into(),
        i64::MAX.into(),
        i64::from(i32::MIN).into(),
        (i64::from(u32::MAX) + 1).into(),
        "".into(),
        b"a\0b".into(),
        b"\0".into(),
        "ä€😀".into(),
        every_byte.into(),
        vec![b'x'; limits::STRING].into(),
        vec![0_u8; limits::STRING].into(),
        Value::Table(vec![]),
        Value::sequence([1, 2, 3]),
        Value::table([("x", Value::table([("y", Value::Table(vec![]))]))]),
        Value::Table(vec![
            (1.into(), "a".into()),
            (3.into(), "c".into()),
            (i64::MIN.into(), false.into()),
            (true.into(), b"\0".into()),
            (b"\0\xff".into(), i64::MAX.into()),
        ]),
        nested(limits::TABLE_DEPTH),
    ];
    for value in values {
        assert_eq!(sorted(echo(&state, &value)), sorted(value));
    }
}

#[test]
fn extreme_integers_are_whole() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(
        lua(
            &state,
            "return math.mininteger, math.maxinteger, -1, 0x7fffffffffffffff + 1, -1 // 2, -7 % 3, \
             1 << 63, ~0, -9223372036854775807 - 1"
        ),
        [
            i64::MIN,
            i64::MAX,
            -1,
            i64::MIN,
            -1,
            2,
            i64::MIN,
            -1,
            i64::MIN
        ]
        .map(Value::Integer)
    );
}

#[test]
fn many_values_keep_their_order() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let numbers: Vec<i64> = (1..=150).collect();
    let values = state
        .call("return select('#', ...), ...")
        .args(numbers.clone())
        .run()
        .expect("runs");
    assert_eq!(values[0], 150.into());
    let numbers: Vec<Value> = numbers.into_iter().map(Value::Integer).collect();
    assert_eq!(values[1..], numbers);
    assert_eq!(lua(&state, "return table.unpack({}, 1, 200)").len(), 200);
    assert_eq!(lua(&state, "").len(), 0);
    assert_eq!(lua(&state, "return nil").len(), 1);
    assert_eq!(lua(&state, "return nil, nil, nil").len(), 3);
}

fn table_of(count: i64) {
    let netns = Netns::new();
    let state = large_state(&netns);
    let values = state
        .call("local t = {} for i = 1, ... do t[i] = i * 3 end return t, 'last'")
        .arg(count)
        .run()
        .unwrap_or_else(|e| panic!("{count}: {e}"));
    assert_eq!(values.len(), 2);
    let array = values[0].as_array().expect("a sequence");
    assert_eq!(array.len(), usize::try_from(count).expect("positive"));
    assert!(
        (1..)
            .zip(array)
            .all(|(i, value)| value.as_integer() == Some(i * 3)),
        "{count}"
    );
    assert_eq!(values[1], "last".into());
}

#[test]
fn a_table_of_5000_integers_comes_out() {
    table_of(5000);
}

#[test]
fn a_table_of_20000_integers_comes_out() {
    table_of(20_000);
}

#[test]
fn a_table_of_3000_integers_goes_in() {
    let netns = Netns::new();
    let state = large_state(&netns);
    let values: Vec<i64> = (1..=3000).collect();
    let sum = state
        .call("local s = 0 for _, v in ipairs(...) do s = s + v end return s, #...")
        .arg(Value::sequence(values))
        .run()
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(sum, [4_501_500.into(), 3000.into()]);
}

#[test]
fn what_cannot_cross_becomes_text() {
    let netns = Netns::new();
    let state = netns.state("a");
    for (code, start) in [
        ("return print", "function: "),
        ("return function() end", "function: "),
        ("return coroutine.create(print)", "thread: "),
        ("local t = {} t[1] = t return t[1], 1", ""),
    ] {
        let values = lua(&state, code);
        match &values[0] {
            Value::Text(text) => assert!(text.starts_with(start.as_bytes()), "{code}: {values:?}"),
            // The outer table crosses; what is inside it does not.
            Value::Table(entries) => {
                assert!(
                    matches!(&entries[..], [(_, Value::Text(text))] if text.starts_with(b"table: ")),
                    "{code}: {values:?}"
                );
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    // With what __tostring says.
    let values = lua(
        &state,
        "local t = setmetatable({}, {__tostring = function() return 'mine' end}) t.self = t return t",
    );
    assert_eq!(
        values,
        [Value::table([("self", Value::Text(b"mine".to_vec()))])]
    );
}

#[test]
fn too_deep_tables_become_text() {
    let netns = Netns::new();
    let state = netns.state("a");
    let build =
        |depth: usize| format!("local t = 'deep' for i = 1, {depth} do t = {{t}} end return t");
    let depth = limits::TABLE_DEPTH;
    assert_eq!(lua(&state, &build(depth)), [nested(depth)]);
    for deeper in [depth + 1, depth + 2, 10_000] {
        let mut value = &lua(&state, &build(deeper))[0];
        for _ in 0..depth {
            let entries = value.as_table().expect("a table");
            assert_eq!(entries.len(), 1);
            value = &entries[0].1;
        }
        assert!(
            matches!(value, Value::Text(text) if text.starts_with(b"table: ")),
            "{deeper}: {value:?}"
        );
    }
}

#[test]
fn cycles_end() {
    let netns = Netns::new();
    let state = netns.state("a");
    for code in [
        "local t = {} t.t = t return t",
        "local a, b = {}, {} a.b, b.a = b, a return a, b",
        "local t = {} t[t] = t return t",
        "return _G",
        "return package",
        "return string",
    ] {
        let values = lua(&state, code);
        assert!(values[0].as_table().is_some(), "{code}: {values:?}");
    }
    // The same table twice is no cycle.
    assert_eq!(
        lua(&state, "local t = {1} return {t, t}"),
        [Value::sequence([
            Value::sequence([1]),
            Value::sequence([1])
        ])]
    );
}

#[test]
fn metamethods_have_no_part_in_crossing() {
    let netns = Netns::new();
    let state = netns.state("a");
    let values = lua(
        &state,
        "return setmetatable({1}, {__index = function() error 'i' end, \
         __pairs = function() error 'p' end, __len = function() error 'l' end})",
    );
    assert_eq!(values, [Value::sequence([1])]);
}

#[test]
fn too_much_is_refused_and_changes_nothing() {
    let netns = Netns::new();
    let state = large_state(&netns);
    lua(&state, "calls = 0");
    let count = "calls = calls + 1 return ...";
    let too_long = vec![b'x'; limits::STRING + 1];
    refused(state.call(count).arg(too_long).run(), ErrorKind::TooLarge);
    refused(
        state.call(count).arg(nested(limits::TABLE_DEPTH + 1)).run(),
        ErrorKind::TooLarge,
    );
    refused(
        state.call(count).arg(Value::Text(b"x".to_vec())).run(),
        ErrorKind::Invalid,
    );
    refused(
        state
            .call(count)
            .arg(Value::Table(vec![(Value::Nil, 1.into())]))
            .run(),
        ErrorKind::Invalid,
    );
    assert_eq!(integer(&state, "return calls"), 0);
}

#[test]
fn arguments_beyond_the_memory_cap_are_refused() {
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("small")
        .max_alloc(limits::MAX_ALLOC_MIN)
        .create()
        .expect("a state");
    let large = vec![b'x'; limits::STRING];
    refused(
        state.call("return #...").arg(large).run(),
        ErrorKind::OutOfMemory,
    );
    assert_eq!(integer(&state, "return 1"), 1);
}
