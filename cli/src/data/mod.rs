// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data to and from states.

pub(crate) mod receive;
pub(crate) mod send;
