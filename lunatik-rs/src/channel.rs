// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests and their answers on one socket.
//!
//! The kernel handles a request inside `send`, so what it answers waits to be
//! received when `send` returns; a dump goes on with each `recv`. That spares
//! the ACK of every request that is answered by a reply: the reply ends it, and
//! a request that succeeds with nothing to tell has simply no answer waiting.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
};

use lunatik_sys::lunatik_cmd;
use neli::consts::nl::{NlmF, Nlmsg, NlmsgerrAttr};
use nix::libc;

use crate::{
    error::{Error, Refusal, Result},
    family::{self, Family},
    socket::{Socket, Wait},
    wire::{self, Attrs, Message, Messages, Request},
};

/// No message of the family is larger: a longer reply comes in parts. The kernel's
/// own clients receive as much.
const RECEIVE_BUFFER: usize = 128 << 10;
/// Requests up to this size can be sent on any socket.
pub(crate) const SEND_BUFFER: usize = 128 << 10;
/// `NLMSGERR_ATTR_MISS_TYPE` of linux/netlink.h: the attribute that is missing.
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;

/// What ends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An ACK.
    Ack,
    /// A reply, whole or in parts.
    Reply,
    /// As `Reply`, or nothing at all.
    Maybe,
    /// A dump's `NLMSG_DONE`.
    Dump,
}

/// Whether a reply is the end of a successful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    End,
    /// An error follows.
    Error,
}

pub(crate) struct Channel {
    socket: Socket,
    family: u16,
    sequence: u32,
    send: Vec<u8>,
    receive: Box<[u8]>,
    /// What came unasked while an answer was waited for, from the generic
    /// netlink header on; only on channels that expect it.
    unasked: Option<VecDeque<Vec<u8>>>,
}

/// How one message was understood.
enum Step {
    /// Not the end.
    More,
    End,
}

impl Channel {
    fn over(socket: Socket, family: u16) -> Self {
        Self {
            socket,
            family,
            sequence: 0,
            send: Vec::new(),
            receive: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            unasked: None,
        }
    }

    /// A channel for requests; asks the kernel for the family first, which loads
    /// the module where that is possible.
    pub(crate) fn control(socket: Socket) -> Result<(Self, Family)> {
        let mut channel = Self::over(socket, libc::GENL_ID_CTRL.try_into().unwrap_or_default());
        let family = channel.resolve()?;
        channel.family = family.id;
        Ok((channel, family))
    }

