// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which answers must come, and whether those that come are right.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail, ensure};
use lunatik_sys::{LUNATIK_TABLE_DEPTH, lunatik_attr as A, lunatik_cmd, lunatik_value as V};
use nix::errno::Errno;

use super::{
    message::{NLM_F_ACK, NLM_F_MULTI, NLM_F_REQUEST},
    spec::{self, Form},
};
use crate::Tally;

const HEADER: usize = 16;
const GENL_HEADER: usize = 4;
const NLMSG_MIN_TYPE: u16 = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What the header says and facts beside it.
const ERRNOS: &[Errno] = &[
    Errno::EPERM,
    Errno::EEXIST,
    Errno::ENOENT,
    Errno::EINVAL,
    Errno::ERANGE,
    Errno::EDQUOT,
    Errno::EBUSY,
    Errno::ENOEXEC,
    Errno::ENOMEM,
    Errno::ETIME,
    Errno::EINTR,
    Errno::EMSGSIZE,
    Errno::EREMOTEIO,
    Errno::ENOTCONN,
    Errno::ESHUTDOWN,
    // Generic netlink's own, for an operation that is none.
    Errno::EOPNOTSUPP,
];

/// A message of ours in a datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) label: &'static str,
    pub(super) refuse: Option<&'static str>,
}

/// A message that the kernel has seen and what is due for it.
#[derive(Debug)]
struct Due {
    label: &'static str,
    ack: bool,
    /// Whether it was for the family.
    ours: bool,
    refuse: Option<&'static str>,
    /// Another message had the same sequence number: which answer is whose cannot be
    /// told.
    vague: bool,
}

/// What one socket is due.
#[derive(Debug, Default)]
pub(super) struct Answers {
    due: HashMap<u32, VecDeque<Due>>,
    /// Something was lost or cut: what is missing proves nothing.
    lossy: bool,
}

impl Answers {
    /// Takes note of a datagram, seen as the kernel sees it. Messages that we made
    /// are found by their place.
    pub(super) fn expect(&mut self, datagram: &[u8], family: u16, sent: &[Sent]) {
        let mut at = 0;
        while let Some(header) = datagram[at..].first_chunk::<HEADER>() {
            let length = u32_at(header, 0) as usize;
            if length < HEADER || length > datagram.len() - at {
                break;
            }
            let kind = u16_at(header, 4);
            let flags = u16_at(header, 6);
            let known = sent.iter().find(|sent| sent.at == at);
            let handled = flags & NLM_F_REQUEST != 0 && kind >= NLMSG_MIN_TYPE;
            let due = self.due.entry(u32_at(header, 8)).or_default();
            due.push_back(Due {
                label: known.map_or("fragment", |known| known.label),
                ack: flags & NLM_F_ACK != 0,
                ours: handled && kind == family,
                refuse: known.and_then(|known| known.refuse).filter(|_| handled),
                vague: false,
            });
            if due.len() > 1 {
                for one in due.iter_mut() {
                    one.vague = true;
                }
            }
            at = (at + length.next_multiple_of(4)).min(datagram.len());
        }
    }

    /// From now on, until all has been read, answers may be missing.
    pub(super) fn lose(&mut self) {
        self.lossy = true;
    }

