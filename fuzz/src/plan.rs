// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cases to run.

use std::time::Duration;

/// Which cases to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What all cases are made from.
    pub seed: u64,
    /// Threads that run cases at the same time.
    pub threads: usize,
    /// The first case.
    pub first: u64,
    /// When to stop.
    pub limit: Limit,
    /// Whether the kernel's log tells of each case before it begins.
    pub trace: bool,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// After so many cases.
    Cases(u64),
    /// After that time.
    Time(Duration),
}
