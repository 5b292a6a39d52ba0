// SPDX-License-Identifier: MIT OR Apache-2.0
//! lunatikctl, as it is called from a shell.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use lunatik::State;
use lunatik_tests::{Client, Netns, SOON, eventually, lua, run, sh};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn a_state_lives_from_one_call_to_the_next() {
    let netns = Netns::new();
    let script = "lunatikctl newstate a && lunatikctl dostring a 'x = 41' && \
                  lunatikctl dostring a 'return x + 1'";
    let output = run(netns.command("sh").args(["-c", script]));
    assert_eq!(output.success(), "42\n");
    assert_eq!(output.stderr, "");
}

#[test]
fn several_results() {
    let netns = Netns::new();
    netns.ctl(&["newstate", "a"]).success();
    let code = "return 1, \"two\", nil, true, {3}";
    let output = netns.ctl(&["dostring", "a", code]);
    assert_eq!(output.success(), "1\ttwo\tnil\ttrue\t{3}\n");
    let output = netns.ctl(&["-j", "dostring", "a", code]);
    assert_eq!(output.json(), json!([1, "two", null, true, [3]]));
    assert_eq!(netns.ctl(&["dostring", "a", "x = 1"]).success(), "");
    let output = netns.ctl(&[
        "-j",
        "dostring",
        "a",
        "return {x = {y = 'z'}}, {}, '\\255', print, math.mininteger",
    ]);
    let json = output.json();
    assert_eq!(json[0], json!({"x": {"y": "z"}}));
    assert_eq!(json[1], json!([]));
    assert_eq!(json[2], json!({"bytes": "ff"}));
    assert!(
        json[3]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("function: "))
    );
    assert_eq!(json[4], json!(i64::MIN));
}

#[test]
fn arguments_and_standard_input() {
    let netns = Netns::new();
    netns.ctl(&["newstate", "a"]).success();
    let output = netns.ctl(&["dostring", "a", "return #..., ...", "hello", "-5"]);
    assert_eq!(output.success(), "5\thello\t-5\n");
    let output = netns.ctl_with(&["dostring", "a", "-"], b"return 6 * 7");
    assert_eq!(output.success(), "42\n");
    let large = format!("--{}\nreturn 'large'", "x".repeat(250_000));
    let output = netns.ctl_with(&["dostring", "a", "-"], large.as_bytes());
    assert_eq!(output.success(), "large\n");
    let output = netns.ctl_with(&["dostring", "a", "-"], &vec![b' '; 262_145]);
    let text = output.failure(1);
    assert!(
        text.contains("262144") && text.contains("EMSGSIZE"),
        "{text}"
    );
    let file = format!("/tmp/{}.lua", netns.name());
    std::fs::write(&file, "#!/usr/bin/lua\nlocal n = ...\nerror('at ' .. n)").expect("a file");
    let output = netns.ctl(&["dofile", "a", &file, "three"]);
    let text = output.failure(1);
    assert!(text.contains(".lua:3: at three"), "{text}");
    std::fs::remove_file(&file).expect("the file");
    netns.ctl(&["dofile", "a", &file]).failure(1);
}

#[test]
fn script_errors() {
    let netns = Netns::new();
    netns.ctl(&["newstate", "a"]).success();
    let output = netns.ctl(&["dostring", "a", "error(\"boom\")"]);
    let text = output.failure(1);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "lunatikctl: a: dostring:1: boom (EREMOTEIO)");
    assert_eq!(lines[1], "stack traceback:");
    assert!(text.contains("dostring:1: in main chunk"), "{text}");
    assert_eq!(output.stdout, "");
    for (code, said) in [
        ("return 1.5", "malformed number near '1.5'"),
        ("return 1/2", "'/'"),
        ("return 7//0", "attempt to divide by zero"),
        ("x =", "unexpected symbol near <eof>"),
        ("return ('x'):rep(1 << 30)", "not enough memory"),
    ] {
        let output = netns.ctl(&["dostring", "a", code]);
        let text = output.failure(1);
        assert!(text.contains(said), "{code}: {text}");
        assert!(text.starts_with("lunatikctl: a: "), "{code}: {text}");
    }
    let output = netns.ctl(&["-j", "dostring", "a", "error 'boom'"]);
    assert_eq!(output.status, 1);
    let json: serde_json::Value = serde_json::from_str(&output.stderr).expect("JSON");
    assert_eq!(json["error"]["message"], "dostring:1: boom", "{json}");
    assert_eq!(json["error"]["code"], "EREMOTEIO", "{json}");
    assert!(json["error"]["traceback"].is_string(), "{json}");
}

