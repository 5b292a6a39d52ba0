// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers that the kernel gave the family.

use anyhow::{Context, Result, bail, ensure};
use lunatik_sys::{LUNATIK_GENL_NAME, LUNATIK_MCGRP_EVENTS, LUNATIK_MCGRP_LOG};

use super::{
    answers::{split, u16_at, u32_at},
    message::{Attribute, Family, Message, World},
    socket::{Datagram, Socket},
};

const CTRL_ID: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// The numbers of the family and its groups.
pub(super) fn resolve() -> Result<(u16, [u32; 2])> {
    let mut message = Message::new("GETFAMILY", CTRL_CMD_GETFAMILY);
    message.family = Family::Other(CTRL_ID);
    message.attributes = vec![Attribute::text(
        CTRL_ATTR_FAMILY_NAME,
        LUNATIK_GENL_NAME.to_bytes(),
    )];
    let world = World::unknown();
    let mut bytes = Vec::new();
    message.encode(&world, 1, &mut bytes);
    let socket = Socket::open(0)?;
    socket.send(&bytes)?;
    let mut buffer = vec![0; 1 << 16];
    let Datagram::Bytes(length) = socket.receive(&mut buffer) else {
        bail!("the kernel does not answer");
    };
    let length = length.min(u32_at(&buffer, 0) as usize);
    ensure!(
        u16_at(&buffer, 4) == CTRL_ID,
        "the kernel does not know the family: the module is not loaded"
    );
    let mut family = None;
    let mut groups = [None; 2];
    for (kind, payload) in split(&buffer[20..length])? {
        match kind {
            CTRL_ATTR_FAMILY_ID => family = Some(u16_at(payload, 0)),
            CTRL_ATTR_MCAST_GROUPS => {
                for (_, group) in split(payload)? {
                    let (mut name, mut id) = (&[][..], None);
                    for (kind, payload) in split(group)? {
                        match kind {
                            CTRL_ATTR_MCAST_GRP_NAME => name = payload,
                            CTRL_ATTR_MCAST_GRP_ID => id = Some(u32_at(payload, 0)),
                            _ => {}
                        }
                    }
                    for (group, wanted) in groups
                        .iter_mut()
                        .zip([LUNATIK_MCGRP_EVENTS, LUNATIK_MCGRP_LOG])
                    {
                        if name == wanted.to_bytes_with_nul() {
                            *group = id;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let family = family.context("the family has no number")?;
    match groups {
        [Some(events), Some(log)] => Ok((family, [events, log])),
        _ => bail!("a multicast group is missing"),
    }
}
