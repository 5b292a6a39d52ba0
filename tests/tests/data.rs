// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data to a state and from it.

use std::time::Duration;

use lunatik::{ErrorKind, limits};
use lunatik_sys::LUNATIK_MESSAGE_MAX;
use lunatik_tests::{Client, Netns, SOON, eventually, integer, lua, refused, string};
use nix::{libc, sys::signal::Signal};

const ECHO: &str = "require('lunatik').receive(function(data) return data end)";

#[test]
fn data_of_all_sizes_is_answered() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, ECHO);
    let mixed: Vec<u8> = (0..=255_u8).cycle().take(limits::DATA).collect();
    for data in [
        b"".to_vec(),
        b"x".to_vec(),
        b"\0".to_vec(),
        b"a\0b".to_vec(),
        mixed,
    ] {
        let reply = state.send_data(&data).expect("answered");
        assert_eq!(reply, Some(data));
    }
}

#[test]
fn too_much_data_is_refused() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "got = 0 lunatik = require 'lunatik'");
    lua(
        &state,
        "lunatik.receive(function(d) got = got + 1 return ('x'):rep(61441) end)",
    );
    let error = refused(
        state.send_data(vec![0; limits::DATA + 1]),
        ErrorKind::TooLarge,
    );
    assert!(error.to_string().contains("61440"), "{error}");
    assert_eq!(integer(&state, "return got"), 0);
    // The answer has the same limit.
    let error = refused(state.send_data("x"), ErrorKind::TooLarge);
    assert!(error.to_string().contains("61440"), "{error}");
    assert_eq!(integer(&state, "return got"), 1);
    // And so has what the state sends.
    let error = refused(
        state.do_string("lunatik.send(('x'):rep(61441))"),
        ErrorKind::Script,
    );
    assert!(error.to_string().contains("61440"), "{error}");
}

#[test]
fn receivers_may_return_a_string_or_nothing() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "local l = require 'lunatik' l.receive(function(d) return r end)",
    );
    assert_eq!(state.send_data("x").expect("received"), None);
    lua(&state, "r = ''");
    assert_eq!(state.send_data("x").expect("received"), Some(vec![]));
    for code in ["r = {}", "r = true", "r = print"] {
        lua(&state, code);
        let error = refused(state.send_data("x"), ErrorKind::Script);
        assert!(error.to_string().contains("receiver returned"), "{error}");
    }
    for code in ["'x'", "1", "{}", "true"] {
        refused(
            state.do_string(format!("require('lunatik').receive({code})")),
            ErrorKind::Script,
        );
    }
}

#[test]
fn receivers_fail_as_scripts_do() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "function f(d) error('bad ' .. d) end");
    lua(
        &state,
        "require('lunatik').receive(function(d) return f(d) end)",
    );
    let error = refused(state.send_data("data"), ErrorKind::Script);
    let said = error.lua().expect("a Lua error");
    assert_eq!(said.message(), "dostring:1: bad data");
    assert!(said.traceback().is_some());
    lua(&state, "function f() while true do end end");
    refused(
        state.send_data_within("x", Duration::from_millis(30)),
        ErrorKind::Deadline,
    );
    lua(&state, "function f() return ('x'):rep(1 << 30) end");
    refused(state.send_data("x"), ErrorKind::OutOfMemory);
    lua(&state, "function f(d) return d .. d end");
    assert_eq!(
        state.send_data("ab").expect("received"),
        Some(b"abab".to_vec())
    );
    assert_eq!(state.description().expect("a description").errors, 3);
}

#[test]
fn subscribers_get_what_the_state_sends() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(
        integer(&state, "return require('lunatik').send('nobody')"),
        0
    );
    let mut first = state.subscribe().expect("subscribes");
    let session = netns.session();
    let mut second = session.state("a").subscribe().expect("subscribes");
    assert_eq!(first.try_recv().expect("open"), None);
    let description = state.description().expect("a description");
    assert_eq!(description.subscribers, 2, "{description:?}");
    assert_eq!(
        integer(
            &state,
            "local l = require 'lunatik' l.send('') l.send('b\\0c') return l.send(('x'):rep(61440))"
        ),
        2
    );
    for subscription in [&mut first, &mut second] {
        for (sequence, data) in [
            (2, vec![]),
            (3, b"b\0c".to_vec()),
            (4, vec![b'x'; limits::DATA]),
        ] {
            let message = subscription
                .recv_timeout(SOON)
                .expect("open")
                .expect("a message");
            assert_eq!((message.sequence, message.lost), (sequence, 0));
            assert_eq!(message.data, data);
            assert_eq!(message.state, "a");
            assert_eq!(Some(message.state_id), state.id());
        }
        assert_eq!(subscription.try_recv().expect("open"), None);
    }
    drop(first);
    eventually("one subscriber", || {
        state.description().expect("a description").subscribers == 1
    });
    assert_eq!(integer(&state, "return require('lunatik').send('x')"), 1);
    // A subscription takes data only from its own state.
    let other = netns.state("b");
    assert_eq!(integer(&other, "return require('lunatik').send('x')"), 0);
}

