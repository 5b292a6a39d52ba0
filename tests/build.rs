// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the eBPF programs that tests load: the examples, and those of the tests.

use std::{env, path::PathBuf};

use libbpf_cargo::SkeletonBuilder;

const SOURCES: &[&str] = &[
    "../examples/bpf/ask.bpf.c",
    "../examples/bpf/count.bpf.c",
    "bpf/clone.bpf.c",
    "bpf/hostile.bpf.c",
    "bpf/more.bpf.c",
];
const HEADERS: &str = "../kmod/include/uapi";

fn main() {
    println!("cargo::rerun-if-changed={HEADERS}/linux/lunatik_bpf.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        let source = PathBuf::from(source);
        let object = source.with_extension("o");
        let object = out.join(object.file_name().expect("a file"));
        SkeletonBuilder::new()
            .source(&source)
            .obj(object)
            .clang_args([
                "-Wall",
                "-Werror",
                "-I",
                HEADERS,
                "-I",
                &format!("/usr/include/{architecture}-linux-gnu"),
            ])
            .build()
            .unwrap_or_else(|error| {
                panic!("clang made no eBPF of {}: {error:#}", source.display())
            });
    }
}
