// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{NAME, Outcome, loaded, refused, tool};
use crate::{
    context::Context,
    failure::{Failure, Result, Status},
};

/// Unload the kernel module
///
/// Closes the states of all network namespaces.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(crate) fn run(self, _context: &mut Context) -> Result<()> {
        if loaded() == Some(false) {
            let message = format!("the {NAME} module is not loaded");
            return Err(Failure::new(Status::ModuleMissing, "ENOPKG", message));
        }
        match tool("modprobe", &["-r".to_owned(), NAME.to_owned()]) {
            Ok(Outcome::Done) => return Ok(()),
            // A module that was loaded from elsewhere than the modules' folder.
            Ok(Outcome::Failed(said)) if said.contains("not found") => {}
            Ok(Outcome::Failed(said)) => return Err(refused("unload", &said)),
            Err(_) => {}
        }
        match tool("rmmod", &[NAME.to_owned()])? {
            Outcome::Done => Ok(()),
            Outcome::Failed(said) => Err(refused("unload", &said)),
        }
    }
}
