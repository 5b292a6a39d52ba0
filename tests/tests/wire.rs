// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that no client library would send: each is refused with an errno
//! and a text, and changes nothing.

use std::os::fd::{AsFd, AsRawFd};

use lunatik_sys::{lunatik_attr as A, lunatik_cmd as C, lunatik_flag as F, lunatik_value as V};
use lunatik_tests::{Answer, Message, NLM_F_DUMP, Netns, Raw, integer, lua};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{MsgFlags, recv, setsockopt, sockopt::RcvBuf},
};

/// Fails unless `message` is refused so, by a text or a pointer that tells of
/// the attribute.
#[track_caller]
fn refused(raw: &mut Raw, message: &Message, errno: i32, attribute: A, name: &str) -> Answer {
    let answer = raw.request(message);
    assert_eq!(answer.errno, errno, "{message:?}: {answer:?}");
    assert!(answer.blames(attribute, name), "{message:?}: {answer:?}");
    assert!(
        answer.text.is_some(),
        "without a text: {message:?}: {answer:?}"
    );
    answer
}

fn value(kind: V, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).expect("small");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.as_u16().to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

const NESTED: u16 = 0x8000;

fn arg(message: Message, kind: V, payload: &[u8]) -> Message {
    message.any(A::LUNATIK_A_ARG.as_u16() | NESTED, &value(kind, payload))
}

#[test]
fn a_right_message_is_answered() {
    let netns = Netns::new();
    let mut raw = netns.raw();
    let answer = raw.request(&Message::new(C::LUNATIK_CMD_NEWSTATE).name("a"));
    assert_eq!(answer.errno, 0, "{answer:?}");
    assert_eq!(answer.replies.len(), 1, "{answer:?}");
    let reply = &answer.replies[0];
    assert_eq!(reply.command, C::LUNATIK_CMD_NEWSTATE.as_u8());
    for attribute in [
        A::LUNATIK_A_STATE_NAME,
        A::LUNATIK_A_STATE_ID,
        A::LUNATIK_A_MAX_ALLOC,
        A::LUNATIK_A_CURR_ALLOC,
        A::LUNATIK_A_PEAK_ALLOC,
        A::LUNATIK_A_CONTEXT,
        A::LUNATIK_A_FLAGS,
        A::LUNATIK_A_TIMEOUT,
        A::LUNATIK_A_REFERENCES,
        A::LUNATIK_A_SUBSCRIBERS,
        A::LUNATIK_A_RUNS,
        A::LUNATIK_A_ERRORS,
        A::LUNATIK_A_DEADLINE_KILLS,
        A::LUNATIK_A_RUN_TIME,
        A::LUNATIK_A_CREATED,
        A::LUNATIK_A_REPLICAS,
        A::LUNATIK_A_TIMERS,
    ] {
        let count = reply
            .attributes
            .iter()
            .filter(|(kind, _)| *kind == attribute.as_u16())
            .count();
        assert_eq!(count, 1, "{attribute:?}: {reply:?}");
    }
    let name = &reply.attributes[0];
    assert_eq!(name, &(A::LUNATIK_A_STATE_NAME.as_u16(), b"a\0".to_vec()));
    let run = Message::new(C::LUNATIK_CMD_DOSTRING).name("a");
    let answer = raw.request(
        &arg(run, V::LUNATIK_V_INTEGER, &41_i64.to_ne_bytes())
            .attr(A::LUNATIK_A_CODE, b"return ... +")
            .attr(A::LUNATIK_A_CODE, b"")
            .attr(A::LUNATIK_A_CODE, b" 1"),
    );
    assert_eq!(answer.errno, 0, "{answer:?}");
    assert_eq!(
        answer.replies[0].attributes,
        [(
            A::LUNATIK_A_RESULT.as_u16(),
            value(V::LUNATIK_V_INTEGER, &42_i64.to_ne_bytes())
        )]
    );
}

