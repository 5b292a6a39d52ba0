// SPDX-License-Identifier: MIT OR Apache-2.0
//! The filters of a device, which libbpf does not list.

use std::io;

use neli::{
    consts::{
        nl::NlmF,
        rtnl::{Rtm, Tca},
        socket::NlFamily,
    },
    nl::{NlPayload, NlmsghdrBuilder},
    rtnl::{Tcmsg, TcmsgBuilder},
    socket::synchronous::NlSocketHandle,
    utils::Groups,
};
use nix::libc;

use crate::{
    error::{Error, Result},
    tc::Direction,
};

/// Attributes of a bpf filter (`linux/pkt_cls.h`).
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
/// What the filters of a clsact qdisc hang on (`linux/pkt_sched.h`).
const CLSACT_INGRESS: u32 = 0xffff_fff2;
const CLSACT_EGRESS: u32 = 0xffff_fff3;

/// A filter that is an eBPF program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) priority: u16,
    pub(crate) handle: u32,
    pub(crate) program: u32,
    pub(crate) name: String,
}

/// The eBPF filters of a device; none of one that went, or that has no qdisc for them.
pub(crate) fn of(ifindex: i32, direction: Direction) -> Result<Vec<Filter>> {
    dump(ifindex, direction)
        .or_else(|error| match error.raw_os_error() {
            // 6.1 says EINVAL where there is no qdisc, and ENODEV where there is no device.
            Some(libc::EINVAL | libc::ENODEV | libc::ENOENT) => Ok(Vec::new()),
            _ => Err(error),
        })
        .map_err(|source| Error::kernel("cannot list the device's filters", source))
}

fn dump(ifindex: i32, direction: Direction) -> io::Result<Vec<Filter>> {
    let parent = match direction {
        Direction::Ingress => CLSACT_INGRESS,
        Direction::Egress => CLSACT_EGRESS,
    };
    let socket = NlSocketHandle::connect(NlFamily::Route, None, Groups::empty()).map_err(other)?;
    let request = TcmsgBuilder::default()
        .tcm_family(0)
        .tcm_ifindex(ifindex)
        .tcm_handle(0)
        .tcm_parent(parent)
        .tcm_info(0)
        .build()
        .map_err(other)?;
    let message = NlmsghdrBuilder::default()
        .nl_type(Rtm::Gettfilter)
        .nl_flags(NlmF::REQUEST | NlmF::DUMP)
        .nl_payload(NlPayload::Payload(request))
        .build()
        .map_err(other)?;
    socket.send(&message).map_err(other)?;

    let mut filters = Vec::new();
    loop {
        let (messages, _) = socket.recv::<Rtm, Tcmsg>().map_err(other)?;
        for message in messages {
            let message = message.map_err(other)?;
            match message.nl_payload() {
                NlPayload::Payload(filter) if *message.nl_type() == Rtm::Newtfilter => {
                    filters.extend(read(filter));
                }
                NlPayload::Err(error) => return Err(errno(*error.error())),
                NlPayload::DumpExtAck(error) if *error.error() != 0 => {
                    return Err(errno(*error.error()));
                }
                NlPayload::DumpExtAck(_) | NlPayload::Empty | NlPayload::Ack(_) => {
                    return Ok(filters);
                }
                NlPayload::Payload(_) => {}
            }
        }
    }
}

fn errno(negative: i32) -> io::Error {
    io::Error::from_raw_os_error(negative.saturating_abs())
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// The filter, if it is an eBPF program. The first of a priority tells of none.
fn read(message: &Tcmsg) -> Option<Filter> {
    let attributes = message.rtattrs();
    let value = |wanted| {
        let attribute = attributes
            .iter()
            .find(|attribute| *attribute.rta_type() == wanted);
        Some(attribute?.rta_payload().as_ref())
    };
    if value(Tca::Kind)?.strip_suffix(b"\0")? != b"bpf" {
        return None;
    }
    let mut filter = Filter {
        // The protocol is in the other half.
        priority: u16::try_from(message.tcm_info() >> 16).ok()?,
        handle: *message.tcm_handle(),
        program: 0,
        name: String::new(),
    };
    for (kind, value) in Nested(value(Tca::Options)?) {
        match kind {
            TCA_BPF_ID => filter.program = u32::from_ne_bytes(value.try_into().ok()?),
            TCA_BPF_NAME => {
                let text = value.strip_suffix(b"\0").unwrap_or(value);
                filter.name = String::from_utf8_lossy(text).into_owned();
            }
            _ => {}
        }
    }
    (filter.program != 0).then_some(filter)
}

/// The attributes within an attribute.
struct Nested<'a>(&'a [u8]);

impl<'a> Iterator for Nested<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_ne_bytes(*len));
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_attributes() {
        let bytes = [7, 0, 7, 0, b'a', b'b', 0, 0, 8, 0, 11, 0, 5, 0, 0, 0];
        let all: Vec<_> = Nested(&bytes).collect();
        assert_eq!(all, [(7, &b"ab\0"[..]), (11, &[5, 0, 0, 0][..])]);
        // What is cut short, or makes no sense, ends them.
        assert_eq!(Nested(&bytes[..12]).count(), 1);
        assert_eq!(Nested(&[3, 0, 7, 0]).count(), 0);
        assert_eq!(Nested(&[]).count(), 0);
    }
}
