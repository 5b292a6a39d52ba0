// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data to a state and from it.

use std::{thread, time::Duration};

use lunatik::{ErrorKind, limits};
use lunatik_sys::{LUNATIK_MESSAGE_MAX, lunatik_attr as A, lunatik_cmd as C};
use lunatik_tests::{
    Answer, Client, Message, Netns, SOON, attributes, eventually, integer, lua, refused, string,
};
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
    for index in [1, 3] {
        let error = answers[index].as_ref().expect_err("the script failed");
        assert_eq!(error.kind(), ErrorKind::Script);
        assert_eq!(error.lua(), alone.lua());
    }
    assert_eq!(told(state.send_all(["ok"])), ["fine"]);
}

#[test]
fn thousands_of_messages_are_each_run_once() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "seen = {}
         require('lunatik').receive(function(data)
           local n = tonumber(data)
           seen[#seen + 1] = n
           if n % 100 == 7 then error('no ' .. n, 0) end
           if n % 3 == 0 then return data end
         end)",
    );
    let count = 10_000;
    let before = state.description().expect("a description");
    let answers = state.send_all((0..count).map(|n| n.to_string()));
    assert_eq!(answers.len(), count);
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Err(error) => {
                assert_eq!(n % 100, 7);
                assert_eq!(error.to_string(), format!("no {n} (EREMOTEIO)"));
                let traceback = error.lua().expect("a Lua error").traceback();
                assert!(traceback.expect("a traceback").contains("'error'"));
            }
            Ok(Some(reply)) => {
                assert!(n % 100 != 7 && n % 3 == 0, "{n}");
                assert_eq!(reply, n.to_string().into_bytes());
            }
            Ok(None) => assert!(n % 100 != 7 && n % 3 != 0, "{n}"),
        }
    }
    // Each once, and in order.
    let in_order = "for i = 1, #seen do if seen[i] ~= i - 1 then return i end end return #seen";
    assert_eq!(integer(&state, in_order), 10_000);
    let after = state.description().expect("a description");
    assert_eq!(after.runs - before.runs, count as u64 + 1);
    assert_eq!(after.errors - before.errors, 100);
}

#[test]
fn each_message_of_a_batch_has_its_own_deadline() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    lua(
        &state,
        "n = 0
         require('lunatik').receive(function(data)
           while data == 'loop' do pcall(function() while true do end end) end
           return data
         end)",
    );
    let state = session.state("a");
    let mut batch = session.batch();
    for timeout in [3, 30, 0, 3, 60, 1, 0] {
        let (data, timeout) = match timeout {
            0 => ("quick", 1000),
            timeout => ("loop", timeout),
        };
        batch.push_within(&state, data, Duration::from_millis(timeout));
    }
    // Much more than 100 ms in all, and than any may take, of which none takes from another.
    for n in 0..8 {
        batch.push_within(&state, "loop", Duration::from_millis(40));
        batch.push_within(&state, n.to_string(), Duration::from_millis(150));
    }
    let answers = told(batch.send());
    let first = [
        "ETIME", "ETIME", "quick", "ETIME", "ETIME", "ETIME", "quick",
    ];
    assert_eq!(answers[..7], first);
    for (n, pair) in answers[7..].chunks(2).enumerate() {
        assert_eq!(pair, ["ETIME".to_owned(), n.to_string()]);
    }
    let description = state.description().expect("a description");
    assert_eq!(description.deadline_kills, 5 + 8);
}

#[test]
fn a_batch_leaves_the_state_to_others() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "n = 0
         local function work() for i = 1, 100000 do end end
         require('lunatik').receive(function() n = n + 1 for i = 1, 10 do work() end end)",
    );
    let other = netns.session();
    thread::scope(|scope| {
        let sending = scope.spawn(|| state.send_all(vec![""; 200]));
        let other = other.state("a");
        let mut between = 0;
        while !sending.is_finished() {
            let n = integer(&other, "return n");
            between += usize::from((1..200).contains(&n));
        }
        for answer in sending.join().expect("no panic") {
            assert_eq!(answer.expect("received"), None);
        }
        assert!(between > 0, "nobody came between");
    });
    assert_eq!(integer(&state, "return n"), 200);
}

#[test]
fn a_state_closes_in_the_middle_of_a_batch() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut subscription = state.subscribe().expect("subscribes");
    lua(
        &state,
        "local lunatik = require 'lunatik'
         lunatik.receive(function(data)
           lunatik.send(data)
           for i = 1, 100000 do end
           return data
         end)",
    );
    let answers = thread::scope(|scope| {
        let sending = scope.spawn(|| state.send_all((0..20_000).map(|n| n.to_string())));
        let first = subscription.recv().expect("a message");
        assert_eq!(first.data, b"0");
        netns
            .session()
            .state("a")
            .close_force()
            .expect("closes while it runs");
        sending.join().expect("no panic")
    });
    let begun = 1 + subscription.map_while(Result::ok).count();
    let answered = answers.iter().take_while(|answer| answer.is_ok()).count();
    for (n, answer) in answers[..answered].iter().enumerate() {
        let reply = answer.as_ref().expect("received").as_deref();
        assert_eq!(reply, Some(n.to_string().as_bytes()));
    }
    // What was under way was ended, and nothing begun after it.
    assert!(answered >= begun - 1, "{answered} of {begun}");
    let kinds: Vec<_> = answers[answered..]
        .iter()
        .map(|answer| answer.as_ref().expect_err("closed").kind())
        .collect();
    assert!(!kinds.is_empty());
    let first = kinds[0];
    assert!(
        matches!(first, ErrorKind::Closed | ErrorKind::NoState),
        "{first:?}"
    );
    assert!(kinds[1..].iter().all(|kind| *kind == ErrorKind::NoState));
}