    /// Takes a datagram from the kernel; the highest `STATE_ID` in it.
    pub(super) fn take(&mut self, datagram: &[u8], family: u16, tally: &mut Tally) -> Result<u32> {
        let mut newest = 0;
        let mut rest = datagram;
        while !rest.is_empty() {
            let length = rest
                .first_chunk::<HEADER>()
                .map(|header| u32_at(header, 0) as usize);
            let length = length.filter(|length| (HEADER..=rest.len()).contains(length));
            let Some(length) = length else {
                bail!("a datagram with {} bytes that are no message", rest.len());
            };
            let one = self.message(&rest[..length], family, tally);
            newest = newest.max(one.with_context(|| format!("in {:02x?}", head(rest)))?);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(newest)
    }

    fn message(&mut self, message: &[u8], family: u16, tally: &mut Tally) -> Result<u32> {
        let (kind, flags) = (u16_at(message, 4), u16_at(message, 6));
        let sequence = u32_at(message, 8);
        let payload = &message[HEADER..];
        match kind {
            NLMSG_NOOP => Ok(0),
            NLMSG_ERROR | NLMSG_DONE => {
                let code = payload.first_chunk().context("an answer without a code")?;
                let code = i32::from_ne_bytes(*code);
                self.end(sequence, kind == NLMSG_DONE, code, tally)?;
                Ok(0)
            }
            _ if kind == family => {
                let command = *payload.first().context("a message without a command")?;
                let command = lunatik_cmd::from(command);
                let unasked = command.0 >= lunatik_cmd::LUNATIK_CMD_STATE_CREATED_NTF.0
                    || (command == lunatik_cmd::LUNATIK_CMD_SENDDATA && sequence == 0);
                if unasked {
                    ensure!(sequence == 0, "a notification with a sequence number");
                    ensure!(flags & NLM_F_MULTI == 0, "a notification in parts");
                    tally.add("unasked", &format!("{}", command.0));
                } else if !self.lossy {
                    ensure!(
                        self.due.contains_key(&sequence),
                        "a reply to a message that was not sent or is answered"
                    );
                }
                attributes(payload)
            }
            _ => Ok(0),
        }
    }

    fn end(&mut self, sequence: u32, done: bool, code: i32, tally: &mut Tally) -> Result<()> {
        ensure!(code <= 0, "an answer with the code {code}");
        let errno = Errno::from_raw(-code);
        let name = match code {
            0 => "ok".to_owned(),
            _ => format!("{errno:?}"),
        };
        let Some(due) = self.due.get_mut(&sequence) else {
            ensure!(
                self.lossy,
                "{name} for a message that was not sent or is answered"
            );
            return Ok(());
        };
        let one = due.pop_front().context("nothing is due")?;
        if due.is_empty() {
            self.due.remove(&sequence);
        }
        tally.add(one.label, &name);
        if one.vague {
            return Ok(());
        }
        if let Some(why) = one.refuse {
            ensure!(code != 0, "{} with {why} was not refused", one.label);
        }
        ensure!(
            one.ack || done || code != 0,
            "{}: an ACK that was not asked for",
            one.label
        );
        // A reply for which there is no room is lost, and its request then fails so.
        ensure!(
            !one.ours || self.lossy || code == 0 || ERRNOS.contains(&errno),
            "{}: {name} is no error of the family's",
            one.label
        );
        Ok(())
    }

    /// Everything that waited has been read: nothing more can come.
    pub(super) fn complete(&mut self, tally: &mut Tally) -> Result<()> {
        let lossy = std::mem::take(&mut self.lossy);
        for (sequence, due) in self.due.drain() {
            for one in due {
                if lossy || one.vague {
                    tally.add(one.label, "unknown");
                    continue;
                }
                ensure!(
                    !one.ack,
                    "{}, sequence number {sequence}: no answer",
                    one.label
                );
                if let Some(why) = one.refuse {
                    bail!("{} with {why} was not refused", one.label);
                }
                tally.add(one.label, "silence");
            }
        }
        Ok(())
    }
}

/// Checks a message of the family behind its netlink header; the `STATE_ID` in it.
fn attributes(payload: &[u8]) -> Result<u32> {
    ensure!(payload.len() >= GENL_HEADER, "a short message");
    ensure!(payload[2..4] == [0, 0], "reserved bytes that are not 0");
    let mut id = 0;
    let (mut max, mut most, mut replicas) = (u32::MAX, 0, 1);
    let mut depth = 0u32;
    for attribute in split(&payload[GENL_HEADER..])? {
        let (kind, payload) = attribute;
        match spec::form(kind).with_context(|| format!("attribute {kind}"))? {
            Form::U32 => {
                let value = u32::from_ne_bytes(integer(kind, payload)?);
                match A::from(kind) {
                    A::LUNATIK_A_STATE_ID => id = value,
                    A::LUNATIK_A_MAX_ALLOC => max = value,
                    A::LUNATIK_A_CURR_ALLOC | A::LUNATIK_A_PEAK_ALLOC => most = most.max(value),
                    A::LUNATIK_A_REPLICAS => replicas = value,
                    _ => {}
                }
            }
            Form::U64 => drop(integer::<8>(kind, payload)?),
            Form::Text(limit) => {
                let text = payload.strip_suffix(b"\0");
                let text = text.with_context(|| format!("attribute {kind} has no NUL"))?;
                ensure!(
                    text.len() <= limit && !text.contains(&0),
                    "attribute {kind}"
                );
            }
            Form::Bytes => {}
            Form::Answer => {
                let inner = split(payload)?;
                let [(index, number), (what, _)] = inner[..] else {
                    bail!("an ANSWER of {} attributes", inner.len());
                };
                ensure!(
                    A::from(index) == A::LUNATIK_A_INDEX && number.len() == 4,
                    "an ANSWER without INDEX"
                );
                let right = matches!(
                    A::from(what),
                    A::LUNATIK_A_DATA
                        | A::LUNATIK_A_ERROR
                        | A::LUNATIK_A_TRACEBACK
                        | A::LUNATIK_A_ERRNO
                );
                ensure!(right, "an ANSWER with attribute {what}");
            }
            Form::Nest(parts) => nest(kind, payload, parts)?,
            Form::Value => {
                let inner = split(payload)?;
                let [(value, payload)] = inner[..] else {
                    bail!("a RESULT of {} values", inner.len());
                };
                let length = payload.len();
                let right = match V::from(value) {
                    V::LUNATIK_V_NIL => length == 0,
                    V::LUNATIK_V_BOOLEAN => matches!(payload, [0 | 1]),
                    V::LUNATIK_V_INTEGER => length == 8,
                    V::LUNATIK_V_STRING | V::LUNATIK_V_TEXT => true,
                    V::LUNATIK_V_TABLE => {
                        depth += 1;
                        length == 0 && depth <= LUNATIK_TABLE_DEPTH
                    }
                    // Its TABLE may be in an earlier part.
                    V::LUNATIK_V_END => {
                        depth = depth.saturating_sub(1);
                        length == 0
                    }
                    _ => false,
                };
                ensure!(right, "a RESULT of type {value} and {length} bytes");
            }
        }
    }
    ensure!(
        u64::from(most) <= u64::from(max) * u64::from(replicas),
        "{most} bytes in use, of at most {max} in each of {replicas}"
    );
    Ok(id)
}

fn integer<const N: usize>(kind: u16, payload: &[u8]) -> Result<[u8; N]> {
    let length = payload.len();
    let bytes = payload.try_into().ok();
    bytes.with_context(|| format!("attribute {kind} is {length} bytes, not {N}"))
}

/// Checks a nest of `parts`, of which only those repeat that may.
fn nest(kind: u16, payload: &[u8], parts: &[A]) -> Result<()> {
    let mut seen = Vec::new();
    for (part, payload) in split(payload)? {
        ensure!(
            parts.contains(&A::from(part)),
            "attribute {part} in a nest of type {kind}"
        );
        ensure!(
            A::from(part) == A::LUNATIK_A_VERDICT || !seen.contains(&part),
            "attribute {part} twice in a nest of type {kind}"
        );
        seen.push(part);
        match spec::form(part) {
            Some(Form::U32) => drop(integer::<4>(part, payload)?),
            Some(Form::U64) => drop(integer::<8>(part, payload)?),
            Some(Form::Nest(parts)) => nest(part, payload, parts)?,
            form => bail!("attribute {part} is {form:?}, which no nest holds"),
        }
    }
    Ok(())
}

/// The attributes with their types, without flags.
pub(super) fn split(mut bytes: &[u8]) -> Result<Vec<(u16, &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        ensure!(bytes.len() >= 4, "half an attribute");
        let length = usize::from(u16_at(bytes, 0));
        let kind = u16_at(bytes, 2) & 0x3fff;
        ensure!(
            (4..=bytes.len()).contains(&length),
            "attribute {kind} has the length {length} of {}",
            bytes.len()
        );
        let end = length.next_multiple_of(4).min(bytes.len());
        ensure!(
            bytes[length..end].iter().all(|&byte| byte == 0),
            "attribute {kind} is padded with {:?}: memory that was not cleared",
            &bytes[length..end]
        );
        all.push((kind, &bytes[4..length]));
        bytes = &bytes[end..];
    }
    Ok(all)
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(80)]
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: u16 = 31;
    const NESTED: u16 = 0x8000;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    fn answered(request: &[u8], sent: &[Sent], answers: &[Vec<u8>]) -> Result<()> {
        let mut due = Answers::default();
        let mut tally = Tally::default();
        due.expect(request, FAMILY, sent);
        for answer in answers {
            due.take(answer, FAMILY, &mut tally)?;
        }
        due.complete(&mut tally)
    }

    fn error(sequence: u32, code: i32) -> Vec<u8> {
        message(
            NLMSG_ERROR,
            0,
            sequence,
            &[&code.to_ne_bytes()[..], &[0; 16]].concat(),
        )
    }

    #[test]
    fn each_request_is_answered_once() {
        let request = message(FAMILY, 5, 7, &[8, 1, 0, 0]);
        assert!(answered(&request, &[], &[error(7, 0)]).is_ok());
        assert!(answered(&request, &[], &[]).is_err());
        assert!(answered(&request, &[], &[error(7, 0), error(7, 0)]).is_err());
        assert!(answered(&request, &[], &[error(8, 0)]).is_err());
        assert!(answered(&request, &[], &[error(7, -libc_estale())]).is_err());
        let silent = message(FAMILY, 1, 7, &[8, 1, 0, 0]);
        assert!(answered(&silent, &[], &[]).is_ok());
        assert!(answered(&silent, &[], &[error(7, 0)]).is_err());
        assert!(answered(&silent, &[], &[error(7, -22)]).is_ok());
    }

    fn libc_estale() -> i32 {
        Errno::ESTALE as i32
    }

    #[test]
    fn what_must_be_refused_is() {
        let request = message(FAMILY, 5, 7, &[8, 2, 0, 0]);
        let sent = [Sent {
            at: 0,
            label: "GETINFO",
            refuse: Some("a wrong version"),
        }];
        assert!(answered(&request, &sent, &[error(7, -22)]).is_ok());
        assert!(answered(&request, &sent, &[error(7, 0)]).is_err());
    }

    #[test]
    fn replies_are_looked_at_closely() {
        let request = message(FAMILY, 5, 7, &[8, 1, 0, 0]);
        let reply = |attributes: &[u8]| {
            let payload = [&[8, 1, 0, 0], attributes].concat();
            answered(
                &request,
                &[],
                &[message(FAMILY, 0, 7, &payload), error(7, 0)],
            )
        };
        assert!(reply(&[8, 0, 2, 0, 1, 0, 0, 0]).is_ok());
        assert!(reply(&[7, 0, 2, 0, 1, 0, 0, 0]).is_err());
        assert!(reply(&[5, 0, 12, 0, 1, 0, 0, 0]).is_ok());
        assert!(reply(&[5, 0, 12, 0, 1, 0, 9, 0]).is_err());
        assert!(reply(&[9, 0, 12, 0, 1, 0, 0, 0]).is_err());
        assert!(reply(&[12, 0, 9, 0x80, 5, 0, 2, 0, 1, 0, 0, 0]).is_ok());
        assert!(reply(&[12, 0, 9, 0x80, 5, 0, 2, 0, 2, 0, 0, 0]).is_err());
        // MAX_ALLOC 1 with CURR_ALLOC 2, in one replica or in two.
        let memory = [8, 0, 2, 0, 1, 0, 0, 0, 8, 0, 16, 0, 2, 0, 0, 0];
        assert!(reply(&memory).is_err());
        assert!(reply(&[&memory[..], &[8, 0, 42, 0, 1, 0, 0, 0]].concat()).is_err());
        assert!(reply(&[&memory[..], &[8, 0, 42, 0, 2, 0, 0, 0]].concat()).is_ok());
    }

    #[test]
    fn hooks_are_looked_at_closely() {
        let attribute = |kind: u16, payload: &[u8]| {
            let length = u16::try_from(4 + payload.len()).unwrap();
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat()
        };
        let hook = |parts: &[Vec<u8>]| {
            let payload = [vec![4, 1, 0, 0], attribute(NESTED + 44, &parts.concat())].concat();
            attributes(&payload)
        };
        let kind = attribute(45, &[0; 4]);
        let calls = attribute(50, &[0; 8]);
        let count = [attribute(53, &[0; 4]), attribute(54, &[0; 8])].concat();
        let verdict = attribute(NESTED + 52, &count);
        let right = [&kind, &calls, &verdict, &verdict].map(Clone::clone);
        assert!(hook(&right).is_ok());
        assert!(hook(&[kind.clone(), kind]).is_err());
        assert!(hook(&[attribute(50, &[0; 4])]).is_err());
        assert!(hook(&[attribute(3, &[0; 4])]).is_err());
        assert!(hook(&[attribute(NESTED + 52, &calls)]).is_err());
        assert!(hook(&[vec![3, 0, 0, 0]]).is_err());
    }
}