#[test]
fn missing_attributes_are_named() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let mut raw = netns.raw();
    let all = &mut raw;
    for (message, attribute, name) in [
        (
            Message::new(C::LUNATIK_CMD_NEWSTATE),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_CLOSE),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_GETSTATE),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_PUTSTATE),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_DOSTRING).attr(A::LUNATIK_A_CODE, b"x = 1"),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_SENDDATA).attr(A::LUNATIK_A_DATA, b"x"),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_GETLOG).flags(NLM_F_DUMP),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_DOSTRING).name("a"),
            A::LUNATIK_A_CODE,
            "CODE",
        ),
        (
            Message::new(C::LUNATIK_CMD_SENDDATA).name("a"),
            A::LUNATIK_A_DATA,
            "DATA",
        ),
    ] {
        refused(all, &message, libc::EINVAL, attribute, name);
    }
}

#[test]
fn a_state_is_named_in_one_way() {
    let netns = Netns::new();
    let state = netns.state("a");
    let id = state.id().expect("a number");
    let mut raw = netns.raw();
    for command in [
        C::LUNATIK_CMD_CLOSE,
        C::LUNATIK_CMD_GETSTATE,
        C::LUNATIK_CMD_PUTSTATE,
        C::LUNATIK_CMD_DOSTRING,
        C::LUNATIK_CMD_SENDDATA,
    ] {
        let mut message = Message::new(command)
            .name("a")
            .u32(A::LUNATIK_A_STATE_ID, id);
        if command == C::LUNATIK_CMD_DOSTRING {
            message = message.attr(A::LUNATIK_A_CODE, b"ran = true");
        }
        if command == C::LUNATIK_CMD_SENDDATA {
            message = message.attr(A::LUNATIK_A_DATA, b"x");
        }
        refused(
            &mut raw,
            &message,
            libc::EINVAL,
            A::LUNATIK_A_STATE_ID,
            "STATE_ID",
        );
    }
    assert_eq!(lua(&state, "return ran"), [lunatik::Value::Nil]);
    assert_eq!(lunatik_tests::references(&state), 1);
    // NEWSTATE takes no number.
    let message = Message::new(C::LUNATIK_CMD_NEWSTATE)
        .name("b")
        .u32(A::LUNATIK_A_STATE_ID, 7);
    refused(
        &mut raw,
        &message,
        libc::EINVAL,
        A::LUNATIK_A_STATE_ID,
        "STATE_ID",
    );
    // 0 is nobody's.
    let message = Message::new(C::LUNATIK_CMD_GETSTATE).u32(A::LUNATIK_A_STATE_ID, 0);
    refused(
        &mut raw,
        &message,
        libc::ENOENT,
        A::LUNATIK_A_STATE_ID,
        "STATE_ID",
    );
}

#[test]
fn names_have_their_form() {
    let netns = Netns::new();
    let mut raw = netns.raw();
    let new = || Message::new(C::LUNATIK_CMD_NEWSTATE);
    let name = A::LUNATIK_A_STATE_NAME;
    let long = "n".repeat(64);
    let answer = refused(
        &mut raw,
        &new().name(&long),
        libc::EMSGSIZE,
        name,
        "STATE_NAME",
    );
    assert!(answer.text.expect("a text").contains("63"));
    let longer = "n".repeat(5000);
    refused(
        &mut raw,
        &new().name(&longer),
        libc::EMSGSIZE,
        name,
        "STATE_NAME",
    );
    for bytes in [&b"\0"[..], b"a/b\0", b"\xff\0", b"a\nb\0"] {
        refused(
            &mut raw,
            &new().attr(name, bytes),
            libc::EINVAL,
            name,
            "STATE_NAME",
        );
    }
    // Without its NUL, or without anything.
    for bytes in [&b""[..], b"a", b"abc", &[b'n'; 64]] {
        let answer = raw.request(&new().attr(name, bytes));
        assert!(
            [libc::EINVAL, libc::ERANGE].contains(&answer.errno),
            "{bytes:?}: {answer:?}"
        );
        assert!(answer.blames(name, "STATE_NAME"), "{bytes:?}: {answer:?}");
    }
    assert_eq!(netns.session().states().expect("a listing"), []);
    // What follows a NUL is refused or no part of the name.
    let answer = raw.request(&new().attr(name, b"a\0b\0"));
    let names: Vec<_> = netns
        .session()
        .states()
        .expect("a listing")
        .into_iter()
        .map(|state| state.name)
        .collect();
    if answer.errno == 0 {
        assert_eq!(names, ["a"]);
    } else {
        assert_eq!(names.len(), 0);
    }
}

