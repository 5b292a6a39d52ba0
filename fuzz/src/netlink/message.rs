// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages before they are bytes, right and wrong ones.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use lunatik_sys::LUNATIK_GENL_VERSION;

pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_MULTI: u16 = 2;
pub(super) const NLM_F_ACK: u16 = 4;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLA_F_NESTED: u16 = 1 << 15;

/// What is only known when a message is sent.
#[derive(Debug)]
pub(super) struct World {
    /// The family's number.
    pub(super) family: u16,
    /// The port ids of all sockets.
    pub(super) ports: Vec<u32>,
    /// The highest `STATE_ID` that was seen.
    pub(super) newest: AtomicU32,
    /// What times are multiplied by.
    pub(super) pace: u32,
}

impl World {
    /// One in which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            family: 0,
            ports: Vec::new(),
            newest: AtomicU32::new(0),
            pace: 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ours,
    Other(u16),
}

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    Nest(Vec<Attribute>),
    /// The `STATE_ID` that is so many before the newest.
    Recent(u32),
    /// The port id of that socket, counted round.
    Port(usize),
    /// A time in microseconds on a machine that is not slow.
    Time(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Its type, flags included.
    pub(super) kind: u16,
    pub(super) body: Body,
    /// The length that its header tells instead of the right one.
    pub(super) length: Option<u16>,
    /// What pads it.
    pub(super) padding: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What it is counted as.
    pub(super) label: &'static str,
    pub(super) family: Family,
    pub(super) flags: u16,
    pub(super) port: u32,
    pub(super) command: u8,
    pub(super) version: u8,
    pub(super) reserved: u16,
    pub(super) attributes: Vec<Attribute>,
    /// Bytes after the attributes.
    pub(super) tail: Vec<u8>,
    /// The length that its header tells instead of the right one.
    pub(super) length: Option<u32>,
    /// Bits that are turned over at last: of bytes, counted round.
    pub(super) flips: Vec<(usize, u8)>,
    /// Why it must be refused, if it must.
    pub(super) refuse: Option<&'static str>,
}

impl Attribute {
    pub(super) fn new(kind: impl Into<u16>, body: Body) -> Self {
        Self {
            kind: kind.into(),
            body,
            length: None,
            padding: 0,
        }
    }

    pub(super) fn bytes(kind: impl Into<u16>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(kind, Body::Bytes(bytes.into()))
    }

    pub(super) fn u32(kind: impl Into<u16>, value: u32) -> Self {
        Self::bytes(kind, value.to_ne_bytes())
    }

    /// A text with a NUL.
    pub(super) fn text(kind: impl Into<u16>, text: impl AsRef<[u8]>) -> Self {
        Self::bytes(kind, [text.as_ref(), b"\0"].concat())
    }

    pub(super) fn nest(kind: impl Into<u16>, inner: Vec<Self>) -> Self {
        Self::new(kind.into() | NLA_F_NESTED, Body::Nest(inner))
    }

    /// What it holds, if that are 4 bytes.
    pub(super) fn as_u32(&self) -> Option<u32> {
        match &self.body {
            Body::Bytes(bytes) => Some(u32::from_ne_bytes(bytes[..].try_into().ok()?)),
            _ => None,
        }
    }

    /// Its type without flags.
    pub(super) fn plain(&self) -> u16 {
        self.kind & 0x3fff
    }

    fn encode(&self, world: &World, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        match &self.body {
            Body::Bytes(bytes) => out.extend(bytes),
            Body::Nest(inner) => inner.iter().for_each(|one| one.encode(world, out)),
            Body::Recent(back) => {
                let id = world.newest.load(Relaxed).saturating_sub(*back);
                out.extend(id.to_ne_bytes());
            }
            Body::Time(us) => out.extend((us * world.pace).to_ne_bytes()),
            Body::Port(index) => {
                let ports = world.ports.len().max(1);
                let port = world.ports.get(index % ports).copied();
                out.extend(port.unwrap_or_default().to_ne_bytes());
            }
        }
        // What does not fit wraps around, which is one more lie.
        #[expect(clippy::cast_possible_truncation, reason = "a lie will do")]
        let length = self.length.unwrap_or((out.len() - start) as u16);
        out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        out[start + 2..start + 4].copy_from_slice(&self.kind.to_ne_bytes());
        out.resize(out.len().next_multiple_of(4), self.padding);
    }
}

impl Message {
    pub(super) fn new(label: &'static str, command: u8) -> Self {
        Self {
            label,
            family: Family::Ours,
            flags: NLM_F_REQUEST | NLM_F_ACK,
            port: 0,
            command,
            version: u8::try_from(LUNATIK_GENL_VERSION).expect("a byte"),
            reserved: 0,
            attributes: Vec::new(),
            tail: Vec::new(),
            length: None,
            flips: Vec::new(),
            refuse: None,
        }
    }

    /// Appends it to a datagram.
    pub(super) fn encode(&self, world: &World, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let family = match self.family {
            Family::Ours => world.family,
            Family::Other(number) => number,
        };
        out.extend([0; 4]);
        out.extend(family.to_ne_bytes());
        out.extend(self.flags.to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend(self.port.to_ne_bytes());
        out.extend([self.command, self.version]);
        out.extend(self.reserved.to_ne_bytes());
        for attribute in &self.attributes {
            attribute.encode(world, out);
        }
        out.extend(&self.tail);
        let right = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        let length = self.length.unwrap_or(right);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        let whole = out.len() - start;
        for (at, bits) in &self.flips {
            out[start + at % whole] ^= bits;
        }
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_bytes() {
        let world = World {
            family: 31,
            ports: vec![7, 8],
            newest: AtomicU32::new(9),
            pace: 1,
        };
        let mut message = Message::new("x", 3);
        message.attributes = vec![
            Attribute::text(1u16, "fw"),
            Attribute::new(3u16, Body::Recent(2)),
            Attribute::new(13u16, Body::Port(3)),
            Attribute::nest(8u16, vec![Attribute::bytes(2u16, [1])]),
        ];
        let mut bytes = vec![];
        message.encode(&world, 5, &mut bytes);
        assert_eq!(bytes.len(), 16 + 4 + 8 + 8 + 8 + 12);
        assert_eq!(bytes[..4], 56u32.to_ne_bytes());
        assert_eq!(bytes[32..36], 7u32.to_ne_bytes());
        assert_eq!(bytes[40..44], 8u32.to_ne_bytes());
        assert_eq!(bytes[44..48], [12, 0, 8, 0x80]);
    }
}
