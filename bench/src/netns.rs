// SPDX-License-Identifier: MIT OR Apache-2.0
//! Namespaces of their own.

use std::thread;

use anyhow::{Result, anyhow};
use nix::sched::{CloneFlags, unshare};

use crate::command;

/// Calls in a new namespace, which is the thread's, then its sockets' and its children's.
pub(crate) fn in_new<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        call()
    })
    .join()
    .map_err(|_| anyhow!("a thread panicked"))?
}

/// The same, and its loopback device is up.
pub(crate) fn with_loopback<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    in_new(move || {
        command::run("ip", &["link", "set", "lo", "up"])?;
        call()
    })
}