#[test]
fn lengths_are_exact() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    for attribute in [
        A::LUNATIK_A_MAX_ALLOC,
        A::LUNATIK_A_FLAGS,
        A::LUNATIK_A_TIMEOUT,
        A::LUNATIK_A_CONTEXT,
    ] {
        for bytes in [&b""[..], b"x", b"xxx", b"xxxxx", b"xxxxxxxx"] {
            let message = Message::new(C::LUNATIK_CMD_NEWSTATE)
                .name("b")
                .attr(attribute, bytes);
            let answer = raw.request(&message);
            assert!(
                [libc::EINVAL, libc::ERANGE].contains(&answer.errno),
                "{message:?}: {answer:?}"
            );
            assert!(answer.blames(attribute, "?"), "{message:?}: {answer:?}");
        }
    }
    for bytes in [&b""[..], b"xx", b"xxxxxxxx"] {
        let message = Message::new(C::LUNATIK_CMD_CLOSE).attr(A::LUNATIK_A_STATE_ID, bytes);
        let answer = raw.request(&message);
        assert!(
            [libc::EINVAL, libc::ERANGE].contains(&answer.errno),
            "{answer:?}"
        );
        assert!(
            answer.blames(A::LUNATIK_A_STATE_ID, "STATE_ID"),
            "{answer:?}"
        );
    }
    let message = Message::new(C::LUNATIK_CMD_GETLOG)
        .flags(NLM_F_DUMP)
        .name("a")
        .attr(A::LUNATIK_A_SEQUENCE, b"xxxx");
    let answer = raw.request(&message);
    assert!(
        [libc::EINVAL, libc::ERANGE].contains(&answer.errno),
        "{answer:?}"
    );
    assert_eq!(integer(&state, "return 1"), 1);
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn attributes_that_have_no_place_are_refused() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    // The kernel's own, those of other operations, unknown ones.
    for kind in [
        A::LUNATIK_A_CURR_ALLOC.as_u16(),
        A::LUNATIK_A_REFERENCES.as_u16(),
        A::LUNATIK_A_DATA.as_u16(),
        A::LUNATIK_A_RESULT.as_u16(),
        A::LUNATIK_A_MAX_TIMEOUT.as_u16(),
        A::LUNATIK_A_HOOK.as_u16(),
        A::LUNATIK_A_DEV.as_u16(),
        A::__LUNATIK_A_MAX.as_u16(),
        1000,
        0x3fff,
    ] {
        for message in [
            Message::new(C::LUNATIK_CMD_NEWSTATE).name("b"),
            Message::new(C::LUNATIK_CMD_CLOSE).name("a"),
            Message::new(C::LUNATIK_CMD_GETSTATE).name("a"),
            Message::new(C::LUNATIK_CMD_PUTSTATE).name("a"),
            Message::new(C::LUNATIK_CMD_DOSTRING)
                .name("a")
                .attr(A::LUNATIK_A_CODE, b"ran = true"),
            Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP),
            Message::new(C::LUNATIK_CMD_GETINFO),
        ] {
            let message = message.any(kind, b"xxxx");
            let answer = raw.request(&message);
            assert_eq!(answer.errno, libc::EINVAL, "{message:?}: {answer:?}");
            assert!(
                answer.attribute == Some(kind) || answer.text.is_some(),
                "{message:?}: {answer:?}"
            );
        }
    }
    assert_eq!(lua(&state, "return ran"), [lunatik::Value::Nil]);
    assert_eq!(lunatik_tests::references(&state), 1);
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn unknown_flag_bits_are_refused() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    let (ephemeral, force, subscribe) = (
        F::LUNATIK_F_EPHEMERAL.0,
        F::LUNATIK_F_FORCE.0,
        F::LUNATIK_F_SUBSCRIBE.0,
    );
    let percpu = F::LUNATIK_F_PERCPU.0;
    for (message, flags) in [
        (
            Message::new(C::LUNATIK_CMD_NEWSTATE).name("b"),
            [force, subscribe, 16, 1 << 31],
        ),
        (
            Message::new(C::LUNATIK_CMD_CLOSE).name("a"),
            [ephemeral, subscribe, percpu, u32::MAX],
        ),
        (
            Message::new(C::LUNATIK_CMD_GETSTATE).name("a"),
            [ephemeral, force, percpu, 1 << 31],
        ),
    ] {
        for flag in flags {
            let message = message.clone().u32(A::LUNATIK_A_FLAGS, flag);
            refused(
                &mut raw,
                &message,
                libc::EINVAL,
                A::LUNATIK_A_FLAGS,
                "FLAGS",
            );
        }
    }
    assert_eq!(lunatik_tests::references(&state), 1);
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
    // No flag at all is a value too.
    let answer = raw.request(
        &Message::new(C::LUNATIK_CMD_NEWSTATE)
            .name("b")
            .u32(A::LUNATIK_A_FLAGS, 0),
    );
    assert_eq!(answer.errno, 0, "{answer:?}");
}

