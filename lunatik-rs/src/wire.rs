// SPDX-License-Identifier: MIT OR Apache-2.0
//! Netlink messages and attributes: written to a buffer that is used again,
//! read in place.
//!
//! neli's own codec owns a copy of each attribute, which costs several
//! allocations per request; this one borrows. Types and flags are neli's.

use lunatik_sys::{LUNATIK_GENL_VERSION, lunatik_attr, lunatik_cmd};
use neli::consts::nl::NlmF;

use crate::error::{Error, Result};

#[expect(clippy::cast_possible_truncation, reason = "one byte of the header")]
const VERSION: u8 = LUNATIK_GENL_VERSION as u8;

/// Bytes of a netlink message's header.
pub(crate) const NLMSG_HEADER: usize = 16;
/// Bytes of a generic netlink message's header.
pub(crate) const GENL_HEADER: usize = 4;
/// Bytes of an attribute's header.
const NLA_HEADER: usize = 4;
/// Longest payload of an attribute: its length has 16 bits.
const NLA_PAYLOAD_MAX: usize = u16::MAX as usize - NLA_HEADER;
/// The payload is a nest of attributes.
const NLA_F_NESTED: u16 = 1 << 15;
/// The bits of an attribute's type that are the type.
const NLA_TYPE_MASK: u16 = (1 << 14) - 1;

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// A request that is being written.
pub(crate) struct Request<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Request<'a> {
    /// Starts a request in place of what is in `buffer`.
    pub(crate) fn new(
        buffer: &'a mut Vec<u8>,
        family: u16,
        flags: NlmF,
        sequence: u32,
        cmd: lunatik_cmd,
    ) -> Self {
        let mut header = [0; NLMSG_HEADER + GENL_HEADER];
        header[4..6].copy_from_slice(&family.to_ne_bytes());
        header[6..8].copy_from_slice(&u16::from(flags).to_ne_bytes());
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        header[16] = cmd.as_u8();
        header[17] = VERSION;
        buffer.clear();
        buffer.extend_from_slice(&header);
        Self { buffer }
    }

    /// Writes the length; the message is complete.
    pub(crate) fn finish(self) -> Result<()> {
        let length = self.buffer.len();
        let length = u32::try_from(length)
            .map_err(|_| Error::too_large("the request", length, u32::MAX as usize))?;
        self.buffer[..4].copy_from_slice(&length.to_ne_bytes());
        Ok(())
    }

    fn header(&mut self, kind: u16, payload: usize) -> Result<()> {
        put_header(self.buffer, kind, payload)
    }

    fn pad(&mut self) {
        self.buffer.resize(align(self.buffer.len()), 0);
    }

    /// An attribute with any bytes.
    pub(crate) fn bytes(&mut self, attr: lunatik_attr, payload: &[u8]) -> Result<()> {
        put_bytes(self.buffer, attr, payload)
    }

    /// Attributes that [`put_bytes`] made.
    pub(crate) fn attributes(&mut self, attributes: &[u8]) {
        self.buffer.extend_from_slice(attributes);
    }

    /// A NUL-terminated string, which must hold no NUL.
    pub(crate) fn string(&mut self, attr: lunatik_attr, text: &[u8]) -> Result<()> {
        self.header(attr.as_u16(), text.len() + 1)?;
        self.buffer.extend_from_slice(text);
        self.buffer.push(0);
        self.pad();
        Ok(())
    }

    pub(crate) fn u32(&mut self, attr: lunatik_attr, value: u32) -> Result<()> {
        self.bytes(attr, &value.to_ne_bytes())
    }

    pub(crate) fn u64(&mut self, attr: lunatik_attr, value: u64) -> Result<()> {
        self.bytes(attr, &value.to_ne_bytes())
    }

    /// A nest of one attribute.
    pub(crate) fn nest(&mut self, attr: lunatik_attr, kind: u16, payload: &[u8]) -> Result<()> {
        self.header(
            attr.as_u16() | NLA_F_NESTED,
            NLA_HEADER + align(payload.len()),
        )?;
        self.header(kind, payload.len())?;
        self.buffer.extend_from_slice(payload);
        self.pad();
        Ok(())
    }
}

