// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{ffi::OsString, time::Duration};

use lunatik::limits;

use super::Script;
use crate::{context::Context, failure::Result, input, units};

/// Run Lua in a state
///
/// Prints what it returns as Lua's print would, on one line with tabs between; a
/// table as what it holds. With -j, a JSON array.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl dostring fw 'x = 41'
  lunatikctl dostring fw 'return x + 1'
  lunatikctl dostring fw 'return \"hello \" .. ...' world
  echo 'return 6 * 7' | lunatikctl dostring fw -")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// The script; `-` reads standard input
    code: OsString,

    /// Strings that the script has as `...`
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<OsString>,

    /// The limit of this run's wall-clock time, such as 500ms or 2s [default: the
    /// state's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,

    /// What the script is called in messages: `=NAME`, or `@FILE` for a file
    /// [default: =dostring; =stdin for standard input]
    #[arg(long, value_name = "CHUNK")]
    chunk_name: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let chunk_name = self
            .chunk_name
            .or_else(|| input::is_stdin(&self.code).then(|| "=stdin".to_owned()));
        Script {
            code: input::argument(&self.code, limits::CODE)?,
            state: self.name,
            arguments: self.arguments,
            chunk_name,
            timeout: self.timeout,
        }
        .run(context)
    }
}
