// SPDX-License-Identifier: MIT OR Apache-2.0
//! How slow the machine is: limits of time are for one that is emulated.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lunatik::Session;

/// What takes a while.
const WORK: &str = "local t = {} for i = 1, 500 do t[i % 100] = {tostring(i)} end";
/// How long it takes there.
const USUAL: Duration = Duration::from_millis(2);
/// Longer than this nobody waits.
const MOST: u32 = 100;

/// By what to multiply limits of time; 1 at least.
pub(crate) fn measure(session: &Session) -> Result<u32> {
    let state = session
        .new_state("pace")
        .ephemeral(true)
        .timeout(Duration::from_secs(10))
        .create()?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        state.do_string(WORK).context("a trifle of work")?;
        best = best.min(start.elapsed());
    }
    state.close()?;
    let pace = best.as_micros().div_ceil(USUAL.as_micros());
    let pace = u32::try_from(pace).unwrap_or(MOST).clamp(1, MOST);
    println!(
        "limits of time are taken times {pace} ({} µs)",
        best.as_micros()
    );
    Ok(pace)
}
