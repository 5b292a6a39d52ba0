// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lua: scripts, and the user-space Lua that runs them for comparison.

pub(crate) mod scripts;
pub(crate) mod user;
