// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scripts print.

use std::os::fd::AsFd as _;

use lunatik::{Error, ErrorKind, Event, Events, LogFollow, LogLine, State};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    context::Context,
    failure::{About, Failure, Result, Status},
    output::Output,
    text::visible,
    units,
};

/// Print a state's log
///
/// Prints what the state's scripts print: the line's number, its time in UTC, its
/// text. Control characters are escaped, unlike in JSON. The log is
/// bounded: standard error tells how many of the lines asked for are gone. With -j,
/// one document a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl log fw
  lunatikctl log fw --from 100 --follow
  lunatikctl -j log fw | jq -r .text")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// The number of the first line to print; lines count from 1 [default: the
    /// oldest that is kept]
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,

    /// Go on with what is printed from now on, until the state is closed
    #[arg(short, long)]
    follow: bool,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        // Listening starts before the log is read, so that no line is missed.
        let live = if self.follow {
            Some((session.log_follow()?, session.events()?))
        } else {
            None
        };
        let id = session
            .state(&self.name)
            .description()
            .about(&self.name)?
            .id;
        let mut reader = Reader {
            name: self.name,
            id,
            state: session.state_by_id(id),
            next: self.from,
            out: &mut context.out,
        };
        reader.catch_up(None)?;
        match live {
            Some((lines, events)) => reader.follow(lines, events),
            None => Ok(()),
        }
    }
}

/// Prints a state's log from a cursor on.
struct Reader<'a> {
    name: String,
    id: u32,
    state: State,
    /// The line to print next; `None` for whichever comes first.
    next: Option<u64>,
    out: &'a mut Output,
}

impl Reader<'_> {
    /// Prints what the log keeps, of the lines before number `end` if one is
    /// given.
    fn catch_up(&mut self, end: Option<u64>) -> Result<()> {
        let log = self.state.log(self.next).about(&self.name)?;
        let wanted = |line: &LogLine| end.is_none_or(|end| line.sequence < end);
        for line in log.lines.into_iter().filter(wanted) {
            self.line(line)?;
        }
        Ok(())
    }

    /// As [`catch_up`](Self::catch_up); whether the state is there still.
    fn try_catch_up(&mut self, end: Option<u64>) -> Result<bool> {
        match self.catch_up(end) {
            Err(failure) if failure.status() == Status::NoState => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn line(&mut self, mut line: LogLine) -> Result<()> {
        let next = self.next.unwrap_or(line.sequence);
        if line.sequence < next {
            return Ok(());
        }
        line.lost = line.sequence - next;
        if line.lost > 0 {
            let text = format!(
                "lost {} before line {}",
                units::count(line.lost, "line"),
                line.sequence
            );
            self.warn(text);
        }
        self.next = Some(line.sequence + 1);
        self.out.print(&line, |out| {
            writeln!(
                out,
                "{} {} {}",
                line.sequence,
                units::utc(line.time),
                visible(&line.text)
            )
        })
    }

    /// Prints what comes until the state is closed.
    fn follow(&mut self, mut lines: LogFollow, mut events: Events) -> Result<()> {
        let name = self.name.clone();
        let mut closed = false;
        while !closed {
            self.out.flush()?;
            wait(&lines, &events).about(&name)?;
            // What is read after the state was closed is all there is.
            let events_lost = drain(
                &name,
                || events.try_recv(),
                |event| {
                    let id = self.id;
                    closed |= matches!(event, Event::Closed { state_id, .. } if state_id == id);
                    Ok(())
                },
            )?;
            let lines_lost = drain(&name, || lines.try_recv(), |line| self.live(line))?;
            if (lines_lost || events_lost) && !self.try_catch_up(None)? {
                closed = true;
                if lines_lost {
                    self.warn("lost lines before the state was closed".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Prints a line that came by itself, after those that should have come
    /// before it.
    fn live(&mut self, line: LogLine) -> Result<()> {
        if line.state_id != self.id {
            return Ok(());
        }
        if self.next.is_some_and(|next| next < line.sequence) {
            self.try_catch_up(Some(line.sequence))?;
        }
        self.line(line)
    }

    fn warn(&mut self, text: String) {
        let warning = Failure::new(Status::Failure, "ENOBUFS", text).about(&self.name);
        self.out.warn(&warning);
    }
}

/// Hands on all that waits to be received; whether some was lost.
fn drain<T>(
    name: &str,
    mut receive: impl FnMut() -> lunatik::Result<Option<T>>,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<bool> {
    let mut lost = false;
    loop {
        match receive() {
            Ok(Some(item)) => take(item)?,
            Ok(None) => return Ok(lost),
            Err(error) if error.kind() == ErrorKind::Lost => lost = true,
            Err(error) => return Err(Failure::from(error).about(name)),
        }
    }
}

/// Waits until there is a line or an event.
fn wait(lines: &LogFollow, events: &Events) -> lunatik::Result<()> {
    let mut fds = [
        PollFd::new(lines.as_fd(), PollFlags::POLLIN),
        PollFd::new(events.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::Io {
            action: "cannot wait for the kernel",
            source: errno.into(),
        }),
    }
}
