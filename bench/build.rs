// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the Lua of the module for user space, optimized as Lua's own makefile does it, and the eBPF programs.

use std::{env, path::PathBuf};

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: &str = "bpf/bench.bpf.c";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PROGRAMS}");
    lua_src::Build::new()
        .opt_level("2")
        .debug(false)
        .build(lua_src::Lua55)
        .print_cargo_metadata();
    println!("cargo::rustc-link-lib=m");
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("bench.bpf.o");
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    SkeletonBuilder::new()
        .source(PROGRAMS)
        .obj(&object)
        .clang_args([
            "-Wall",
            "-Werror",
            "-I",
            &format!("/usr/include/{architecture}-linux-gnu"),
        ])
        .build()
        .unwrap_or_else(|error| {
            panic!("clang, which is needed, made no eBPF of {PROGRAMS}: {error:#}")
        });
}
