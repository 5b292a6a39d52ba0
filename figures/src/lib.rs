// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the benchmarks measure.
//!
//! `bench/` measures in the guest and prints a [`Record`] of samples for each figure;
//! `cargo xtask bench` makes a [`Run`] of them, with medians and ratios, which is what
//! it prints, writes and compares.

#![forbid(unsafe_code)]

mod compare;
mod record;
mod run;
mod statistics;
mod table;

pub use compare::Comparison;
pub use record::{Listed, Machine, Record, Target, Unit};
pub use run::{Figure, Measured, Run};
pub use statistics::Summary;