#[test]
fn replies_and_pushed_data_do_not_mix() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "local l = require 'lunatik' l.receive(function(d) l.send('push ' .. d) return 'reply ' .. d end)",
    );
    let mut subscription = state.subscribe().expect("subscribes");
    for n in 0..50 {
        let reply = state.send_data(n.to_string()).expect("received");
        assert_eq!(reply, Some(format!("reply {n}").into_bytes()));
    }
    for n in 0..50 {
        let message = subscription.recv().expect("a message");
        assert_eq!(message.data, format!("push {n}").into_bytes());
    }
}

#[test]
fn lost_messages_are_told() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut subscription = state.subscribe().expect("subscribes");
    lua(
        &state,
        "local l = require 'lunatik' for i = 1, 300 do l.send(('x'):rep(60000)) end",
    );
    let (mut received, mut told, mut last) = (0, 0, 0);
    loop {
        match subscription.try_recv() {
            Ok(Some(message)) => {
                received += 1;
                last = message.sequence;
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
                told += 1;
            }
        }
    }
    assert!(told >= 1, "nobody told of the loss");
    assert!(received > 0 && received < 300, "{received}");
    assert_eq!(last, received, "the first that came are kept");
    // The next one counts what is missing.
    assert_eq!(integer(&state, "return require('lunatik').send('next')"), 1);
    let message = subscription.recv().expect("a message");
    assert_eq!((message.sequence, message.lost), (301, 300 - received));
}

#[test]
fn a_subscription_ends_when_its_state_closes() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut mine = state.subscribe().expect("subscribes");
    let session = netns.session();
    let mut theirs = session.state("a").subscribe().expect("subscribes");
    lua(&state, "require('lunatik').send('last words')");
    // What is the same session's is no obstacle, what is another's is one.
    refused(state.close(), ErrorKind::Busy);
    state.close_force().expect("closes");
    for subscription in [&mut mine, &mut theirs] {
        let message = subscription
            .recv_timeout(SOON)
            .expect("what came before is not lost")
            .expect("a message");
        assert_eq!(message.data, b"last words");
        refused(subscription.recv_timeout(SOON), ErrorKind::Closed);
        assert!(subscription.next().is_none());
    }
}

#[test]
fn a_subscription_is_no_obstacle_to_its_own_session() {
    let netns = Netns::new();
    let state = netns.state("a");
    let subscription = state.subscribe().expect("subscribes");
    state.close().expect("closes");
    assert_eq!(subscription.count(), 0);
}

#[test]
fn a_subscription_keeps_an_ephemeral_state() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("e")
        .ephemeral(true)
        .create()
        .expect("a state");
    let subscription = state.subscribe().expect("subscribes");
    state.put().expect("drops");
    assert_eq!(string(&session.state("e"), "return 'there'"), "there");
    drop(subscription);
    eventually("the state closes", || {
        session
            .state("e")
            .do_string("return 1")
            .is_err_and(|error| error.kind() == ErrorKind::NoState)
    });
}

#[test]
fn a_killed_subscriber_leaves_nothing() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut client = netns.client(
        "local s = l.getstate 'a' assert(s:subscribe()) print 'ready' print(s:receive()) io.read()",
    );
    lua(&state, "require('lunatik').send('hello')");
    assert_eq!(client.line(), "hello\t1\t0");
    client.end(Signal::SIGKILL);
    eventually("no subscriber", || {
        let description = state.description().expect("a description");
        description.subscribers == 0 && description.references == 2
    });
    assert_eq!(integer(&state, "return require('lunatik').send('x')"), 0);
}

#[test]
fn readers_may_be_slow_and_writers_go_on() {
    // A reader that never reads delays nobody.
    let netns = Netns::new();
    let state = netns.state("a");
    let client = netns.client("s = l.getstate 'a' assert(s:subscribe()) print 'ready' io.read()");
    client.signal(Signal::SIGSTOP);
    let mut reader = state.subscribe().expect("subscribes");
    for n in 0..300_u64 {
        lua(&state, "require('lunatik').send(('x'):rep(60000))");
        let message = reader.recv().expect("a message");
        assert_eq!((message.sequence, message.lost), (n + 1, 0));
    }
}

#[test]
fn lunatikctl_receives_and_ends_with_the_state() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut client = Client::start(std::process::Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "receive",
        "a",
    ]));
    eventually("a subscriber", || {
        state.description().expect("a description").subscribers == 1
    });
    lua(
        &state,
        "require('lunatik').send('one') require('lunatik').send('two')",
    );
    assert_eq!(client.line(), "one");
    assert_eq!(client.line(), "two");
    let error = refused(state.close(), ErrorKind::Busy);
    assert_eq!(error.errno(), Some(libc::EBUSY));
    state.close_force().expect("closes");
    let (elapsed, rest) = client.wait();
    assert!(elapsed < SOON, "{elapsed:?}");
    assert_eq!(rest, "");
}

