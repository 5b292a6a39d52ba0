// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{ffi::OsString, time::Duration};

use lunatik::{Value, limits};

use crate::{
    context::Context,
    failure::{About, Result},
    input, units,
};

/// Send data to a state
///
/// Calls the function that the state's script gave to lunatik.receive and prints
/// what it returns: the bytes as they are, then a newline; nothing when it
/// returns no string. With -j, a JSON string, or null.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl dostring fw 'require \"lunatik\".receive(string.upper)'
  lunatikctl senddata fw ping
  lunatikctl senddata fw - < packet.bin")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// The data, at most 60 KiB; `-` reads standard input
    data: OsString,

    /// The limit of this run's wall-clock time, such as 500ms or 2s [default: the
    /// state's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let data = input::argument(&self.data, limits::DATA)?;
        let state = context.session()?.state(&self.name);
        let reply = match self.timeout {
            Some(timeout) => state.send_data_within(data, timeout),
            None => state.send_data(data),
        }
        .about(&self.name)?;
        let reply = Value::from(reply);
        context.out.print(&reply, |out| match reply.as_bytes() {
            Some(bytes) => {
                out.write_all(bytes)?;
                out.write_all(b"\n")
            }
            None => Ok(()),
        })
    }
}
