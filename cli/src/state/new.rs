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
  lunatikctl newstate fw --max-alloc 256K --timeout 50ms")]
pub(crate) struct Args {
    /// Its name: 1 to 63 printable ASCII characters without `/`
    name: String,

    /// The cap on its memory in bytes; K, M and G count by 1024 [default: 1M]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_alloc: Option<u32>,

    /// The limit of each run's wall-clock time, such as 500ms or 2s [default: the
    /// module's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Close the state with its last reference. This command has one only while
    /// it runs
    #[arg(long)]
    ephemeral: bool,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        let mut new = session.new_state(&self.name).ephemeral(self.ephemeral);
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
