// SPDX-License-Identifier: MIT OR Apache-2.0
//! States: made, listed, shown, closed.

pub(crate) mod close;
mod hooks;
pub(crate) mod list;
pub(crate) mod new;
pub(crate) mod show;