/// What each message was answered, as text; errors by their names.
fn told(answers: Vec<lunatik::Result<Option<Vec<u8>>>>) -> Vec<String> {
    let text = |answer: lunatik::Result<Option<Vec<u8>>>| match answer {
        Ok(Some(reply)) => String::from_utf8(reply).expect("text"),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.errno_name().expect("an errno").to_owned(),
    };
    answers.into_iter().map(text).collect()
}

#[test]
fn a_batch_is_answered_message_by_message() {
    let netns = Netns::new();
    let session = netns.session();
    let (a, b) = (netns.state("a"), netns.state("b"));
    let code = "require('lunatik').receive(function(data)
      if data == 'fail' then error 'as asked' elseif data == 'loop' then while true do end
      elseif data == 'none' then return end
      n = (n or 0) + 1
      return require('lunatik').name .. n .. ' ' .. data
    end)";
    lua(&a, code);
    lua(&b, code);
    let [a, b, gone] = ["a", "b", "gone"].map(|name| session.state(name));
    let mut batch = session.batch();
    batch.push(&a, "x").push(&a, "none").push(&b, "y");
    batch.push(&a, "fail").push(&gone, "x").push(&a, "z");
    batch.push(&a, vec![b'x'; limits::DATA + 1]);
    batch.push_within(&b, "loop", Duration::from_millis(20));
    batch.push(&b, "").push(&b, "none");
    let answers = batch.send();
    let error = answers[3].as_ref().expect_err("the script failed");
    assert_eq!(
        error.lua().expect("a Lua error").message(),
        "dostring:2: as asked"
    );
    let error = answers[4].as_ref().expect_err("no such state");
    assert_eq!(error.kind(), ErrorKind::NoState);
    assert_eq!(
        error.to_string(),
        "no such state in this namespace (ENOENT)"
    );
    assert_eq!(
        told(answers),
        [
            "a1 x",
            "nothing",
            "b1 y",
            "EREMOTEIO",
            "ENOENT",
            "a2 z",
            "EMSGSIZE",
            "ETIME",
            "b2 ",
            "nothing"
        ]
    );
    // The batch can be filled again.
    batch.push(&b, "again");
    assert_eq!(told(batch.send()), ["b3 again"]);
    assert!(batch.send().is_empty());
}

#[test]
fn large_answers_of_a_batch_are_not_lost() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    lua(
        &state,
        "require('lunatik').receive(function(data) return data .. ('x'):rep(61440 - #data) end)",
    );
    let answers = session
        .state("a")
        .send_all((0..600).map(|n| format!("{n} ")));
    assert_eq!(answers.len(), 600);
    for (n, answer) in answers.into_iter().enumerate() {
        let reply = answer.expect("answered").expect("a reply");
        assert_eq!(reply.len(), limits::DATA, "{n}");
        assert!(reply.starts_with(format!("{n} x").as_bytes()), "{n}");
    }
    // And large data goes in.
    lua(
        &state,
        "require('lunatik').receive(function(data) return #data .. data:sub(1, 4) end)",
    );
    let data: Vec<_> = (1000..1020)
        .map(|n| format!("{n}").repeat(limits::DATA / 4))
        .collect();
    let expected: Vec<_> = (1000..1020).map(|n| format!("61440{n}")).collect();
    assert_eq!(told(state.send_all(data)), expected);
}

#[test]
fn large_errors_of_a_batch_are_told_apart() {
    let netns = Netns::new();
    let state = netns.state("a");
    // With the longest message and the longest traceback it is more than fits one
    // message.
    let code = format!(
        "{}
         local f
         local function tail(n) return f(n) end
         function f(n)
           if n == 0 then error(('e'):rep(61440), 0) end
           tail(n - 1)
           return 1
         end
         package.loaded[('m'):rep(60)] = {{[('f'):rep(60)] = f}}
         require('lunatik').receive(function(data)
           if data == 'ok' then return 'fine' end
           f(40)
           return 1
         end)",
        "\n".repeat(99_999)
    );
    let chunk = format!("={}", "c".repeat(59));
    state
        .call(&code)
        .chunk_name(&chunk)
        .run()
        .expect("a receiver");
    let alone = refused(state.send_data("x"), ErrorKind::Script);
    let said = alone.lua().expect("a Lua error");
    let traceback = said.traceback_bytes().expect("a traceback");
    let length = said.message_bytes().len() + traceback.len();
    assert!(length > LUNATIK_MESSAGE_MAX as usize, "{length}");
    let answers = state.send_all(["ok", "x", "ok", "x", "ok"]);
    for index in [0, 2, 4] {
        assert_eq!(
            answers[index].as_ref().expect("received").as_deref(),
            Some(&b"fine"[..])
        );
    }
    let error = answers[1].as_ref().expect_err("the script failed");
    assert_eq!(error.kind(), ErrorKind::Script);
    assert_eq!(error.lua(), alone.lua());
    // The kernel has one answer at a time that is longer than a message.
    let error = answers[3].as_ref().expect_err("the script failed");
    assert_eq!(error.kind(), ErrorKind::Script);
    assert_eq!(error.lua(), None);
    assert!(
        error.to_string().contains("earlier long reply"),
        "{error:.100}"
    );
    assert_eq!(told(state.send_all(["ok"])), ["fine"]);
}