#[test]
fn contexts_are_those_of_the_header() {
    let netns = Netns::new();
    let mut raw = netns.raw();
    let new = |name| Message::new(C::LUNATIK_CMD_NEWSTATE).name(name);
    let (context, flags) = (A::LUNATIK_A_CONTEXT, A::LUNATIK_A_FLAGS);
    for number in [2, 1 << 16, u32::MAX] {
        let message = new("a").u32(context, number);
        refused(&mut raw, &message, libc::EINVAL, context, "CONTEXT");
    }
    let percpu = F::LUNATIK_F_PERCPU.0;
    for message in [new("a"), new("a").u32(context, 0)] {
        for flag in [percpu, percpu | F::LUNATIK_F_EPHEMERAL.0] {
            let message = message.clone().u32(flags, flag);
            let answer = refused(&mut raw, &message, libc::EINVAL, flags, "PERCPU");
            let text = answer.text.expect("a text");
            assert!(
                text.contains("PERCPU") && text.contains("SOFTIRQ"),
                "{text}"
            );
        }
    }
    assert_eq!(netns.session().states().expect("a listing"), []);
    for (name, message) in [
        ("process", new("process").u32(context, 0)),
        ("softirq", new("softirq").u32(context, 1)),
        (
            "replicas",
            new("replicas").u32(context, 1).u32(flags, percpu),
        ),
    ] {
        let answer = raw.request(&message);
        assert_eq!(answer.errno, 0, "{answer:?}");
        let reply = &answer.replies[0];
        let expected = u32::from(name != "process");
        assert_eq!(reply.u32(context), Some(expected), "{reply:?}");
        let expected = if name == "replicas" { percpu } else { 0 };
        assert_eq!(reply.u32(flags), Some(expected), "{reply:?}");
    }
}

