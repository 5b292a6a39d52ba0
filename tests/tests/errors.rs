// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every error that a test can make happen without disturbing other tests; the
//! quotas are in `solo_quotas.rs`.

use std::time::Duration;

use lunatik::{ErrorKind, limits};
use lunatik_tests::{Client, Netns, holds, integer, lua, lua_error, refused, run, sh};
use nix::{libc, sys::signal::Signal};

#[test]
fn eperm_without_rights() {
    let netns = Netns::new();
    let _state = netns.state("a");
    for arguments in ["list", "dostring a 'return 1'", "newstate b", "status"] {
        let name = netns.name();
        let output = sh(&format!(
            "ip netns exec {name} setpriv --reuid=65534 --regid=65534 --clear-groups \
             lunatikctl {arguments}"
        ));
        let text = output.failure(4);
        assert!(text.contains("EPERM"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn eperm_in_a_namespace_of_another_user_namespace() {
    // Its root has all rights over its own network namespace; the host decides
    // whether that is enough, and does not by default.
    let output = sh("unshare --user --map-root-user --net lunatikctl newstate a");
    let text = output.failure(4);
    assert!(text.contains("EPERM"), "{text}");
    assert!(text.contains("allow_user_ns"), "{text}");
}

#[test]
fn eexist() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    lua(&state, "x = 1");
    let error = refused(session.new_state("a").create(), ErrorKind::Exists);
    assert_eq!(error.errno(), Some(libc::EEXIST));
    assert!(error.message().is_some(), "{error}");
    assert_eq!(integer(&state, "return x"), 1);
    assert_eq!(lunatik_tests::references(&state), 1);
}

#[test]
fn enoent() {
    let netns = Netns::new();
    let session = netns.session();
    for handle in [session.state("nosuch"), session.state_by_id(4_000_000)] {
        let error = refused(handle.do_string("return 1"), ErrorKind::NoState);
        assert_eq!(error.errno(), Some(libc::ENOENT));
        assert_eq!(error.message(), Some("no such state in this namespace"));
        refused(handle.send_data("x"), ErrorKind::NoState);
        refused(handle.close(), ErrorKind::NoState);
        refused(handle.close_force(), ErrorKind::NoState);
        refused(handle.log(None), ErrorKind::NoState);
        refused(handle.put(), ErrorKind::NoState);
    }
}

#[test]
fn einval_for_names() {
    let netns = Netns::new();
    let session = netns.session();
    for name in ["", "a/b", "/", "tab\t", "new\nline", "\u{7f}", "ä", "\u{1}"] {
        let error = refused(session.new_state(name).create(), ErrorKind::Invalid);
        assert_eq!(error.errno(), Some(libc::EINVAL));
        let text = error.message().expect("a text");
        assert!(text.contains("STATE_NAME") && text.contains("63"), "{text}");
    }
    let nul = refused(session.new_state("a\0b").create(), ErrorKind::Invalid);
    assert!(nul.message().expect("a text").contains("STATE_NAME"));
    assert_eq!(session.states().expect("a listing"), []);
}

#[test]
fn erange() {
    let netns = Netns::new();
    let session = netns.session();
    let info = session.info().expect("info");
    for bytes in [
        0,
        1,
        limits::MAX_ALLOC_MIN - 1,
        info.max_alloc + 1,
        u32::MAX,
    ] {
        let error = refused(
            session.new_state("a").max_alloc(bytes).create(),
            ErrorKind::OutOfRange,
        );
        assert_eq!(error.errno(), Some(libc::ERANGE));
        let text = error.message().expect("a text");
        assert!(text.contains("MAX_ALLOC"), "{text}");
        assert!(text.contains(&limits::MAX_ALLOC_MIN.to_string()), "{text}");
        assert!(text.contains(&info.max_alloc.to_string()), "{text}");
    }
    let longest = info.max_timeout.as_micros().to_string();
    let state = session.new_state("b").create().expect("a state");
    for timeout in [Duration::ZERO, info.max_timeout + Duration::from_micros(1)] {
        for error in [
            refused(
                session.new_state("a").timeout(timeout).create(),
                ErrorKind::OutOfRange,
            ),
            refused(
                state.call("return 1").timeout(timeout).run(),
                ErrorKind::OutOfRange,
            ),
            refused(state.send_data_within("x", timeout), ErrorKind::OutOfRange),
        ] {
            let text = error.message().expect("a text");
            assert!(
                text.contains("TIMEOUT") && text.contains(&longest),
                "{text}"
            );
        }
    }
    // The limits themselves are allowed.
    for (name, bytes) in [("least", limits::MAX_ALLOC_MIN), ("most", info.max_alloc)] {
        let state = session
            .new_state(name)
            .max_alloc(bytes)
            .timeout(info.max_timeout)
            .create()
            .expect(name);
        assert_eq!(integer(&state, "return 6 * 7"), 42, "{name}");
    }
    assert_eq!(session.states().expect("a listing").len(), 3);
}

#[test]
fn ebusy() {
    let netns = Netns::new();
    let state = netns.state("a");
    let other = netns.session();
    let error = refused(other.state("a").close(), ErrorKind::Busy);
    assert_eq!(error.errno(), Some(libc::EBUSY));
    assert!(error.message().is_some(), "{error}");
    assert_eq!(integer(&state, "return 1"), 1);
    state.put().expect("drops");
    other.state("a").close().expect("closes");
}

#[test]
fn enoexec() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(&state, "x = 1");
    for (code, said) in [
        ("x =", "dostring:1: unexpected symbol near <eof>"),
        (
            "x = 2 return 1.5",
            "dostring:1: malformed number near '1.5'",
        ),
        ("x = 2\n\nreturn 'a", "dostring:3: unfinished string near"),
        ("x = 2 goto nowhere", "no visible label 'nowhere'"),
        ("\u{1b}Lua", "binary chunk"),
    ] {
        let error = refused(state.do_string(code), ErrorKind::Compile);
        assert_eq!(error.errno(), Some(libc::ENOEXEC));
        let lua = error.lua().expect("a Lua error");
        assert!(lua.message().contains(said), "{code}: {}", lua.message());
        assert_eq!(lua.traceback(), None, "{code}");
    }
    assert_eq!(integer(&state, "return x"), 1);
}

#[test]
fn enomem() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("a")
        .max_alloc(1 << 18)
        .create()
        .expect("a state");
    for code in [
        "return ('x'):rep(1 << 30)",
        "return ('x'):rep(1 << 18)",
        "local t = {} for i = 1, 1 << 30 do t[i] = i end",
        "local t = {} for i = 1, 1 << 30 do t[i] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
        "return table.concat({('x'):rep(1 << 16)}, '', 1, 1), ('x'):rep(1 << 17) .. ('y'):rep(1 << 17)",
    ] {
        let text = lua_error(&state, code, ErrorKind::OutOfMemory);
        assert!(text.contains("not enough memory"), "{code}: {text}");
        assert_eq!(integer(&state, "return 1 + 1"), 2, "after {code}");
    }
    let error = refused(
        state.do_string("return ('x'):rep(1 << 30)"),
        ErrorKind::OutOfMemory,
    );
    assert_eq!(error.errno(), Some(libc::ENOMEM));
    // A script may catch it.
    holds(
        &state,
        "local ok, e = pcall(string.rep, 'x', 1 << 20) return not ok and e == 'not enough memory'",
    );
    let description = state.description().expect("a description");
    assert!(description.curr_alloc <= description.max_alloc);
    assert!(
        description.peak_alloc <= description.max_alloc,
        "{description:?}"
    );
    assert!(description.errors >= 8, "{description:?}");
    let info = session.info().expect("info");
    assert!(info.alloc <= 1 << 19, "{info:?}");
}

#[test]
fn etime() {
    let netns = Netns::new();
    let state = netns.state("a");
    let error = refused(
        state
            .call("while true do end")
            .chunk_name("=spin")
            .timeout(Duration::from_millis(30))
            .run(),
        ErrorKind::Deadline,
    );
    assert_eq!(error.errno(), Some(libc::ETIME));
    let lua = error.lua().expect("a Lua error");
    assert!(lua.message().contains("deadline"), "{}", lua.message());
    let traceback = lua.traceback().expect("a traceback");
    assert!(traceback.contains("spin:1:"), "{traceback}");
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn eintr_of_a_killed_caller_is_counted() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    let mut events = session.events().expect("events");
    let mut lines = session.log_follow().expect("lines");
    let mut client = Client::start(std::process::Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "dostring",
        "a",
        "print 'running' while true do end",
        "--timeout",
        "10s",
    ]));
    assert_eq!(lines.recv().expect("a line").text, b"running");
    client.end(Signal::SIGKILL);
    let event = events
        .recv_timeout(lunatik_tests::SOON)
        .expect("events")
        .expect("an event");
    match event {
        lunatik::Event::Failed { errno, .. } => assert_eq!(errno, libc::EINTR),
        other => panic!("{other:?}"),
    }
    assert_eq!(integer(&state, "return 1"), 1);
    assert_eq!(state.description().expect("a description").errors, 1);
}

