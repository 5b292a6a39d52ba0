// SPDX-License-Identifier: MIT OR Apache-2.0
use crate::{
    context::Context,
    failure::{About, Result},
};

/// Close a state
///
/// Fails while another program has a reference to the state, as `lunatikctl
/// receive` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl close fw
  lunatikctl close fw --force")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// Close it whoever has references, and end a script that runs in it
    #[arg(short, long)]
    force: bool,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let state = context.session()?.state(&self.name);
        if self.force {
            state.close_force()
        } else {
            state.close()
        }
        .about(&self.name)
    }
}
