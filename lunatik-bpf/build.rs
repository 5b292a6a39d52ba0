// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the eBPF program, with clang.

use std::{env, path::PathBuf};

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "src/lunatik.bpf.c";
/// The functions that it calls.
const HEADER: &str = "../kmod/include/uapi/linux/lunatik_bpf.h";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed={HEADER}");
    let object =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("lunatik.bpf.o");
    SkeletonBuilder::new()
        .source(SOURCE)
        .obj(&object)
        .clang_args([
            "-Wall",
            "-Werror",
            "-include",
            HEADER_TYPES,
            "-include",
            HEADER,
        ])
        .build()
        .unwrap_or_else(|error| {
            panic!("clang, which is needed, made no eBPF of {SOURCE}: {error:#}")
        });
}

/// What the header expects to be there.
const HEADER_TYPES: &str = "src/types.h";
