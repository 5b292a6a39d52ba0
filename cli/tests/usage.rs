// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lunatikctl does where no kernel module is needed.

use assert_cmd::{Command, cargo::cargo_bin_cmd};
use predicates::{
    prelude::*,
    str::{contains, diff, is_empty, starts_with},
};

fn lunatikctl(arguments: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("lunatikctl");
    command.args(arguments);
    command
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["show"],
        &["newstate", "fw", "--max-alloc", "64X"],
        &["newstate", "fw", "--timeout", "2"],
        &["-n", "pid:x", "list"],
        &["load", "max_states"],
    ] {
        lunatikctl(arguments)
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(is_empty().not());
    }
}

#[test]
fn wrong_usage_is_json_too() {
    let output = lunatikctl(&["-j", "newstate", "fw", "--timeout", "2"])
        .assert()
        .code(2)
        .stdout(is_empty());
    let error: serde_json::Value =
        serde_json::from_slice(&output.get_output().stderr).expect("JSON");
    let message = error["error"]["message"].as_str().expect("a text");
    assert!(message.contains("--timeout"), "{message}");
}

#[test]
fn every_command_has_help() {
    for command in [
        "newstate", "dostring", "dofile", "senddata", "receive", "close", "list", "show", "log",
        "xdp", "tc", "load", "unload", "status",
    ] {
        lunatikctl(&[command, "--help"])
            .assert()
            .success()
            .stdout(contains(format!("Usage: lunatikctl {command}")));
        lunatikctl(&["--help"])
            .assert()
            .success()
            .stdout(contains(format!("\n  {command} ")));
    }
}

#[test]
fn version_is_told() {
    let version = concat!("lunatikctl ", env!("CARGO_PKG_VERSION"), "\n");
    lunatikctl(&["--version"])
        .assert()
        .success()
        .stdout(diff(version));
}

#[test]
fn unreadable_script_is_told_by_its_name() {
    lunatikctl(&["dofile", "fw", "/nonexistent/x.lua"])
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr(diff(
            "lunatikctl: /nonexistent/x.lua: cannot read: no such file or directory (ENOENT)\n",
        ));
}

#[test]
fn too_much_input_is_refused() {
    lunatikctl(&["senddata", "fw", "-"])
        .write_stdin(vec![0; 60 * 1024 + 1])
        .assert()
        .code(1)
        .stderr(diff(
            "lunatikctl: standard input: more than 61440 bytes, the limit (EMSGSIZE)\n",
        ));
}

#[test]
fn missing_namespace_is_told_by_its_name() {
    lunatikctl(&["-n", "no-such-namespace", "list"])
        .assert()
        .code(1)
        .stderr(diff(
            "lunatikctl: no network namespace no-such-namespace (ENOENT)\n",
        ));
    let output = lunatikctl(&["-j", "-n", "no-such-namespace", "list"])
        .assert()
        .code(1);
    let error: serde_json::Value =
        serde_json::from_slice(&output.get_output().stderr).expect("JSON");
    assert_eq!(
        error,
        serde_json::json!({"error": {
            "message": "no network namespace no-such-namespace",
            "code": "ENOENT",
        }})
    );
}

#[test]
fn list_says_how_to_load_a_missing_module() {
    // Where the module is, this test tells only that nothing else goes wrong.
    let output = lunatikctl(&["list"]).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(3) => assert_eq!(
            stderr,
            "lunatikctl: the lunatik module is not loaded; load it with `lunatikctl load` or \
             `modprobe lunatik` (ENOPKG)\n"
        ),
        Some(4) => assert!(starts_with("lunatikctl: ").eval(&stderr), "{stderr}"),
        code => assert_eq!((code, &*stderr), (Some(0), "")),
    }
}
