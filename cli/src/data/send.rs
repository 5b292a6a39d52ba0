// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    time::Duration,
};

use lunatik::{ErrorKind, Value, limits};

use crate::{
    context::Context,
    failure::{About, Failure, Result, Status},
    input::{self, Lines},
    units,
};

/// Send data to a state
///
/// Calls the function that the state's script gave to lunatik.receive and prints
/// what it returns: the bytes as they are, then a newline; nothing when it
/// returns no string. With -j, a JSON string, or null.
///
/// With --lines each line is a message of its own. Lines that are there at the same
/// time go to the kernel together. One that fails is told on standard error, by its
/// number; the others are sent all the same, and the exit status is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl dostring fw 'require \"lunatik\".receive(string.upper)'
  lunatikctl senddata fw ping
  lunatikctl senddata fw - < packet.bin
  tail -f /var/log/hosts | lunatikctl senddata --lines fw -")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// The data, at most 60 KiB; `-` reads standard input
    data: OsString,

    /// The limit of this run's wall-clock time, such as 500ms or 2s [default: the
    /// state's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Send each line of the data, without its end, as a message
    #[arg(long)]
    lines: bool,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        if self.lines {
            return if input::is_stdin(&self.data) {
                self.run_lines(io::stdin().lock(), context)
            } else {
                self.run_lines(self.data.as_bytes(), context)
            };
        }
        let data = input::argument(&self.data, limits::DATA)?;
        let state = context.session()?.state(&self.name);
        let reply = match self.timeout {
            Some(timeout) => state.send_data_within(data, timeout),
            None => state.send_data(data),
        }
        .about(&self.name)?;
        print(reply, context)
    }

    fn run_lines(&self, source: impl Read, context: &mut Context) -> Result<()> {
        let state = &context.session()?.state(&self.name);
        let mut lines = Lines::new(source, limits::DATA);
        let mut batch = state.session().batch();
        let (mut sent, mut failed) = (0, 0);
        let mut code = None;
        loop {
            let some = lines.next()?;
            if some.is_empty() {
                break;
            }
            for line in some {
                match self.timeout {
                    Some(timeout) => batch.push_within(state, line, timeout),
                    None => batch.push(state, line),
                };
            }
            for answer in batch.send() {
                sent += 1;
                match answer {
                    Ok(reply) => print(reply, context)?,
                    // It will be the same for every line.
                    Err(error) if is_final(error.kind()) => {
                        return Err(error).about(&self.name);
                    }
                    Err(error) => {
                        failed += 1;
                        // That of the first stands for all.
                        code = code.or(error.errno_name());
                        let subject = format!("{}: line {sent}", self.name);
                        context.out.warn(&Failure::from(error).about(subject));
                    }
                }
            }
            context.out.flush()?;
        }
        if failed == 0 {
            return Ok(());
        }
        let text = format!("{failed} of {} failed", units::count(sent, "line"));
        let code = code.unwrap_or("EREMOTEIO");
        let failure = Failure::new(Status::Failure, code, text);
        Err(failure.about(&self.name))
    }
}

fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoState
            | ErrorKind::NotPermitted
            | ErrorKind::ModuleMissing
            | ErrorKind::Closed
            | ErrorKind::Io
    )
}

fn print(reply: Option<Vec<u8>>, context: &mut Context) -> Result<()> {
    let reply = Value::from(reply);
    context.out.print(&reply, |out| match reply.as_bytes() {
        Some(bytes) => {
            out.write_all(bytes)?;
            out.write_all(b"\n")
        }
        None => Ok(()),
    })
}
