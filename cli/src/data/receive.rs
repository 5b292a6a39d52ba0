// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::Duration;

use lunatik::{ErrorKind, Message, Subscription};

use crate::{
    context::Context,
    failure::{About, Failure, Result, Status},
    units,
};

/// Print the data that a state sends
///
/// Prints what the state's script passes to lunatik.send from now on: the bytes
/// as they are, then a newline, as they come. Ends when the state is closed.
/// Messages that come faster than they are read are lost, which standard error
/// tells. With -j, one document a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl receive fw
  lunatikctl receive fw --count 1 --timeout 5s
  lunatikctl -j receive fw | jq -r .data")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// End after so many messages; fewer are a failure
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End when no message comes for so long, such as 500ms or 2s. A failure
    /// unless there were some or, with --count, all
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let state = context.session()?.state(&self.name);
        let mut subscription = state.subscribe().about(&self.name)?;
        let mut received = 0;
        while self.count != Some(received) {
            let message = match self.wait(&mut subscription) {
                Ok(Some(message)) => message,
                Ok(None) => return self.timed_out(received),
                Err(error) => match error.kind() {
                    ErrorKind::Lost => {
                        context.out.warn(&Failure::from(error).about(&self.name));
                        continue;
                    }
                    ErrorKind::Closed if self.count.is_none() => break,
                    _ => return Err(Failure::from(error).about(&self.name)),
                },
            };
            received += 1;
            if message.lost > 0 {
                let text = format!(
                    "lost {} before message {}",
                    units::count(message.lost, "message"),
                    message.sequence
                );
                context.out.warn(&self.failure("ENOBUFS", text));
            }
            context.out.print(&message, |out| {
                out.write_all(&message.data)?;
                out.write_all(b"\n")
            })?;
            context.out.flush()?;
        }
        Ok(())
    }

    fn wait(&self, subscription: &mut Subscription) -> lunatik::Result<Option<Message>> {
        match self.timeout {
            Some(timeout) => subscription.recv_timeout(timeout),
            None => subscription.recv().map(Some),
        }
    }

    fn timed_out(&self, received: u64) -> Result<()> {
        let timeout = units::limit(self.timeout.unwrap_or_default());
        match (self.count, received) {
            (None, 1..) => Ok(()),
            (None | Some(_), 0) => {
                Err(self.failure("ETIMEDOUT", format!("no message in {timeout}")))
            }
            (Some(count), _) => Err(self.failure(
                "ETIMEDOUT",
                format!("{received} of {count} messages, and none more in {timeout}"),
            )),
        }
    }

    fn failure(&self, code: &'static str, message: String) -> Failure {
        Failure::new(Status::Failure, code, message).about(&self.name)
    }
}
