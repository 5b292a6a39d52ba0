// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the Lua of the module for user space, optimized as Lua's own makefile does it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    lua_src::Build::new()
        .opt_level("2")
        .debug(false)
        .build(lua_src::Lua55)
        .print_cargo_metadata();
    println!("cargo::rustc-link-lib=m");
}