#[test]
fn no_such_state() {
    let netns = Netns::new();
    for arguments in [
        &["close", "nosuch"][..],
        &["show", "nosuch"],
        &["dostring", "nosuch", "return 1"],
        &["senddata", "nosuch", "x"],
        &["receive", "nosuch"],
        &["log", "nosuch"],
    ] {
        let output = netns.ctl(arguments);
        assert_eq!(
            output.failure(5),
            "lunatikctl: nosuch: no such state in this namespace (ENOENT)\n"
        );
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn wrong_usage() {
    let netns = Netns::new();
    for arguments in [
        &[][..],
        &["nosuch"],
        &["newstate"],
        &["newstate", "a", "--max-alloc", "much"],
        &["newstate", "a", "--context", "irq"],
        &["dostring", "a"],
        &["close", "a", "b"],
    ] {
        netns.ctl(arguments).failure(2);
    }
    run(Command::new("lunatikctl").arg("--help")).success();
    run(Command::new("lunatikctl").arg("--version")).success();
}

#[test]
fn failures_of_the_kernel() {
    let netns = Netns::new();
    netns.ctl(&["newstate", "a"]).success();
    let holder = netns.client("s = l.getstate 'a' print 'ready' io.read()");
    for (arguments, code) in [
        (&["newstate", "a"][..], "EEXIST"),
        (&["newstate", "a/b"], "EINVAL"),
        (&["newstate", "b", "--max-alloc", "1K"], "ERANGE"),
        (&["newstate", "b", "--timeout", "1h"], "ERANGE"),
        (&["close", "a"], "EBUSY"),
        (&["senddata", "a", "x"], "ENOTCONN"),
    ] {
        let output = netns.ctl(arguments);
        let text = output.failure(1);
        assert!(text.contains(code), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    }
    drop(holder);
    eventually("the reference is gone", || {
        netns.ctl(&["-j", "show", "a"]).json()["references"] == 0
    });
    netns.ctl(&["close", "a"]).success();
}

#[test]
fn list_and_show() {
    let netns = Netns::new();
    assert_eq!(netns.ctl(&["-j", "list"]).json(), json!([]));
    netns
        .ctl(&["newstate", "a", "--max-alloc", "256K", "--timeout", "50ms"])
        .success();
    netns.ctl(&["newstate", "b"]).success();
    let output = netns.ctl(&["list"]);
    let lines: Vec<_> = output.success().lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert!(lines[0].starts_with("NAME"), "{output:?}");
    assert!(
        lines[1].starts_with("a ") && lines[2].starts_with("b "),
        "{output:?}"
    );
    let json = netns.ctl(&["-j", "show", "a"]).json();
    assert_eq!(json["name"], "a");
    assert_eq!(json["max_alloc"], 1 << 18);
    assert_eq!(json["references"], 0);
    assert_eq!(json["hooks"], json!([]));
    let text = netns.ctl(&["show", "a"]);
    assert!(text.success().contains("timeout: 50ms\n"), "{text:?}");
    let json = netns.ctl(&["-j", "status"]).json();
    assert_eq!(json["states"], 2, "{json}");
    netns.ctl(&["status"]).success();
}

/// Each line is a message.
fn lines(netns: &Netns, state: &State) {
    lua(
        state,
        "n = 0 lunatik.receive(function(line)
           n = n + 1
           if line == 'bad' then error('no good', 0) end
           return line ~= 'none' and n .. line or nil
         end)",
    );
    let send = |options: &[&str], input: &[u8]| {
        let arguments = [options, &["senddata", "a", "--lines", "-"]].concat();
        netns.ctl_with(&arguments, input)
    };
    assert_eq!(send(&[], b"a\n\nnone\nb").success(), "1a\n2\n4b\n");
    assert_eq!(send(&["-j"], b"none\na\n").success(), "null\n\"6a\"\n");
    assert_eq!(send(&[], b"").success(), "");
    assert_eq!(
        netns.ctl(&["senddata", "a", "--lines", "x\ny"]).success(),
        "7x\n8y\n"
    );
    let output = send(&[], b"a\nbad\nb\n");
    let told = output.failure(1);
    assert!(told.contains("a: line 2: no good (EREMOTEIO)"), "{told}");
    assert!(told.contains("a: 1 of 3 lines failed"), "{told}");
    assert_eq!(output.stdout, "9a\n11b\n");
    // Many, of which none is lost.
    let many: Vec<_> = (0..20_000).map(|n| format!("{n:x}")).collect();
    let many = many.join("\n") + "\n";
    lua(state, "lunatik.receive(function(line) return line end)");
    assert_eq!(send(&[], many.as_bytes()).success(), many);
    // What is too long ends it, after all before it.
    let mut input = b"first\n".to_vec();
    input.extend(vec![b'x'; 61_441]);
    let output = send(&[], &input);
    let told = output.failure(1);
    assert!(
        told.contains("line 2") && told.contains("EMSGSIZE"),
        "{told}"
    );
    assert_eq!(output.stdout, "first\n");
    let output = netns.ctl_with(&["senddata", "--lines", "nosuch", "-"], b"1\n2\n");
    assert_eq!(output.failure(5).lines().count(), 1, "{output:?}");
    lua(state, "lunatik.receive(function() end)");
}

#[test]
fn data() {
    let netns = Netns::new();
    let state = netns.state("a");
    lua(
        &state,
        "lunatik = require 'lunatik' lunatik.receive(string.upper)",
    );
    assert_eq!(netns.ctl(&["senddata", "a", "ping"]).success(), "PING\n");
    assert_eq!(
        netns
            .ctl_with(&["senddata", "a", "-"], b"from a pipe")
            .success(),
        "FROM A PIPE\n"
    );
    assert_eq!(netns.ctl(&["-j", "senddata", "a", "x"]).json(), json!("X"));
    lua(&state, "lunatik.receive(function() end)");
    assert_eq!(netns.ctl(&["senddata", "a", "x"]).success(), "");
    assert_eq!(netns.ctl(&["-j", "senddata", "a", "x"]).json(), json!(null));
    lines(&netns, &state);
    let output = netns.ctl_with(&["senddata", "a", "-"], &vec![b'x'; 61_441]);
    assert!(output.failure(1).contains("EMSGSIZE"));
    let output = netns.ctl(&["receive", "a", "--timeout", "50ms"]);
    assert!(output.failure(1).contains("ETIMEDOUT"), "{output:?}");
    let mut client = Client::start(Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "-j",
        "receive",
        "a",
        "--count",
        "2",
    ]));
    eventually("a subscriber", || {
        state.description().expect("a description").subscribers == 1
    });
    lua(&state, "lunatik.send('one') lunatik.send('\\255')");
    let json: serde_json::Value = serde_json::from_str(&client.line()).expect("JSON");
    assert_eq!(
        (&json["data"], &json["sequence"]),
        (&json!("one"), &json!(1))
    );
    let json: serde_json::Value = serde_json::from_str(&client.line()).expect("JSON");
    assert_eq!(json["data"], json!({"bytes": "ff"}));
    assert!(client.wait().0 < SOON);
}

