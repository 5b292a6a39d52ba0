// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds, runs and tests Lunatik.
fn main() {}