#[test]
fn attributes_given_twice_are_refused() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    let id = state.id().expect("a number");
    for (message, attribute, name) in [
        (
            Message::new(C::LUNATIK_CMD_NEWSTATE).name("b").name("c"),
            A::LUNATIK_A_STATE_NAME,
            "STATE_NAME",
        ),
        (
            Message::new(C::LUNATIK_CMD_NEWSTATE)
                .name("b")
                .u32(A::LUNATIK_A_MAX_ALLOC, 1 << 20)
                .u32(A::LUNATIK_A_MAX_ALLOC, 1 << 20),
            A::LUNATIK_A_MAX_ALLOC,
            "MAX_ALLOC",
        ),
        (
            Message::new(C::LUNATIK_CMD_NEWSTATE)
                .name("b")
                .u32(A::LUNATIK_A_CONTEXT, 0)
                .u32(A::LUNATIK_A_CONTEXT, 1),
            A::LUNATIK_A_CONTEXT,
            "CONTEXT",
        ),
        (
            Message::new(C::LUNATIK_CMD_CLOSE)
                .u32(A::LUNATIK_A_STATE_ID, id)
                .u32(A::LUNATIK_A_STATE_ID, id),
            A::LUNATIK_A_STATE_ID,
            "STATE_ID",
        ),
        (
            Message::new(C::LUNATIK_CMD_SENDDATA)
                .name("a")
                .attr(A::LUNATIK_A_DATA, b"x")
                .attr(A::LUNATIK_A_DATA, b"y"),
            A::LUNATIK_A_DATA,
            "DATA",
        ),
    ] {
        refused(&mut raw, &message, libc::EINVAL, attribute, name);
    }
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn versions_and_operations_that_are_not_there() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let mut raw = netns.raw();
    for version in [0, 2, 255] {
        for message in [
            Message::new(C::LUNATIK_CMD_NEWSTATE).name("b"),
            Message::new(C::LUNATIK_CMD_GETINFO),
            Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP),
        ] {
            let answer = raw.request(&message.version(version));
            assert_eq!(answer.errno, libc::EINVAL, "{version}: {answer:?}");
            let text = answer.text.expect("a text");
            assert!(text.contains("version is 1"), "{text}");
        }
    }
    for command in [
        0,
        C::LUNATIK_CMD_STATE_CREATED_NTF.as_u8(),
        C::LUNATIK_CMD_LOG_NTF.as_u8(),
        13,
        255,
    ] {
        let answer = raw.request(&Message::new(C::LUNATIK_CMD_GETINFO).command(command));
        assert_eq!(answer.errno, libc::EOPNOTSUPP, "{command}: {answer:?}");
    }
    // What cannot be listed, and what can only be.
    let answer = raw.request(
        &Message::new(C::LUNATIK_CMD_CLOSE)
            .name("a")
            .flags(NLM_F_DUMP),
    );
    assert_eq!(answer.errno, libc::EOPNOTSUPP, "{answer:?}");
    let answer = raw.request(&Message::new(C::LUNATIK_CMD_GETLOG).name("a"));
    assert_eq!(answer.errno, libc::EOPNOTSUPP, "{answer:?}");
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn values_have_their_form() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "ran = 0");
    let mut raw = netns.raw();
    let run = || {
        Message::new(C::LUNATIK_CMD_DOSTRING)
            .name("a")
            .attr(A::LUNATIK_A_CODE, b"ran = ran + 1")
    };
    let one = |kind, payload: &[u8]| arg(run(), kind, payload);
    let raw_arg = |payload: &[u8]| run().any(A::LUNATIK_A_ARG.as_u16() | NESTED, payload);
    let table = || arg(run(), V::LUNATIK_V_TABLE, b"");
    let integer_bytes = 1_i64.to_ne_bytes();
    let mut nested = run();
    for _ in 0..9 {
        nested = arg(
            arg(nested, V::LUNATIK_V_TABLE, b""),
            V::LUNATIK_V_INTEGER,
            &integer_bytes,
        );
    }
    let mut two = value(V::LUNATIK_V_NIL, b"");
    two.extend(value(V::LUNATIK_V_NIL, b""));
    for message in [
        raw_arg(b""),
        raw_arg(&two),
        raw_arg(b"\x04\0"),
        raw_arg(b"\xff\xff\x03\0"),
        run().any(A::LUNATIK_A_ARG.as_u16(), &value(V::LUNATIK_V_NIL, b"")),
        one(V::LUNATIK_V_UNSPEC, b""),
        one(V::LUNATIK_V_TEXT, b"x"),
        one(V(8), b"x"),
        one(V(1000), b"x"),
        one(V::LUNATIK_V_NIL, b"x"),
        one(V::LUNATIK_V_BOOLEAN, b""),
        one(V::LUNATIK_V_BOOLEAN, &[2]),
        one(V::LUNATIK_V_INTEGER, b"xxxx"),
        one(V::LUNATIK_V_INTEGER, b"xxxxxxxxx"),
        one(V::LUNATIK_V_END, b""),
        table(),
        arg(
            arg(table(), V::LUNATIK_V_INTEGER, &integer_bytes),
            V::LUNATIK_V_END,
            b"",
        ),
        arg(table(), V::LUNATIK_V_NIL, b""),
        nested,
    ] {
        let answer = raw.request(&message);
        assert!(
            [libc::EINVAL, libc::ERANGE].contains(&answer.errno),
            "{message:?}: {answer:?}"
        );
        assert!(answer.text.is_some(), "{message:?}: {answer:?}");
    }
    let long = vec![b'x'; 61_441];
    refused(
        &mut raw,
        &one(V::LUNATIK_V_STRING, &long),
        libc::EMSGSIZE,
        A::LUNATIK_A_ARG,
        "ARG",
    );
    assert_eq!(integer(&state, "return ran"), 0);
}

