// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data channels: what a state's script sends.

use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use lunatik_sys::{lunatik_attr, lunatik_cmd, lunatik_flag};
use nix::libc;

use crate::{
    channel::{Answer, Channel, Next},
    description::{Description, missing},
    error::{Error, Result},
    session::Inner,
    socket::Wait,
    state::Id,
    wire::Attrs,
};

/// How many bytes may wait to be read, where the system allows that.
const WAITING: usize = 4 << 20;

/// What a script passed to `lunatik.send`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The state's name.
    pub state: String,
    /// The state's number.
    pub state_id: u32,
    /// Counts the state's `lunatik.send` calls from 1.
    pub sequence: u64,
    /// How many messages between the one before and this one were lost because
    /// they came faster than they were read.
    pub lost: u64,
    /// At most [`limits::DATA`](crate::limits::DATA) bytes.
    pub data: Vec<u8>,
}

/// A data channel of one state. It has a socket and a reference of its own,
/// which end when it is dropped.
///
/// As an iterator it waits for each message, and ends when the state is closed.
/// Messages that come faster than they are read are lost; [`Message::lost`]
/// tells how many, and where the kernel says so at once
/// [`Error::Lost`] comes first, after which more may follow.
pub struct Subscription {
    channel: Channel,
    description: Description,
    sequence: Option<u64>,
    closed: bool,
}

/// What comes on a data channel.
enum Item {
    Message(Message),
    Closed,
}

impl Subscription {
    pub(crate) fn open(session: &Inner, id: &Id) -> Result<Self> {
        let mut channel = session.listen(None, WAITING)?;
        let mut description = None;
        channel.request(
            lunatik_cmd::LUNATIK_CMD_GETSTATE,
            Answer::Reply,
            |request| {
                id.put(request)?;
                request.u32(
                    lunatik_attr::LUNATIK_A_FLAGS,
                    lunatik_flag::LUNATIK_F_SUBSCRIBE.0,
                )?;
                request.u32(lunatik_attr::LUNATIK_A_SESSION, session.port())
            },
            |attrs| {
                description = Some(Description::read(attrs)?);
                Ok(Next::End)
            },
        )?;
        Ok(Self {
            channel,
            description: description.ok_or_else(|| missing("the description"))?,
            sequence: None,
            closed: false,
        })
    }

    /// The state as it was when the channel was opened.
    pub fn snapshot(&self) -> &Description {
        &self.description
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) when the state is closed and what it
    /// sent is read; [`Lost`](crate::ErrorKind::Lost) once each time messages
    /// were lost and the kernel says so.
    pub fn recv(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.receive(Wait::Forever)? {
                return Ok(message);
            }
        }
    }

    /// Waits for the next message, at most for `timeout`; `None` when none came.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message>> {
        let wait = Instant::now()
            .checked_add(timeout)
            .map_or(Wait::Forever, Wait::Until);
        self.receive(wait)
    }

    /// The next message if one waits.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Message>> {
        self.receive(Wait::No)
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<Message>> {
        if self.closed {
            return Err(closed());
        }
        let id = self.description.id;
        match self
            .channel
            .unasked(wait, |cmd, attrs| read(cmd, attrs, id))?
        {
            None => Ok(None),
            Some(Item::Closed) => {
                self.closed = true;
                Err(closed())
            }
            Some(Item::Message(mut message)) => {
                message.lost = gap(self.sequence, message.sequence);
                self.sequence = Some(message.sequence);
                Ok(Some(message))
            }
        }
    }
}

fn closed() -> Error {
    Error::refuse(libc::ESHUTDOWN, "the state was closed")
}

/// How many numbers are missing between two that should follow each other.
pub(crate) fn gap(last: Option<u64>, now: u64) -> u64 {
    last.map_or(0, |last| now.saturating_sub(last).saturating_sub(1))
}

fn read(cmd: lunatik_cmd, attrs: Attrs<'_>, id: u32) -> Result<Option<Item>> {
    let mut name = None;
    let mut state_id = None;
    let mut sequence = None;
    let mut data = None;
    for attr in attrs {
        let attr = attr?;
        match lunatik_attr::from(attr.kind) {
            lunatik_attr::LUNATIK_A_STATE_NAME => name = Some(attr.string()?),
            lunatik_attr::LUNATIK_A_STATE_ID => state_id = Some(attr.u32()?),
            lunatik_attr::LUNATIK_A_SEQUENCE => sequence = Some(attr.u64()?),
            lunatik_attr::LUNATIK_A_DATA => data = Some(attr.payload.to_vec()),
            _ => {}
        }
    }
    Ok(match cmd {
        lunatik_cmd::LUNATIK_CMD_SENDDATA => Some(Item::Message(Message {
            state: name.ok_or_else(|| missing("STATE_NAME"))?,
            state_id: state_id.ok_or_else(|| missing("STATE_ID"))?,
            sequence: sequence.ok_or_else(|| missing("SEQUENCE"))?,
            lost: 0,
            data: data.ok_or_else(|| missing("DATA"))?,
        })),
        lunatik_cmd::LUNATIK_CMD_STATE_CLOSED_NTF if state_id == Some(id) => Some(Item::Closed),
        _ => None,
    })
}