#[test]
fn emsgsize() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("a")
        .max_alloc(8 << 20)
        .create()
        .expect("a state");
    // Of the library, which does not send what is too large.
    refused(
        session.new_state(&"x".repeat(64)).create(),
        ErrorKind::TooLarge,
    );
    let long = "x".repeat(limits::CHUNK_NAME + 1);
    refused(
        state.call("return 1").chunk_name(&long).run(),
        ErrorKind::TooLarge,
    );
    // Of the kernel.
    let error = refused(
        state.do_string("return ('x'):rep(61441)"),
        ErrorKind::TooLarge,
    );
    assert_eq!(error.errno(), Some(libc::EMSGSIZE));
    let text = error.to_string();
    assert!(text.contains("61440"), "{text}");
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn eremoteio() {
    let netns = Netns::new();
    let state = netns.state("a");
    let error = refused(
        state.do_string("local function f() error('boom') end\nf()"),
        ErrorKind::Script,
    );
    assert_eq!(error.errno(), Some(libc::EREMOTEIO));
    let lua_error = error.lua().expect("a Lua error");
    assert_eq!(lua_error.message(), "dostring:1: boom");
    let traceback = lua_error.traceback().expect("a traceback");
    for part in ["'error'", "dostring:1: in", "dostring:2: in main chunk"] {
        assert!(traceback.contains(part), "{traceback}");
    }
    for (code, said) in [
        ("error()", "nil"),
        ("error({})", "table: "),
        (
            "error(setmetatable({}, {__tostring = function() return 'own' end}))",
            "own",
        ),
        ("error(42, 0)", "42"),
        ("error('a\\nb\\0c', 0)", "a\nb\0c"),
        (
            "return nil + 1",
            "attempt to perform arithmetic on a nil value",
        ),
        (
            "nosuch.field = 1",
            "attempt to index a nil value (global 'nosuch')",
        ),
        ("coroutine.wrap(function() error 'inside' end)()", "inside"),
        ("error(('x'):rep(50000), 0)", "xxxxxxxx"),
    ] {
        let text = lunatik_tests::lua_error(&state, code, ErrorKind::Script);
        assert!(text.contains(said), "{code}: {text}");
    }
    // Even an error whose text cannot be had leaves a working state.
    for code in [
        "error(setmetatable({}, {__tostring = function() error 'again' end}))",
        "error(setmetatable({}, {__tostring = function() return 1 end}))",
        "error(('x'):rep(100000), 0)",
    ] {
        refused(state.do_string(code), ErrorKind::Script);
        assert_eq!(integer(&state, "return 1"), 1, "after {code}");
    }
}

#[test]
fn enotconn() {
    let netns = Netns::new();
    let state = netns.state("a");
    let error = refused(state.send_data("x"), ErrorKind::NoReceiver);
    assert_eq!(error.errno(), Some(libc::ENOTCONN));
    lua(&state, "require('lunatik').receive(function() end)");
    assert_eq!(state.send_data("x").expect("received"), None);
    lua(&state, "require('lunatik').receive(nil)");
    refused(state.send_data("x"), ErrorKind::NoReceiver);
}

#[test]
fn a_missing_namespace_is_told() {
    let error = refused(
        lunatik::Session::in_netns("no-such-namespace"),
        ErrorKind::NoNamespace,
    );
    assert!(error.to_string().contains("no-such-namespace"), "{error}");
    let text = run(std::process::Command::new("lunatikctl").args(["-n", "no-such", "list"]));
    assert!(text.failure(1).contains("no-such"));
}
