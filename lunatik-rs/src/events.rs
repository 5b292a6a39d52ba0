// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens to the states of a namespace.

use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use lunatik_sys::{lunatik_attr, lunatik_cmd};

use crate::{
    channel::Channel,
    description::missing,
    error::{Error, Result},
    session::Inner,
    socket::Wait,
    wire::Attrs,
};

/// How many bytes may wait to be read, where the system allows that.
const WAITING: usize = 1 << 20;

/// Something that happened to a state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It was made.
    Created {
        /// The state's name.
        state: String,
        /// The state's number.
        state_id: u32,
    },
    /// It was closed.
    Closed {
        /// The state's name.
        state: String,
        /// The state's number.
        state_id: u32,
    },
    /// A run in it ended in an error.
    Failed {
        /// The state's name.
        state: String,
        /// The state's number.
        state_id: u32,
        /// The error's number, positive.
        errno: i32,
        /// What Lua said, unless that was too long for a notification.
        error: Option<Vec<u8>>,
    },
}

/// The events of a namespace, as they happen.
///
/// As an iterator it waits for each. Events that come faster than they are read
/// are lost, which [`Error::Lost`] tells; more events follow it.
pub struct Events {
    channel: Channel,
    failed: bool,
}

impl Events {
    pub(crate) fn open(session: &Inner) -> Result<Self> {
        Ok(Self {
            channel: session.listen(Some(session.family.events), WAITING)?,
            failed: false,
        })
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::ErrorKind::Lost) once each time events were lost.
    pub fn recv(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.channel.unasked(Wait::Forever, read)? {
                return Ok(event);
            }
        }
    }

    /// Waits for the next event, at most for `timeout`; `None` when none came.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>> {
        let wait = Instant::now()
            .checked_add(timeout)
            .map_or(Wait::Forever, Wait::Until);
        self.channel.unasked(wait, read)
    }

    /// The next event if one waits.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event>> {
        self.channel.unasked(Wait::No, read)
    }
}

fn read(cmd: lunatik_cmd, attrs: Attrs<'_>) -> Result<Option<Event>> {
    let mut state = None;
    let mut state_id = None;
    let mut errno = None;
    let mut error = None;
    for attr in attrs {
        let attr = attr?;
        match lunatik_attr::from(attr.kind) {
            lunatik_attr::LUNATIK_A_STATE_NAME => state = Some(attr.string()?),
            lunatik_attr::LUNATIK_A_STATE_ID => state_id = Some(attr.u32()?),
            lunatik_attr::LUNATIK_A_ERRNO => errno = i32::try_from(attr.u32()?).ok(),
            lunatik_attr::LUNATIK_A_ERROR => error = Some(attr.payload.to_vec()),
            _ => {}
        }
    }
    let state = || state.ok_or_else(|| missing("STATE_NAME"));
    let state_id = || state_id.ok_or_else(|| missing("STATE_ID"));
    Ok(Some(match cmd {
        lunatik_cmd::LUNATIK_CMD_STATE_CREATED_NTF => Event::Created {
            state: state()?,
            state_id: state_id()?,
        },
        lunatik_cmd::LUNATIK_CMD_STATE_CLOSED_NTF => Event::Closed {
            state: state()?,
            state_id: state_id()?,
        },
        lunatik_cmd::LUNATIK_CMD_STATE_FAILED_NTF => Event::Failed {
            state: state()?,
            state_id: state_id()?,
            errno: errno.ok_or_else(|| missing("ERRNO"))?,
            error,
        },
        _ => return Ok(None),
    }))
}

impl Event {
    /// The state's name.
    pub fn state(&self) -> &str {
        match self {
            Self::Created { state, .. }
            | Self::Closed { state, .. }
            | Self::Failed { state, .. } => state,
        }
    }

    /// The state's number.
    pub fn state_id(&self) -> u32 {
        match self {
            Self::Created { state_id, .. }
            | Self::Closed { state_id, .. }
            | Self::Failed { state_id, .. } => *state_id,
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

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

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Event {
    /// `{"event": "created", "state", "state_id"}`; a failure also has `errno`,
    /// a number, and `error`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        let event = match self {
            Self::Created { .. } => "created",
            Self::Closed { .. } => "closed",
            Self::Failed { .. } => "failed",
        };
        map.serialize_entry("event", event)?;
        map.serialize_entry("state", self.state())?;
        map.serialize_entry("state_id", &self.state_id())?;
        if let Self::Failed { errno, error, .. } = self {
            map.serialize_entry("errno", errno)?;
            if let Some(error) = error {
                map.serialize_entry("error", &crate::value::Bytes(error))?;
            }
        }
        map.end()
    }
}