fn put_header(buffer: &mut Vec<u8>, kind: u16, payload: usize) -> Result<()> {
    if payload > NLA_PAYLOAD_MAX {
        return Err(Error::too_large("an attribute", payload, NLA_PAYLOAD_MAX));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let length = (NLA_HEADER + payload) as u16;
    let mut header = [0; NLA_HEADER];
    header[..2].copy_from_slice(&length.to_ne_bytes());
    header[2..].copy_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&header);
    Ok(())
}

/// Adds an attribute with any bytes to those in `buffer`.
pub(crate) fn put_bytes(buffer: &mut Vec<u8>, attr: lunatik_attr, payload: &[u8]) -> Result<()> {
    put_header(buffer, attr.as_u16(), payload.len())?;
    buffer.extend_from_slice(payload);
    buffer.resize(align(buffer.len()), 0);
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// One netlink message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: NlmF,
    pub(crate) sequence: u32,
    /// What follows the netlink header.
    pub(crate) payload: &'a [u8],
}

/// The messages of one datagram.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Messages<'a> {
    fn parse(&self) -> Option<(Message<'a>, usize)> {
        let length = u32::from_ne_bytes(array(self.0, 0)?) as usize;
        let message = Message {
            kind: u16::from_ne_bytes(array(self.0, 4)?),
            flags: NlmF::from(u16::from_ne_bytes(array(self.0, 6)?)),
            sequence: u32::from_ne_bytes(array(self.0, 8)?),
            payload: self.0.get(NLMSG_HEADER..length)?,
        };
        Some((message, length))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((message, length)) = self.parse() else {
            self.0 = &[];
            return Some(Err(Error::protocol("a malformed netlink message")));
        };
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(Ok(message))
    }
}

impl<'a> Message<'a> {
    /// The command and the attributes of a generic netlink message.
    pub(crate) fn genl(&self) -> Result<(lunatik_cmd, Attrs<'a>)> {
        match self.payload {
            [cmd, _, _, _, attrs @ ..] => Ok((lunatik_cmd::from(*cmd), Attrs(attrs))),
            _ => Err(Error::protocol("a message without a command")),
        }
    }
}

/// A sequence of attributes.
#[derive(Debug, Clone)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attr<'a> {
    /// Its type, without the flag bits.
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let [l0, l1, k0, k1, ..] = *self.0 else {
            self.0 = &[];
            return Some(Err(Error::protocol("a cut attribute")));
        };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(payload) = self.0.get(NLA_HEADER..length) else {
            self.0 = &[];
            return Some(Err(Error::protocol("an attribute of a wrong length")));
        };
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(Ok(Attr {
            kind: u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK,
            payload,
        }))
    }
}

impl<'a> Attr<'a> {
    fn fixed<const N: usize>(&self) -> Result<[u8; N]> {
        self.payload.try_into().map_err(|_| {
            Error::protocol(format!(
                "attribute {} is {} bytes, not {N}",
                self.kind,
                self.payload.len()
            ))
        })
    }

    pub(crate) fn u8(&self) -> Result<u8> {
        self.fixed().map(u8::from_ne_bytes)
    }

    pub(crate) fn u32(&self) -> Result<u32> {
        self.fixed().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&self) -> Result<u64> {
        self.fixed().map(u64::from_ne_bytes)
    }

    pub(crate) fn i32(&self) -> Result<i32> {
        self.fixed().map(i32::from_ne_bytes)
    }

    pub(crate) fn i64(&self) -> Result<i64> {
        self.fixed().map(i64::from_ne_bytes)
    }

    /// A NUL-terminated string of UTF-8.
    pub(crate) fn string(&self) -> Result<String> {
        let text = self.payload.strip_suffix(b"\0").unwrap_or(self.payload);
        String::from_utf8(text.to_vec())
            .map_err(|_| Error::protocol(format!("attribute {} is not UTF-8", self.kind)))
    }

