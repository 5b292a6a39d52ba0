// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

use lunatik::Description;

use super::hooks;
use crate::{
    context::Context,
    failure::{About, Result},
    units,
};

/// Show all about a state
///
/// Each hook is a row: FAMILY, HOOK and PRIORITY are where it is bound, ON-ERROR what
/// becomes of a packet that it has no verdict for. CALLS are the packets that the
/// function was called for, ERRORS the calls that failed, KILLS those of them that
/// the deadline ended, MISSED the packets that it could not be called for. TIME is
/// the wall-clock time of all calls, MEAN that of one. VERDICTS are those that the
/// function gave, and to how many packets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl show fw
  lunatikctl -j show fw | jq .curr_alloc
  lunatikctl -j show fw | jq '.hooks[].verdicts'")]
pub(crate) struct Args {
    /// The state
    name: String,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let state = context.session()?.state(&self.name);
        let mut description = state.description().about(&self.name)?;
        // Asking took a reference, which is gone by now.
        description.references = description.references.saturating_sub(1);
        context.out.print(&description, |out| {
            write(out, &description, SystemTime::now())
        })
    }
}

fn write(out: &mut dyn Write, state: &Description, now: SystemTime) -> io::Result<()> {
    // A clock that was set back makes no age.
    let age = now.duration_since(state.created).unwrap_or_default();
    let age = units::limit(Duration::from_secs(age.as_secs()));
    writeln!(out, "name: {}", state.name)?;
    writeln!(out, "id: {}", state.id)?;
    writeln!(out, "context: {}", state.context)?;
    writeln!(out, "ephemeral: {}", units::yes(state.ephemeral))?;
    writeln!(out, "percpu: {}", units::yes(state.percpu))?;
    writeln!(out, "replicas: {}", state.replicas)?;
    writeln!(out, "max_alloc: {}", units::exact(state.max_alloc))?;
    writeln!(out, "curr_alloc: {}", units::exact(state.curr_alloc))?;
    writeln!(out, "peak_alloc: {}", units::exact(state.peak_alloc))?;
    writeln!(out, "timeout: {}", units::limit(state.timeout))?;
    writeln!(out, "references: {}", state.references)?;
    writeln!(out, "subscribers: {}", state.subscribers)?;
    writeln!(out, "runs: {}", state.runs)?;
    writeln!(out, "errors: {}", state.errors)?;
    writeln!(out, "deadline_kills: {}", state.deadline_kills)?;
    writeln!(out, "run_time: {}", units::measured(state.run_time))?;
    writeln!(out, "created: {} ({age} ago)", units::utc(state.created))?;
    writeln!(out, "timers: {}", state.timers)?;
    writeln!(out, "hooks: {}", state.hooks.len())?;
    if !state.hooks.is_empty() {
        writeln!(out, "\n{}", hooks::table(&state.hooks))?;
    }
    Ok(())
}