#[test]
fn a_batch_goes_on_after_every_kind_of_error() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "local lunatik, n = require 'lunatik', 0
         local function f() return f() + 1 end
         kinds = {
           memory = function() return ('x'):rep(1 << 30) end,
           recursion = f,
           type = function() return {} end,
           long = function() return ('x'):rep(61441) end,
           object = function() error(setmetatable({}, {__tostring = function() return 'o' end})) end,
           caught = function() pcall(error, 'x') end,
           caught_too = function() return tostring(select(2, pcall(error, 'x'))) end,
           gone = function() lunatik.receive(nil) return 'last' end,
         }
         lunatik.receive(function(kind) n = n + 1 return (kinds[kind] or tostring)(n) end)",
    );
    let sent = [
        "",
        "memory",
        "",
        "recursion",
        "",
        "type",
        "long",
        "",
        "object",
        "caught",
        "caught_too",
        "gone",
        "",
        "",
    ];
    assert_eq!(
        told(state.send_all(sent)),
        [
            "1",
            "ENOMEM",
            "3",
            "ENOMEM",
            "5",
            "EREMOTEIO",
            "EMSGSIZE",
            "8",
            "EREMOTEIO",
            "nothing",
            "x",
            "last",
            "ENOTCONN",
            "ENOTCONN"
        ]
    );
    // What is wrong with the whole is wrong with each.
    let gone = netns.session();
    assert_eq!(told(gone.state("gone").send_all(["", ""])), ["ENOENT"; 2]);
}

/// Of an answer: the message's number, what it is, and the payload.
type Part = (u32, A, Vec<u8>);

/// The answers in a reply, and how many messages were run.
fn several(answer: &Answer) -> (Vec<Part>, Option<u32>) {
    let mut taken = None;
    let mut answers = Vec::new();
    for reply in &answer.replies {
        taken = reply.u32(A::LUNATIK_A_TAKEN).or(taken);
        for (kind, nest) in &reply.attributes {
            if *kind == A::LUNATIK_A_ANSWER.as_u16() {
                let [index, what] = &attributes(nest)[..] else {
                    panic!("{nest:?}");
                };
                assert_eq!(index.0, A::LUNATIK_A_INDEX.as_u16());
                let index = u32::from_ne_bytes(index.1[..].try_into().expect("4 bytes"));
                answers.push((index, A::from(what.0), what.1.clone()));
            }
        }
    }
    (answers, taken)
}

/// A request with these messages.
fn request(messages: &[&[u8]]) -> Message {
    let add = |request: Message, data: &&[u8]| request.attr(A::LUNATIK_A_MESSAGE, data);
    messages
        .iter()
        .fold(Message::new(C::LUNATIK_CMD_SENDDATA).name("a"), add)
}

#[test]
fn a_request_has_many_messages() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    lua(
        &state,
        "n = 0 require('lunatik').receive(function(d)
           n = n + 1
           if d == 'x' then error('bad', 0) end
           if d ~= '' then return d end
         end)",
    );
    let answer = raw.request(&request(&[b"one", b"", b"x", b"\0"]));
    assert_eq!(answer.errno, 0, "{answer:?}");
    let (answers, taken) = several(&answer);
    assert_eq!(taken, Some(4));
    let what: Vec<_> = answers
        .iter()
        .map(|(index, kind, _)| (*index, *kind))
        .collect();
    assert_eq!(
        what,
        [
            (0, A::LUNATIK_A_DATA),
            (2, A::LUNATIK_A_ERROR),
            (2, A::LUNATIK_A_TRACEBACK),
            (2, A::LUNATIK_A_ERRNO),
            (3, A::LUNATIK_A_DATA),
        ]
    );
    assert_eq!(answers[0].2, b"one");
    assert_eq!(answers[1].2, b"bad");
    assert_eq!(answers[3].2, (libc::EREMOTEIO as u32).to_ne_bytes());
    assert_eq!(answers[4].2, b"\0");
    // One alone has a reply, too, with nothing but the count.
    let answer = raw.request(&request(&[b""]));
    assert_eq!((answer.errno, several(&answer)), (0, (vec![], Some(1))));
    assert_eq!(integer(&state, "return n"), 5);

    // Nothing is run of what is refused.
    let with_data = request(&[b"1"]).attr(A::LUNATIK_A_DATA, b"2");
    let data = vec![b'x'; limits::DATA + 1];
    let too_long = request(&[b"1", &data, b"3"]);
    for (request, errno, attribute) in [
        (with_data, libc::EINVAL, A::LUNATIK_A_DATA),
        (too_long, libc::EMSGSIZE, A::LUNATIK_A_MESSAGE),
    ] {
        let answer = raw.request(&request);
        assert_eq!(answer.errno, errno, "{answer:?}");
        assert_eq!(answer.attribute, Some(attribute.as_u16()), "{answer:?}");
        assert!(answer.text.is_some() && answer.replies.is_empty());
    }
    assert_eq!(integer(&state, "return n"), 5);

    // A reply is never much longer than a message: what would make it so waits.
    let large = vec![b'y'; 30_000];
    let answer = raw.request(&request(&[&large, &large, &large, &large]));
    assert_eq!(answer.errno, 0);
    let (answers, taken) = several(&answer);
    assert_eq!((answers.len(), taken), (3, Some(3)));
    assert_eq!(integer(&state, "return n"), 8);
}