    /// The one attribute that this nest must hold.
    pub(crate) fn only(&self) -> Result<Attr<'a>> {
        let mut attrs = Attrs(self.payload);
        match (attrs.next(), attrs.next()) {
            (Some(attr), None) => attr,
            _ => Err(Error::protocol(format!(
                "attribute {} must hold exactly one",
                self.kind
            ))),
        }
    }
}

/// Reads attributes into variables: what must be there, then with `?` what may be,
/// then with `*` what may be there several times. Others are skipped.
macro_rules! read {
    (
        $attrs:expr,
        $($field:ident: $attr:ident = $get:ident;)*
        $(? $maybe:ident: $maybe_attr:ident = $maybe_get:ident;)*
        $(* $list:ident: $list_attr:ident = $read:path;)*
    ) => {
        $(let mut $field = None;)*
        $(let mut $maybe = None;)*
        $(let mut $list = Vec::new();)*
        for attr in $attrs {
            let attr = attr?;
            match lunatik_sys::lunatik_attr::from(attr.kind) {
                $(lunatik_sys::lunatik_attr::$attr => $field = Some(attr.$get()?),)*
                $(lunatik_sys::lunatik_attr::$maybe_attr => $maybe = Some(attr.$maybe_get()?),)*
                $(lunatik_sys::lunatik_attr::$list_attr => $list.push($read(attr)?),)*
                _ => {}
            }
        }
        $(let $field = $field.ok_or_else(|| {
            $crate::description::missing(&stringify!($attr)["LUNATIK_A_".len()..])
        })?;)*
    };
}

pub(crate) use read;

/// The attribute of `request` that covers the byte `offset`, counted from the
/// start of its netlink header.
pub(crate) fn attribute_at(request: &[u8], offset: u32) -> Option<lunatik_attr> {
    let offset = offset as usize;
    let mut attrs = Attrs(request.get(NLMSG_HEADER + GENL_HEADER..)?);
    while let Some(Ok(attr)) = attrs.next() {
        if offset < request.len() - attrs.0.len() {
            return Some(lunatik_attr::from(attr.kind));
        }
    }
    None
}

