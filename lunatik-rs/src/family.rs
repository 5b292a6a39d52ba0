// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel calls the family and its multicast groups.

use std::io::Cursor;

use lunatik_sys::{LUNATIK_GENL_NAME, LUNATIK_MCGRP_EVENTS, LUNATIK_MCGRP_LOG};
use neli::{
    FromBytesWithInput, ToBytes,
    attr::Attribute,
    consts::{
        genl::{CtrlAttr, CtrlAttrMcastGrp, CtrlCmd, Index},
        nl::{GenlId, NlmF},
    },
    err::{BuilderError, DeError, SerError},
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder, NoUserHeader},
    nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder},
    types::{Buffer, GenlBuffer},
};

use crate::error::{Error, Result};

/// The numbers that the kernel gave to the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) id: u16,
    pub(crate) events: u32,
    pub(crate) log: u32,
}

type Getfamily = Nlmsghdr<GenlId, Genlmsghdr<CtrlCmd, CtrlAttr>>;

/// Writes the request that asks for the family.
pub(crate) fn request(sequence: u32, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    let mut cursor = Cursor::new(std::mem::take(buffer));
    getfamily(sequence)
        .map_err(|e| Error::protocol(e.to_string()))?
        .to_bytes(&mut cursor)
        .map_err(|e: SerError| Error::protocol(e.to_string()))?;
    *buffer = cursor.into_inner();
    Ok(())
}

fn getfamily(sequence: u32) -> Result<Getfamily, BuilderError> {
    let name = NlattrBuilder::default()
        .nla_type(
            AttrTypeBuilder::default()
                .nla_type(CtrlAttr::FamilyName)
                .build()?,
        )
        .nla_payload(LUNATIK_GENL_NAME.to_bytes_with_nul())
        .build()?;
    let genl = GenlmsghdrBuilder::<_, _, NoUserHeader>::default()
        .cmd(CtrlCmd::Getfamily)
        .version(2)
        .attrs([name].into_iter().collect::<GenlBuffer<_, Buffer>>())
        .build()?;
    Ok(NlmsghdrBuilder::default()
        .nl_type(GenlId::Ctrl)
        .nl_flags(NlmF::REQUEST)
        .nl_seq(sequence)
        .nl_payload(NlPayload::Payload(genl))
        .build()?)
}

/// Reads the answer, from its generic netlink header on.
pub(crate) fn parse(payload: &[u8]) -> Result<Family> {
    read(payload).map_err(|e| Error::protocol(format!("the family's description: {e}")))
}

fn read(payload: &[u8]) -> Result<Family, DeError> {
    let message = Genlmsghdr::<CtrlCmd, CtrlAttr>::from_bytes_with_input(
        &mut Cursor::new(payload),
        payload.len(),
    )?;
    let attrs = message.attrs().get_attr_handle();
    let mut family = Family {
        id: attrs.get_attr_payload_as(CtrlAttr::FamilyId)?,
        events: 0,
        log: 0,
    };
    for group in attrs
        .get_nested_attributes::<Index>(CtrlAttr::McastGroups)?
        .iter()
    {
        let group = group.get_attr_handle::<CtrlAttrMcastGrp>()?;
        let id = group.get_attr_payload_as(CtrlAttrMcastGrp::Id)?;
        let name = group
            .get_attribute(CtrlAttrMcastGrp::Name)
            .map_or(&[][..], |name| name.payload().as_ref());
        if name == LUNATIK_MCGRP_EVENTS.to_bytes_with_nul() {
            family.events = id;
        } else if name == LUNATIK_MCGRP_LOG.to_bytes_with_nul() {
            family.log = id;
        }
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + payload.len()).expect("short");
        let mut bytes = Vec::new();
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn request_asks_for_the_family_by_name() {
        let mut buffer = vec![1, 2, 3];
        request(7, &mut buffer).expect("fits");
        let mut expected = Vec::new();
        expected.extend(40u32.to_ne_bytes());
        expected.extend(16u16.to_ne_bytes());
        expected.extend(1u16.to_ne_bytes());
        expected.extend(7u32.to_ne_bytes());
        expected.extend(0u32.to_ne_bytes());
        expected.extend([3, 2, 0, 0]);
        expected.extend(attr(2, b"lunatik_family\0"));
        assert_eq!(buffer, expected);
    }

    #[test]
    fn answer_tells_the_numbers() {
        let group = |index, name: &[u8], id: u32| {
            attr(index, &[attr(1, name), attr(2, &id.to_ne_bytes())].concat())
        };
        let answer = [
            vec![1, 2, 0, 0],
            attr(2, b"lunatik_family\0"),
            attr(1, &31u16.to_ne_bytes()),
            attr(
                7,
                &[group(1, b"events\0", 5), group(2, b"log\0", 40)].concat(),
            ),
        ];
        let family = parse(&answer.concat()).expect("well-formed");
        let expected = Family {
            id: 31,
            events: 5,
            log: 40,
        };
        assert_eq!(family, expected);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_attribute_length_is_read_or_refused(
            attrs in prop::collection::vec((0u16..12, 0u16..9, prop::collection::vec(any::<u8>(), 0..12)), 0..8)
        ) {
            let mut bytes = vec![1, 2, 0, 0];
            for (len, kind, payload) in attrs {
                bytes.extend(len.to_ne_bytes());
                bytes.extend(kind.to_ne_bytes());
                bytes.extend(payload);
            }
            let _ = parse(&bytes);
        }
    }
}
