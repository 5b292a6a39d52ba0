// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::Duration;

use crate::{
    context::Context,
    failure::{About, Result},
    units,
};

/// Make a state
///
/// Prints nothing; with -j, the description of the state. The state stays when
/// this command ends, until `lunatikctl close` or the end of its namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl newstate fw
  lunatikctl newstate fw --max-alloc 256K --timeout 50ms
  lunatikctl newstate filter --context softirq --percpu")]
pub(crate) struct Args {
    /// Its name: 1 to 63 printable ASCII characters without `/`
    name: String,

    /// The cap on its memory in bytes, or on that of each replica; K, M and G count
    /// by 1024 [default: 1M]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_alloc: Option<u32>,

    /// Where it runs, for its whole life [default: process]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<Place>,

    /// Give it a replica for each CPU, which do not wait for each other; needs the
    /// context softirq
    #[arg(long)]
    percpu: bool,

    /// The limit of each run's wall-clock time, such as 500ms or 2s; of a softirq
    /// state, of what its hooks and timers run [default: the module's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Close the state with its last reference. This command has one only while
    /// it runs
    #[arg(long)]
    ephemeral: bool,
}

/// A state's context.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Place {
    /// In a process; scripts may sleep
    Process,
    /// Where packets are handled; scripts may be bound to them
    Softirq,
}

impl From<Place> for lunatik::Context {
    fn from(place: Place) -> Self {
        match place {
            Place::Process => Self::Process,
            Place::Softirq => Self::Softirq,
        }
    }
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        let mut new = session
            .new_state(&self.name)
            .ephemeral(self.ephemeral)
            .percpu(self.percpu);
        if let Some(place) = self.context {
            new = new.context(place.into());
        }
        if let Some(bytes) = self.max_alloc {
            new = new.max_alloc(bytes);
        }
        if let Some(timeout) = self.timeout {
            new = new.timeout(timeout);
        }
        let state = new.create().about(&self.name)?;
        context.out.print(&state.snapshot(), |_| Ok(()))
    }
}