/// The name of a request's attribute, as the header has it without its prefix.
pub(crate) fn attribute_name(attr: lunatik_attr) -> Option<&'static str> {
    Some(match attr {
        lunatik_attr::LUNATIK_A_STATE_NAME => "STATE_NAME",
        lunatik_attr::LUNATIK_A_MAX_ALLOC => "MAX_ALLOC",
        lunatik_attr::LUNATIK_A_STATE_ID => "STATE_ID",
        lunatik_attr::LUNATIK_A_FLAGS => "FLAGS",
        lunatik_attr::LUNATIK_A_TIMEOUT => "TIMEOUT",
        lunatik_attr::LUNATIK_A_CODE => "CODE",
        lunatik_attr::LUNATIK_A_CHUNK_NAME => "CHUNK_NAME",
        lunatik_attr::LUNATIK_A_ARG => "ARG",
        lunatik_attr::LUNATIK_A_DATA => "DATA",
        lunatik_attr::LUNATIK_A_SESSION => "SESSION",
        lunatik_attr::LUNATIK_A_SEQUENCE => "SEQUENCE",
        lunatik_attr::LUNATIK_A_CONTEXT => "CONTEXT",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(write: impl FnOnce(&mut Request<'_>) -> Result<()>) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        let mut request = Request::new(
            &mut buffer,
            31,
            NlmF::REQUEST | NlmF::ACK,
            9,
            lunatik_cmd::LUNATIK_CMD_CLOSE,
        );
        write(&mut request)?;
        request.finish()?;
        Ok(buffer)
    }

    fn attrs(request: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let message = Messages(request).next().expect("one").expect("well-formed");
        let (_, attrs) = message.genl().expect("a command");
        attrs
            .map(|attr| attr.map(|attr| (attr.kind, attr.payload.to_vec())))
            .collect::<Result<_>>()
            .expect("well-formed")
    }

    #[test]
    fn headers_are_those_of_netlink() {
        let bytes = request(|_| Ok(())).expect("fits");
        assert_eq!(bytes.len(), 20);
        let message = Messages(&bytes).next().expect("one").expect("well-formed");
        assert_eq!(message.kind, 31);
        assert_eq!(message.flags, NlmF::REQUEST | NlmF::ACK);
        assert_eq!(message.sequence, 9);
        assert_eq!(bytes[16..], [2, 1, 0, 0]);
    }

    #[test]
    fn attributes_are_aligned() {
        let bytes = request(|r| {
            r.bytes(lunatik_attr::LUNATIK_A_DATA, b"12345")?;
            r.string(lunatik_attr::LUNATIK_A_STATE_NAME, b"fw")?;
            r.u32(lunatik_attr::LUNATIK_A_FLAGS, 2)?;
            r.u64(lunatik_attr::LUNATIK_A_SEQUENCE, u64::MAX)?;
            r.nest(lunatik_attr::LUNATIK_A_ARG, 2, &[1])
        })
        .expect("fits");
        assert_eq!(bytes.len() % 4, 0);
        let found = attrs(&bytes);
        assert_eq!(found[0], (12, b"12345".to_vec()));
        assert_eq!(found[1], (1, b"fw\0".to_vec()));
        assert_eq!(found[2], (4, 2u32.to_ne_bytes().to_vec()));
        assert_eq!(found[3], (15, u64::MAX.to_ne_bytes().to_vec()));
        // A nest counts the padding of what it holds.
        assert_eq!(found[4].0, 8);
        assert_eq!(found[4].1.len(), 8);
    }

    #[test]
    fn attribute_has_room_for_what_16_bits_count() {
        let largest = vec![0; NLA_PAYLOAD_MAX];
        assert!(request(|r| r.bytes(lunatik_attr::LUNATIK_A_DATA, &largest)).is_ok());
        let larger = vec![0; NLA_PAYLOAD_MAX + 1];
        let error =
            request(|r| r.bytes(lunatik_attr::LUNATIK_A_DATA, &larger)).expect_err("too large");
        assert_eq!(error.kind(), crate::ErrorKind::TooLarge);
    }

    #[test]
    fn offset_finds_the_attribute_around_it() {
        let bytes = request(|r| {
            r.string(lunatik_attr::LUNATIK_A_STATE_NAME, b"fw")?;
            r.nest(lunatik_attr::LUNATIK_A_ARG, 4, b"in the nest")
        })
        .expect("fits");
        let name = |offset| attribute_at(&bytes, offset).and_then(attribute_name);
        assert_eq!(name(20), Some("STATE_NAME"));
        assert_eq!(name(28), Some("ARG"));
        assert_eq!(name(32), Some("ARG"));
        assert_eq!(name(1000), None);
        assert_eq!(attribute_at(&[], 0), None);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for length in [0u32, 1, 15, 21, u32::MAX] {
            let mut bytes = request(|_| Ok(())).expect("fits");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let mut messages = Messages(&bytes);
            assert!(messages.next().expect("one").is_err(), "{length}");
            assert!(messages.next().is_none());
        }
        for length in [0u16, 3, 9] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend([0; 6]);
            let mut attrs = Attrs(&bytes);
            assert!(attrs.next().expect("one").is_err(), "{length}");
            assert!(attrs.next().is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            for message in Messages(&bytes).flatten() {
                let _ = message.genl();
            }
            for attr in Attrs(&bytes).flatten() {
                let _ = (attr.u8(), attr.u32(), attr.u64(), attr.string());
                let _ = (attr.i32(), attr.i64());
                let _ = attr.only();
            }
            let _ = attribute_at(&bytes, 24);
        }
    }
}
