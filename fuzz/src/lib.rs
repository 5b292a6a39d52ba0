// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzers of the module: one of its messages, one of the Lua that it runs,
//! and one of the packets that it runs Lua for.
//!
//! A case is made from the seed and its index alone, so that any of them can be
//! made again. Everything happens in a network namespace of its own.

#![forbid(unsafe_code)]

mod check;
mod leak;
pub mod lua;
pub mod netlink;
mod pace;
pub mod packets;
mod plan;
mod programs;
mod random;
mod runner;
mod tally;

pub use plan::{Limit, Plan};
pub use tally::Tally;
