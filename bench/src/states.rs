// SPDX-License-Identifier: MIT OR Apache-2.0
//! States that the cases use.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use lunatik::{Hook, Session, State};

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

/// One for hooks, with a replica for each CPU or with one for all. A machine that has other
/// work to do may take its time.
pub(crate) fn softirq(percpu: bool) -> Result<State> {
    let session = Session::open()?;
    let timeout = session.info()?.max_softirq_timeout;
    Ok(session
        .new_state(&name())
        .timeout(timeout)
        .ephemeral(true)
        .context(lunatik::Context::Softirq)
        .percpu(percpu)
        .create()?)
}

/// What there is to know of the state's only hook.
pub(crate) fn hook(state: &State) -> Result<Hook> {
    let mut hooks = state.description()?.hooks;
    let hook = hooks.pop().context("no hook")?;
    ensure!(hooks.is_empty(), "more than one hook");
    Ok(hook)
}

/// Makes sure that what was measured was the state's only hook, called for so many packets at least.
pub(crate) fn check_calls(state: &State, packets: u64) -> Result<()> {
    let hook = hook(state)?;
    ensure!(
        hook.calls >= packets,
        "the hook was not called for each packet: {hook:?}"
    );
    Ok(())
}

/// Measures, and gives nothing if meanwhile packets went by without the hook of the state, if there
/// is one: while a CPU is taken away from this machine its time seems to be that of the hook, which
/// then has used up its own.
pub(crate) fn undisturbed(
    state: Option<&State>,
    measure: impl FnOnce() -> Result<f64>,
) -> Result<Option<f64>> {
    let failed = || -> Result<u64> {
        let hook = state.map(hook).transpose()?;
        Ok(hook.map_or(0, |hook| hook.errors + hook.missed))
    };
    let before = failed()?;
    let measured = measure()?;
    Ok((failed()? == before).then_some(measured))
}
