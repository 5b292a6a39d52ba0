// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts Lua states inside the Linux kernel on the packet path of devices: XDP and TC.
//!
//! A small eBPF program hands each packet to a state, which is known by its id, and gives the kernel the verdict.
//! It stays attached until it is detached or the device goes, whatever becomes of the process and of the state;
//! without the state, or when its function fails, packets go on as if the program were not there.
//!
//! All functions act in the network namespace of the calling thread, where both the device and the state are.
//! They need `CAP_NET_ADMIN` and `CAP_BPF` in the first user namespace, and `CAP_SYS_ADMIN` for what looks at
//! programs that are attached: lists, and detaching.
#![deny(unsafe_code)]

mod device;
mod error;
mod filters;
#[expect(unsafe_code, reason = "calls of libbpf that libbpf-rs does not have")]
mod libbpf;
mod program;
pub mod tc;
pub mod xdp;

pub use error::{Error, Result};
pub use program::{Target, available};