impl Iterator for Subscription {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.closed {
            return None;
        }
        let received = self.recv();
        match &received {
            Err(_) if self.closed => return None,
            // Only a loss is followed by more.
            Err(error) if !matches!(error, Error::Lost) => self.closed = true,
            _ => {}
        }
        Some(received)
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("state", &self.description.name)
            .field("sequence", &self.sequence)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Message {
    /// The fields by their names; data as [`Value`](crate::Value) says of strings.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut s = serializer.serialize_struct("Message", 5)?;
        s.serialize_field("state", &self.state)?;
        s.serialize_field("state_id", &self.state_id)?;
        s.serialize_field("sequence", &self.sequence)?;
        s.serialize_field("lost", &self.lost)?;
        s.serialize_field("data", &crate::value::Bytes(&self.data))?;
        s.end()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use neli::consts::nl::NlmF;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ErrorKind,
        fake::{self, attr, reply},
        socket::Socket,
    };

    fn subscription() -> (Subscription, UnixDatagram) {
        let (socket, kernel) = Socket::pair();
        let subscription = Subscription {
            channel: Channel::fake(socket),
            description: Description::read(Attrs(&fake::description())).expect("well-formed"),
            sequence: None,
            closed: false,
        };
        (subscription, kernel)
    }

    fn message(sequence: u64, data: &[u8]) -> Vec<u8> {
        let attrs = [
            attr(lunatik_attr::LUNATIK_A_STATE_NAME, b"fw\0"),
            attr(lunatik_attr::LUNATIK_A_STATE_ID, &7u32.to_ne_bytes()),
            attr(lunatik_attr::LUNATIK_A_SEQUENCE, &sequence.to_ne_bytes()),
            attr(lunatik_attr::LUNATIK_A_DATA, data),
        ];
        let cmd = lunatik_cmd::LUNATIK_CMD_SENDDATA;
        reply(NlmF::empty(), 0, cmd, &attrs.concat())
    }

    fn closed_event(id: u32) -> Vec<u8> {
        let id = attr(lunatik_attr::LUNATIK_A_STATE_ID, &id.to_ne_bytes());
        let cmd = lunatik_cmd::LUNATIK_CMD_STATE_CLOSED_NTF;
        reply(NlmF::empty(), 0, cmd, &id)
    }

    #[test]
    fn lost_messages_are_counted() {
        let (mut subscription, kernel) = subscription();
        for sequence in [5, 6, 9, 10] {
            kernel.send(&message(sequence, b"\0data")).expect("room");
        }
        let lost = |message: &Message| (message.sequence, message.lost);
        let messages: Vec<_> = std::iter::from_fn(|| subscription.try_recv().expect("no error"))
            .map(|message| lost(&message))
            .collect();
        assert_eq!(messages, [(5, 0), (6, 0), (9, 2), (10, 0)]);
    }

    #[test]
    fn iteration_ends_when_the_state_is_closed() {
        let (mut subscription, kernel) = subscription();
        for datagram in [
            message(1, b"last"),
            closed_event(8),
            closed_event(7),
            message(2, b"of another life"),
        ] {
            kernel.send(&datagram).expect("room");
        }
        let messages: Vec<_> = subscription
            .by_ref()
            .map(|message| message.expect("no error").data)
            .collect();
        assert_eq!(messages, [b"last"]);
        let error = subscription.recv().expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(error.to_string(), "the state was closed (ESHUTDOWN)");
    }

    #[test]
    fn malformed_message_ends_iteration_with_an_error() {
        let (mut subscription, kernel) = subscription();
        let cmd = lunatik_cmd::LUNATIK_CMD_SENDDATA;
        kernel
            .send(&reply(NlmF::empty(), 0, cmd, &[]))
            .expect("room");
        let error = subscription
            .next()
            .expect("an error")
            .expect_err("malformed");
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(subscription.next().is_none());
    }

    proptest! {
        #[test]
        fn any_notification_is_read_or_refused(
            cmd in 0u8..16,
            attrs in prop::collection::vec(
                (0u16..40, prop::collection::vec(any::<u8>(), 0..12)),
                0..20,
            ),
        ) {
            let attrs: Vec<u8> = attrs
                .iter()
                .flat_map(|(kind, payload)| attr((*kind).into(), payload))
                .collect();
            let _ = read(cmd.into(), Attrs(&attrs), 7);
        }
    }
}