    /// A channel for what comes unasked.
    pub(crate) fn listening(socket: Socket, family: Family, waiting: usize) -> Self {
        socket.allow_waiting(waiting);
        let mut channel = Self::over(socket, family.id);
        channel.unasked = Some(VecDeque::new());
        channel
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn next_sequence(&mut self) -> u32 {
        // 0 is what comes unasked.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.sequence
    }

    fn resolve(&mut self) -> Result<Family> {
        let sequence = self.next_sequence();
        family::request(sequence, &mut self.send)?;
        let mut found = None;
        let answer = self.exchange(Answer::Reply, |message| {
            found = Some(family::parse(message.payload)?);
            Ok(Next::End)
        });
        match (answer, found) {
            (Ok(_), Some(family)) => Ok(family),
            (Ok(_), None) => Err(Error::protocol("no description of the family")),
            (Err(Error::Refused(refusal)), _) if refusal.errno == libc::ENOENT => {
                Err(Error::ModuleMissing)
            }
            (Err(e), _) => Err(e),
        }
    }

    /// Sends `cmd` with the attributes that `write` adds, and gives each reply to
    /// `read`. The answer is received to its end even when `read` fails.
    ///
    /// For a dump, tells whether the kernel marked it as inconsistent.
    pub(crate) fn request(
        &mut self,
        cmd: lunatik_cmd,
        answer: Answer,
        write: impl FnOnce(&mut Request<'_>) -> Result<()>,
        mut read: impl FnMut(Attrs<'_>) -> Result<Next>,
    ) -> Result<bool> {
        let flags = match answer {
            Answer::Ack => NlmF::REQUEST | NlmF::ACK,
            Answer::Reply | Answer::Maybe => NlmF::REQUEST,
            Answer::Dump => NlmF::REQUEST | NlmF::DUMP,
        };
        let sequence = self.next_sequence();
        let mut request = Request::new(&mut self.send, self.family, flags, sequence, cmd);
        write(&mut request)?;
        request.finish()?;
        let answer = self.exchange(answer, |message| {
            let (_, attrs) = message.genl()?;
            read(attrs)
        });
        match answer {
            Err(error) if is_silent(&error) && self.is_orphaned() => Err(Error::ModuleMissing),
            answer => answer,
        }
    }

    /// Whether the module that this channel spoke to is gone.
    fn is_orphaned(&mut self) -> bool {
        let known = std::mem::replace(
            &mut self.family,
            libc::GENL_ID_CTRL.try_into().unwrap_or_default(),
        );
        let now = self.resolve();
        self.family = known;
        !matches!(now, Ok(family) if family.id == known)
    }

    fn exchange(
        &mut self,
        answer: Answer,
        mut read: impl FnMut(Message<'_>) -> Result<Next>,
    ) -> Result<bool> {
        if self.send.len() > SEND_BUFFER {
            self.socket.allow_sending(self.send.len());
        }
        self.socket.send(&self.send)?;

        let mut state = Exchange {
            answer,
            family: self.family,
            failure: None,
            interrupted: false,
        };
        let mut wait = match answer {
            Answer::Maybe => Wait::No,
            _ => Wait::Forever,
        };
        loop {
            let received = self.socket.receive(&mut self.receive, wait);
            let Some(length) = received.map_err(unanswered)? else {
                return state.end();
            };
            for message in Messages(&self.receive[..length]) {
                let message = message?;
                if message.sequence != self.sequence {
                    // Unasked, or the late answer to a request that failed.
                    if let (0, Some(unasked)) = (message.sequence, &mut self.unasked) {
                        unasked.push_back(message.payload.to_vec());
                    }
                    continue;
                }
                wait = Wait::Forever;
                match state.step(message, &self.send, &mut read)? {
                    Step::More => {}
                    Step::End => return state.end(),
                }
            }
        }
    }

    /// The next thing that came unasked and that `read` makes something of;
    /// `None` when there is none in time.
    pub(crate) fn unasked<T>(
        &mut self,
        wait: Wait,
        mut read: impl FnMut(lunatik_cmd, Attrs<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            while let Some(payload) = self.unasked.as_mut().and_then(VecDeque::pop_front) {
                let (cmd, attrs) = genl(&payload)?;
                if let Some(item) = read(cmd, attrs)? {
                    return Ok(Some(item));
                }
            }
            let Some(length) = self.socket.receive(&mut self.receive, wait)? else {
                return Ok(None);
            };
            let mut found = None;
            for message in Messages(&self.receive[..length]) {
                let message = message?;
                if message.sequence != 0 || message.kind != self.family {
                    continue;
                }
                if found.is_none() {
                    let (cmd, attrs) = message.genl()?;
                    found = read(cmd, attrs)?;
                } else if let Some(unasked) = &mut self.unasked {
                    unasked.push_back(message.payload.to_vec());
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

/// Whether there is nothing of the kind, and no word about it. Lunatik says that
/// there is no such state; the kernel that does not know the family says nothing.
fn is_silent(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal)
        if refusal.errno == libc::ENOENT && refusal.message.is_none())
}

/// What was lost is the answer: requests never fill the socket, so the kernel had
/// no memory for it.
fn unanswered(error: Error) -> Error {
    match error {
        Error::Lost => Error::refuse(
            libc::ENOBUFS,
            "the kernel had no memory for its answer: whether it did what was asked is not known",
        ),
        error => error,
    }
}

fn genl(payload: &[u8]) -> Result<(lunatik_cmd, Attrs<'_>)> {
    Message {
        kind: 0,
        flags: NlmF::empty(),
        sequence: 0,
        payload,
    }
    .genl()
}

/// An answer that is being received.
struct Exchange {
    answer: Answer,
    family: u16,
    /// Why a reply could not be read.
    failure: Option<Error>,
    interrupted: bool,
}

impl Exchange {
    fn end(self) -> Result<bool> {
        match self.failure {
            None => Ok(self.interrupted),
            Some(error) => Err(error),
        }
    }

    fn step(
        &mut self,
        message: Message<'_>,
        request: &[u8],
        read: &mut impl FnMut(Message<'_>) -> Result<Next>,
    ) -> Result<Step> {
        self.interrupted |= message.flags.contains(NlmF::DUMP_INTR);
        if message.kind == self.family {
            let next = match &self.failure {
                Some(_) => Next::End,
                None => read(message).unwrap_or_else(|error| {
                    self.failure = Some(error);
                    Next::End
                }),
            };
            let whole = !message.flags.contains(NlmF::MULTI);
            let ends = matches!(self.answer, Answer::Reply | Answer::Maybe);
            return Ok(if ends && whole && next == Next::End {
                Step::End
            } else {
                Step::More
            });
        }
        control(message, request)
    }
}

/// Understands a message that is not the family's; the error is that of the
/// request.
fn control(message: Message<'_>, request: &[u8]) -> Result<Step> {
    match Nlmsg::from(message.kind) {
        Nlmsg::Noop => Ok(Step::More),
        Nlmsg::Error => match status(message.payload) {
            Some((0, _)) => Ok(Step::End),
            Some((code, rest)) => {
                let repeated = if message.flags.contains(NlmF::CAPPED) {
                    wire::NLMSG_HEADER
                } else {
                    request.len()
                };
                Err(refusal(code, rest.get(repeated..).unwrap_or(&[]), request))
            }
            None => Err(Error::protocol("an error without a number")),
        },
        Nlmsg::Done => match status(message.payload) {
            Some((0, _)) | None => Ok(Step::End),
            Some((code, tlvs)) => Err(refusal(code, tlvs, request)),
        },
        _ => Err(Error::protocol(format!(
            "a message of type {}",
            message.kind
        ))),
    }
}

fn status(payload: &[u8]) -> Option<(i32, &[u8])> {
    let (code, rest) = payload.split_first_chunk()?;
    Some((i32::from_ne_bytes(*code), rest))
}

/// What the kernel says in an error.
fn refusal(code: i32, tlvs: &[u8], request: &[u8]) -> Error {
    let mut refusal = Refusal {
        errno: code.saturating_neg(),
        message: None,
        offset: None,
        attribute: None,
        lua: None,
    };
    // A text that cannot be read is no reason to hide the error it explains.
    for attr in Attrs(tlvs).flatten() {
        if attr.kind == NLMSGERR_ATTR_MISS_TYPE {
            let missing = attr.u32().ok().and_then(|kind| u16::try_from(kind).ok());
            refusal.attribute = missing.and_then(|kind| wire::attribute_name(kind.into()));
            continue;
        }
        match NlmsgerrAttr::from(attr.kind) {
            NlmsgerrAttr::Msg => {
                let text = attr.payload.strip_suffix(b"\0").unwrap_or(attr.payload);
                refusal.message = Some(String::from_utf8_lossy(text).into());
            }
            NlmsgerrAttr::Offset => {
                refusal.offset = attr.u32().ok();
                refusal.attribute = refusal
                    .offset
                    .and_then(|offset| wire::attribute_at(request, offset))
                    .and_then(wire::attribute_name);
            }
            _ => {}
        }
    }
    Error::Refused(Box::new(refusal))
}

#[cfg(test)]
impl Channel {
    /// For what comes unasked.
    pub(crate) fn fake(socket: Socket) -> Self {
        let mut channel = Self::over(socket, crate::fake::FAMILY);
        channel.unasked = Some(VecDeque::new());
        channel
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind::WouldBlock,
        os::unix::net::UnixDatagram,
        time::{Duration, Instant},
    };

    use lunatik_sys::lunatik_attr;

    use super::*;
    use crate::{
        ErrorKind,
        fake::{self, FAMILY, done, error, message, tlv},
    };

    fn channel() -> (Channel, UnixDatagram) {
        let (socket, kernel) = Socket::pair();
        (Channel::over(socket, FAMILY), kernel)
    }

    /// A reply with one `STATE_ID`.
    fn reply(flags: NlmF, sequence: u32, id: u32) -> Vec<u8> {
        fake::reply(
            flags,
            sequence,
            lunatik_cmd::LUNATIK_CMD_GETSTATE,
            &tlv(3, &id.to_ne_bytes()),
        )
    }

    /// What a request reads when the kernel answers with these datagrams.
    fn answered(answer: Answer, datagrams: &[Vec<u8>]) -> Result<(Vec<u32>, bool)> {
        let (mut channel, kernel) = channel();
        for datagram in datagrams {
            kernel.send(datagram).expect("room");
        }
        let mut ids = Vec::new();
        let interrupted = channel.request(
            lunatik_cmd::LUNATIK_CMD_GETSTATE,
            answer,
            |request| request.u32(lunatik_attr::LUNATIK_A_MAX_ALLOC, 7),
            |attrs| {
                for attr in attrs {
                    ids.push(attr?.u32()?);
                }
                Ok(Next::End)
            },
        )?;
        Ok((ids, interrupted))
    }

    #[test]
    fn only_the_flags_that_the_family_takes_are_sent() {
        for (answer, flags) in [
            (Answer::Ack, 1 | 4),
            (Answer::Reply, 1),
            (Answer::Maybe, 1),
            (Answer::Dump, 1 | 0x300),
        ] {
            let (mut channel, kernel) = channel();
            for datagram in [
                reply(NlmF::empty(), 1, 1),
                error(1, 0, &[]),
                done(1, 0, &[]),
            ] {
                kernel.send(&datagram).expect("room");
            }
            let cmd = lunatik_cmd::LUNATIK_CMD_GETSTATE;
            channel
                .request(cmd, answer, |_| Ok(()), |_| Ok(Next::End))
                .expect("answered");
            let mut request = [0; 64];
            let length = kernel.recv(&mut request).expect("sent");
            assert_eq!(length, 20);
            assert_eq!(u16::from_ne_bytes([request[6], request[7]]), flags);
        }
    }

    #[test]
    fn answers_end_where_they_should() {
        let none = NlmF::empty();
        let whole = |answer, datagrams: &[Vec<u8>]| {
            let (ids, interrupted) = answered(answer, datagrams).expect("success");
            assert!(!interrupted);
            ids
        };
        assert!(whole(Answer::Ack, &[error(1, 0, &[])]).is_empty());
        assert_eq!(whole(Answer::Reply, &[reply(none, 1, 5)]), [5]);
        assert_eq!(whole(Answer::Maybe, &[reply(none, 1, 5)]), [5]);
        assert!(whole(Answer::Maybe, &[]).is_empty());
        let parts = [
            [reply(NlmF::MULTI, 1, 1), reply(NlmF::MULTI, 1, 2)].concat(),
            reply(NlmF::MULTI, 1, 3),
            done(1, 0, &[]),
        ];
        for answer in [Answer::Reply, Answer::Maybe, Answer::Dump] {
            assert_eq!(whole(answer, &parts), [1, 2, 3]);
        }
        assert!(whole(Answer::Dump, &[done(1, 0, &[])]).is_empty());
    }

    #[test]
    fn what_answers_other_requests_is_skipped() {
        let (ids, _) = answered(
            Answer::Reply,
            &[
                reply(NlmF::empty(), 9, 1),
                error(8, libc::EPERM, &[]),
                done(7, libc::EPERM, &[]),
                [reply(NlmF::empty(), 0, 2), reply(NlmF::empty(), 1, 3)].concat(),
            ],
        )
        .expect("success");
        assert_eq!(ids, [3]);
    }

    #[test]
    fn errors_have_what_the_kernel_says() {
        let text = tlv(1, b"MAX_ALLOC must be 32768 to 65536 bytes\0");
        let offset = tlv(2, &20u32.to_ne_bytes());
        let tlvs = [text, offset].concat();
        for datagram in [error(1, libc::ERANGE, &tlvs), done(1, libc::ERANGE, &tlvs)] {
            let error = answered(Answer::Reply, &[datagram]).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::OutOfRange);
            let Error::Refused(refusal) = error else {
                panic!("{error:?}")
            };
            assert_eq!(
                refusal.message(),
                Some("MAX_ALLOC must be 32768 to 65536 bytes")
            );
            assert_eq!(refusal.offset(), Some(20));
            assert_eq!(refusal.attribute(), Some("MAX_ALLOC"));
        }
        let missing = tlv(NLMSGERR_ATTR_MISS_TYPE, &6u32.to_ne_bytes());
        let error =
            answered(Answer::Maybe, &[error(1, libc::EINVAL, &missing)]).expect_err("refused");
        assert_eq!(error.to_string(), "malformed request: CODE (EINVAL)");
    }

    #[test]
    fn interrupted_dump_says_so() {
        let datagrams = [reply(NlmF::MULTI | NlmF::DUMP_INTR, 1, 1), done(1, 0, &[])];
        let (_, interrupted) = answered(Answer::Dump, &datagrams).expect("success");
        assert!(interrupted);
    }

    #[test]
    fn malformed_answers_are_errors() {
        for datagram in [
            vec![1, 2, 3],
            message(FAMILY, NlmF::empty(), 1, &[]),
            message(FAMILY, NlmF::empty(), 1, &[4, 1, 0, 0, 3, 0, 0, 0]),
            message(99, NlmF::empty(), 1, &[0; 8]),
            message(4, NlmF::empty(), 1, &[]),
            message(2, NlmF::empty(), 1, &[1, 2]),
        ] {
            let error =
                answered(Answer::Reply, std::slice::from_ref(&datagram)).expect_err("malformed");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{datagram:?}");
        }
    }

    #[test]
    fn channel_goes_on_after_a_reply_that_could_not_be_read() {
        let (mut channel, kernel) = channel();
        for datagram in [
            reply(NlmF::MULTI, 1, 1),
            reply(NlmF::MULTI, 1, 2),
            done(1, 0, &[]),
            reply(NlmF::empty(), 2, 3),
        ] {
            kernel.send(&datagram).expect("room");
        }
        let cmd = lunatik_cmd::LUNATIK_CMD_GETSTATE;
        let unreadable = channel.request(
            cmd,
            Answer::Dump,
            |_| Ok(()),
            |_| Err(Error::protocol("as a test")),
        );
        assert!(unreadable.is_err());
        let mut replies = 0;
        channel
            .request(
                cmd,
                Answer::Reply,
                |_| Ok(()),
                |_| {
                    replies += 1;
                    Ok(Next::End)
                },
            )
            .expect("the answer to the second request");
        assert_eq!(replies, 1);
    }

    #[test]
    fn requests_that_are_not_sent_leave_nothing_behind() {
        let (mut channel, kernel) = channel();
        let refused = channel.request(
            lunatik_cmd::LUNATIK_CMD_DOSTRING,
            Answer::Maybe,
            |_| Err(Error::too_large("CODE", 2, 1)),
            |_| Ok(Next::End),
        );
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "CODE is 2 bytes, the limit is 1 (EMSGSIZE)"
        );
        let nothing = kernel.recv(&mut [0; 64]).expect_err("nothing was sent");
        assert_eq!(nothing.kind(), WouldBlock);
    }

    #[test]
    fn what_comes_unasked_waits_in_order() {
        let (socket, kernel) = Socket::pair();
        let mut channel = Channel::fake(socket);
        let none = NlmF::empty();
        for datagram in [
            reply(none, 0, 1),
            reply(none, 1, 100),
            [reply(none, 0, 2), reply(none, 0, 3)].concat(),
            message(99, none, 0, &[0; 4]),
        ] {
            kernel.send(&datagram).expect("room");
        }
        let cmd = lunatik_cmd::LUNATIK_CMD_GETSTATE;
        channel
            .request(cmd, Answer::Reply, |_| Ok(()), |_| Ok(Next::End))
            .expect("answered");
        let mut next = |wait| {
            channel
                .unasked(wait, |_, mut attrs| {
                    attrs.next().map(|attr| attr?.u32()).transpose()
                })
                .expect("well-formed")
        };
        assert_eq!(next(Wait::Forever), Some(1));
        assert_eq!(next(Wait::No), Some(2));
        assert_eq!(next(Wait::Forever), Some(3));
        assert_eq!(next(Wait::No), None);
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(next(Wait::Until(soon)), None);
        assert!(Instant::now() >= soon);
        kernel.send(&reply(none, 0, 4)).expect("room");
        assert_eq!(next(Wait::Until(Instant::now())), Some(4));
    }

    #[test]
    fn datagram_that_does_not_fit_is_an_error() {
        let (socket, kernel) = Socket::pair();
        kernel.send(&[0; 32]).expect("room");
        let error = socket
            .receive(&mut [0; 16], Wait::Forever)
            .expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }

    #[test]
    fn sequence_numbers_skip_what_is_unasked() {
        let (mut channel, _kernel) = channel();
        channel.sequence = u32::MAX;
        assert_eq!(channel.next_sequence(), 1);
    }
}
