// SPDX-License-Identifier: MIT OR Apache-2.0
//! The baseline: the least that a round trip over generic netlink costs.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Result, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

use crate::case::{Side, each};

const CTRL_ID: u16 = 16;
const CTRL_CMD_NEWFAMILY: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// Of netlink and of generic netlink.
const HEADERS: usize = 20;

/// The baseline of what costs a round trip.
pub(crate) fn side() -> Side {
    Side::new("GETFAMILY nlctrl", || {
        let mut nlctrl = Nlctrl::open()?;
        Ok(each(move || nlctrl.get_family()))
    })
}

/// Asks the kernel for the family `nlctrl`, with nothing in between.
pub(crate) struct Nlctrl {
    socket: OwnedFd,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Nlctrl {
    pub(crate) fn open() -> Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self {
            socket,
            request: request(),
            reply: vec![0; 4096],
        })
    }

    /// One round trip.
    pub(crate) fn get_family(&mut self) -> Result<()> {
        send(self.socket.as_raw_fd(), &self.request, MsgFlags::empty())?;
        let length = recv(self.socket.as_raw_fd(), &mut self.reply, MsgFlags::empty())?;
        ensure!(
            length > HEADERS
                && self.reply[4..6] == CTRL_ID.to_ne_bytes()
                && self.reply[16] == CTRL_CMD_NEWFAMILY,
            "nlctrl did not answer"
        );
        Ok(())
    }
}

/// `CTRL_CMD_GETFAMILY` for the family `nlctrl`; its reply needs no ACK.
fn request() -> Vec<u8> {
    let name = b"nlctrl\0";
    let mut request = vec![0; 4];
    request.extend(CTRL_ID.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // The sequence number, the port, and the rest of the command's header stay 0.
    request.extend([0; 8]);
    request.extend([CTRL_CMD_GETFAMILY, 1, 0, 0]);
    // 4 bytes and the name, filled up to a multiple of 4.
    request.extend(11u16.to_ne_bytes());
    request.extend(CTRL_ATTR_FAMILY_NAME.to_ne_bytes());
    request.extend(name);
    request.push(0);
    request[..4].copy_from_slice(&32u32.to_ne_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_what_the_header_says() {
        assert_eq!(request().len(), 32);
    }

    #[test]
    fn every_kernel_answers() {
        let mut nlctrl = Nlctrl::open().expect("a socket");
        nlctrl.get_family().expect("an answer");
        nlctrl.get_family().expect("an answer");
    }
}
