// SPDX-License-Identifier: MIT OR Apache-2.0
//! States that the cases use.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::Result;
use lunatik::{Session, State};

/// A name that no other state has.
pub(crate) fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "bench-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Relaxed)
    )
}

/// A state that is gone when whoever uses it is, in a session of its own.
pub(crate) fn state(script: &str) -> Result<State> {
    let state = Session::open()?
        .new_state(&name())
        .ephemeral(true)
        .max_alloc(16 << 20)
        .create()?;
    state.do_string(script)?;
    Ok(state)
}