#[test]
fn an_interrupt_ends_a_script_at_once() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let mut client = Client::start(Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "dostring",
        "a",
        "print 'running' while true do pcall(function() while true do end end) end",
        "--timeout",
        "10s",
    ]));
    assert_eq!(lines.recv().expect("a line").text, b"running");
    let elapsed = client.end(Signal::SIGINT);
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    let start = Instant::now();
    assert_eq!(netns.ctl(&["dostring", "a", "return 1"]).success(), "1\n");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn ephemeral_states_do_not_outlive_the_command() {
    let netns = Netns::new();
    let output = netns.ctl(&["-j", "newstate", "e", "--ephemeral"]);
    assert_eq!(output.json()["name"], "e");
    eventually("it closes", || netns.ctl(&["show", "e"]).status == 5);
}

#[test]
fn without_rights() {
    let netns = Netns::new();
    for line in [
        "setpriv --reuid=65534 --regid=65534 --clear-groups lunatikctl list",
        "su nobody -s /bin/sh -c 'lunatikctl list'",
    ] {
        let output = run(netns.command("sh").args(["-c", line]));
        let text = output.failure(4);
        assert!(text.starts_with("lunatikctl: "), "{text}");
        assert!(text.contains("EPERM"), "{text}");
    }
}

#[test]
fn the_family_is_listed() {
    let output = sh("genl ctrl list");
    assert!(
        output.success().contains("Name: lunatik_family"),
        "{output:?}"
    );
}
