// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Lua module as Debian's lua5.4 loads it, where no kernel module is needed.
//! The scripts in tests/kernel/ need one.
#![cfg(feature = "lua54")]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The Lua module; cargo builds no cdylib for the sake of a test.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("lua-module");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME")])
            .arg("--target-dir")
            .arg(&target)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "cargo build: {status}");
        target.join("debug/liblunatik_lua.so")
    })
}

fn run(script: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(script);
    let library = folder.join("lunatik.so");
    fs::create_dir_all(&folder).expect("a folder");
    let _ = fs::remove_file(&library);
    symlink(built(), library).expect("a link");
    let output = Command::new("lua5.4")
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests")
                .join(script),
        )
        .env("LUA_CPATH", folder.join("?.so"))
        .env_remove("LUA_CPATH_5_4")
        .output()
        .expect("lua5.4 is installed");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn misuse_raises() {
    run("misuse.lua");
}

#[test]
fn failure_returns_nil_message_and_code() {
    run("failure.lua");
}