#[test]
fn what_is_too_large_is_told_with_the_limit() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "ran = 0");
    let mut raw = netns.raw();
    let run = || Message::new(C::LUNATIK_CMD_DOSTRING).name("a");
    let part = [vec![b' '; 60_000], b" ".to_vec()].concat();
    let mut message = run();
    for _ in 0..5 {
        message = message.attr(A::LUNATIK_A_CODE, &part);
    }
    let answer = refused(
        &mut raw,
        &message,
        libc::EMSGSIZE,
        A::LUNATIK_A_CODE,
        "CODE",
    );
    assert!(answer.text.expect("a text").contains("262144"));
    let code = |message: Message| message.attr(A::LUNATIK_A_CODE, b"ran = ran + 1");
    let message = code(run()).text(A::LUNATIK_A_CHUNK_NAME, &"n".repeat(256));
    let answer = refused(
        &mut raw,
        &message,
        libc::EMSGSIZE,
        A::LUNATIK_A_CHUNK_NAME,
        "CHUNK_NAME",
    );
    assert!(answer.text.expect("a text").contains("255"));
    let message = code(run()).text(A::LUNATIK_A_CHUNK_NAME, "");
    refused(
        &mut raw,
        &message,
        libc::EINVAL,
        A::LUNATIK_A_CHUNK_NAME,
        "CHUNK_NAME",
    );
    let message = Message::new(C::LUNATIK_CMD_SENDDATA)
        .name("a")
        .attr(A::LUNATIK_A_DATA, &vec![0; 61_441]);
    let answer = refused(
        &mut raw,
        &message,
        libc::EMSGSIZE,
        A::LUNATIK_A_DATA,
        "DATA",
    );
    assert!(answer.text.expect("a text").contains("61440"));
    for timeout in [0, u32::MAX] {
        let message = code(run()).u32(A::LUNATIK_A_TIMEOUT, timeout);
        refused(
            &mut raw,
            &message,
            libc::ERANGE,
            A::LUNATIK_A_TIMEOUT,
            "TIMEOUT",
        );
    }
    assert_eq!(integer(&state, "return ran"), 0);
    // The longest chunk name.
    let message = run()
        .attr(A::LUNATIK_A_CODE, b"return 1")
        .text(A::LUNATIK_A_CHUNK_NAME, &"n".repeat(255));
    assert_eq!(raw.request(&message).errno, 0);
}

#[test]
fn bytes_that_are_no_attributes_are_refused() {
    let netns = Netns::new();
    let mut raw = netns.raw();
    let new = || Message::new(C::LUNATIK_CMD_NEWSTATE);
    for bytes in [
        // An attribute longer than the message, shorter than its header, cut off.
        &b"\xff\xff\x01\0ab\0\0"[..],
        b"\x03\0\x01\0",
        b"\0\0\x01\0",
        b"\x08\0",
        b"garbage that goes on for a while",
    ] {
        let answer = raw.request(&new().bytes(bytes));
        assert_eq!(answer.errno, libc::EINVAL, "{bytes:?}: {answer:?}");
        let answer = raw.request(&new().name("a").bytes(bytes));
        assert_eq!(answer.errno, libc::EINVAL, "{bytes:?}: {answer:?}");
    }
    assert_eq!(netns.session().states().expect("a listing"), []);
}

