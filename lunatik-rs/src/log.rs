// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scripts print.

use std::{
    collections::HashMap,
    fmt,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant, SystemTime},
};

use lunatik_sys::{lunatik_attr, lunatik_cmd};

use crate::{
    channel::Channel,
    description::{missing, time},
    error::{Error, Result},
    session::Inner,
    socket::Wait,
    state::Id,
    subscription::gap,
    wire::Attrs,
};

/// How many bytes may wait to be read, where the system allows that.
const WAITING: usize = 4 << 20;

/// One line of a state's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The state's name.
    pub state: String,
    /// The state's number.
    pub state_id: u32,
    /// Counts the state's lines from 1.
    pub sequence: u64,
    /// When it was printed.
    pub time: SystemTime,
    /// The text without its newline, at most
    /// [`limits::LOG_LINE`](crate::limits::LOG_LINE) bytes.
    pub text: Vec<u8>,
    /// How many lines before this one should have come and did not: the log kept
    /// them no longer, or they came faster than they were read.
    pub lost: u64,
}

/// A part of a state's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Log {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// How many of the lines asked for the log keeps no longer.
    pub lost: u64,
}

impl Log {
    /// The number to ask for next to go on after these lines.
    pub fn next(&self) -> Option<u64> {
        self.lines.last().map(|line| line.sequence + 1)
    }
}

pub(crate) fn read(session: &Inner, id: &Id, from: Option<u64>) -> Result<Log> {
    let lines = session.dump(
        lunatik_cmd::LUNATIK_CMD_GETLOG,
        |request| {
            id.put(request)?;
            match from {
                Some(from) => request.u64(lunatik_attr::LUNATIK_A_SEQUENCE, from),
                None => Ok(()),
            }
        },
        line,
    )?;
    let lost = lines.iter().map(|line| line.lost).sum();
    Ok(Log { lines, lost })
}

fn line(attrs: Attrs<'_>) -> Result<LogLine> {
    let mut state = None;
    let mut state_id = None;
    let mut sequence = None;
    let mut nanoseconds = None;
    let mut text = None;
    let mut lost = 0;
    for attr in attrs {
        let attr = attr?;
        match lunatik_attr::from(attr.kind) {
            lunatik_attr::LUNATIK_A_STATE_NAME => state = Some(attr.string()?),
            lunatik_attr::LUNATIK_A_STATE_ID => state_id = Some(attr.u32()?),
            lunatik_attr::LUNATIK_A_SEQUENCE => sequence = Some(attr.u64()?),
            lunatik_attr::LUNATIK_A_TIME => nanoseconds = Some(attr.u64()?),
            lunatik_attr::LUNATIK_A_TEXT => text = Some(attr.payload.to_vec()),
            lunatik_attr::LUNATIK_A_LOST => lost = attr.u64()?,
            _ => {}
        }
    }
    Ok(LogLine {
        state: state.ok_or_else(|| missing("STATE_NAME"))?,
        state_id: state_id.ok_or_else(|| missing("STATE_ID"))?,
        sequence: sequence.ok_or_else(|| missing("SEQUENCE"))?,
        time: time(nanoseconds.ok_or_else(|| missing("TIME"))?),
        text: text.ok_or_else(|| missing("TEXT"))?,
        lost,
    })
}

/// What all states of a namespace log, as it comes.
///
/// As an iterator it waits for each line. Lines that come faster than they are
/// read are lost: [`Error::Lost`] tells that at once, and [`LogLine::lost`] of
/// the state's next line how many; [`State::log`](crate::State::log) has them
/// still if the log keeps them.
pub struct LogFollow {
    channel: Channel,
    sequences: HashMap<u32, u64>,
    failed: bool,
}

impl LogFollow {
    pub(crate) fn open(session: &Inner) -> Result<Self> {
        Ok(Self {
            channel: session.listen(Some(session.family.log), WAITING)?,
            sequences: HashMap::new(),
            failed: false,
        })
    }

    /// Waits for the next line.
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::ErrorKind::Lost) once each time lines were lost.
    pub fn recv(&mut self) -> Result<LogLine> {
        loop {
            if let Some(line) = self.receive(Wait::Forever)? {
                return Ok(line);
            }
        }
    }

    /// Waits for the next line, at most for `timeout`; `None` when none came.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<LogLine>> {
        let wait = Instant::now()
            .checked_add(timeout)
            .map_or(Wait::Forever, Wait::Until);
        self.receive(wait)
    }

    /// The next line if one waits.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<LogLine>> {
        self.receive(Wait::No)
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<LogLine>> {
        let received = self.channel.unasked(wait, |cmd, attrs| match cmd {
            lunatik_cmd::LUNATIK_CMD_LOG_NTF => line(attrs).map(Some),
            _ => Ok(None),
        })?;
        Ok(received.map(|mut line| {
            let last = self.sequences.insert(line.state_id, line.sequence);
            line.lost = gap(last, line.sequence);
            line
        }))
    }
}

impl Iterator for LogFollow {
    type Item = Result<LogLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let received = self.recv();
        // Only a loss is followed by more.
        self.failed = matches!(&received, Err(error) if !matches!(error, Error::Lost));
        Some(received)
    }
}

impl AsFd for LogFollow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl fmt::Debug for LogFollow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFollow").finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LogLine {
    /// The fields by their names; the time as `time_ns`, nanoseconds since the
    /// epoch, the text as [`Value`](crate::Value) says of strings.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut s = serializer.serialize_struct("LogLine", 6)?;
        s.serialize_field("state", &self.state)?;
        s.serialize_field("state_id", &self.state_id)?;
        s.serialize_field("sequence", &self.sequence)?;
        s.serialize_field("time_ns", &crate::description::json::nanoseconds(self.time))?;
        s.serialize_field("text", &crate::value::Bytes(&self.text))?;
        s.serialize_field("lost", &self.lost)?;
        s.end()
    }
}