#[test]
fn random_messages_do_no_harm() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    // A simple generator: the same messages each time.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..3000 {
        let command = u8::try_from(next() % 10).expect("small");
        let mut message = Message::new(C::LUNATIK_CMD_GETINFO).command(command);
        if next() % 2 == 0 {
            message = message.name("a");
        }
        for _ in 0..next() % 4 {
            let kind = u16::try_from(next() % 40).expect("small");
            // Nothing that runs for long or ends the state.
            let kind = if kind == A::LUNATIK_A_CODE.as_u16() {
                0
            } else {
                kind
            };
            let length = usize::try_from(next() % 24).expect("small");
            let payload: Vec<u8> = (0..length)
                .map(|_| next().to_ne_bytes()[0] & 0x0f)
                .collect();
            let nested = if next() % 2 == 0 { NESTED } else { 0 };
            message = message.any(kind | nested, &payload);
        }
        if command == C::LUNATIK_CMD_CLOSE.as_u8() {
            continue;
        }
        raw.request(&message);
    }
    assert_eq!(integer(&state, "return 6 * 7"), 42);
}

#[test]
fn a_socket_may_close_before_its_answer() {
    let netns = Netns::new();
    let state = netns.state("a");
    for _ in 0..50 {
        let mut raw = netns.raw();
        raw.send(&Message::new(C::LUNATIK_CMD_DOSTRING).name("a").attr(
            A::LUNATIK_A_CODE,
            b"n = (n or 0) + 1 return ('x'):rep(60000)",
        ));
        raw.send(&Message::new(C::LUNATIK_CMD_GETSTATE).name("a"));
        drop(raw);
    }
    assert_eq!(integer(&state, "return n"), 50);
    lunatik_tests::eventually("the references are gone", || {
        lunatik_tests::references(&state) == 1
    });
}

#[test]
fn who_cannot_be_told_of_a_reference_has_none() {
    let netns = Netns::new();
    let state = netns.state("fw");
    let mut deaf = netns.raw();
    // As little as the kernel allows, which the first ACKs fill.
    setsockopt(&deaf, RcvBuf, &0).expect("a smaller buffer");
    let reference = Message::new(C::LUNATIK_CMD_GETSTATE).name("fw");
    let subscribe = F::LUNATIK_F_SUBSCRIBE.0;
    let subscription = reference.clone().u32(A::LUNATIK_A_FLAGS, subscribe);
    for _ in 0..20 {
        deaf.send(&reference);
    }
    deaf.send(&subscription);
    let mut told = 0;
    let mut buffer = [0; 4096];
    loop {
        match recv(
            deaf.as_fd().as_raw_fd(),
            &mut buffer,
            MsgFlags::MSG_DONTWAIT,
        ) {
            // Something was lost.
            Err(Errno::ENOBUFS) => {}
            Err(Errno::EAGAIN) => break,
            Err(error) => panic!("{error}"),
            Ok(length) => {
                let error = u16::from_ne_bytes([buffer[4], buffer[5]]) == 2;
                told += u32::from(!error && length > 0);
            }
        }
    }
    assert!((1..20).contains(&told), "{told}");
    let description = state.description().expect("a description");
    // That of who made the state, and that which the description took.
    assert_eq!(description.references, 2 + told);
    assert_eq!(description.subscribers, 0);
}

#[test]
fn listings_may_be_left_in_the_middle() {
    let netns = Netns::new();
    let session = netns.session();
    for n in 0..300 {
        session
            .new_state(&format!("s{n}"))
            .create()
            .expect("a state");
    }
    for _ in 0..20 {
        let mut raw = netns.raw();
        raw.send(&Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP));
        raw.send(
            &Message::new(C::LUNATIK_CMD_GETLOG)
                .name("s1")
                .flags(NLM_F_DUMP),
        );
        drop(raw);
    }
    session.state("s1").close().expect("closes");
    assert_eq!(session.states().expect("a listing").len(), 299);
}
