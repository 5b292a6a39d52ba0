// SPDX-License-Identifier: MIT OR Apache-2.0
//! The baseline of data: messages from one raw netlink socket to another, with nothing in between.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Result, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recv, sendto, setsockopt, socket, sockopt,
};

use crate::case::{Side, each};

/// How many bytes may wait to be read.
const WAITING: usize = 4 << 20;

/// Sends `burst` messages of `size` bytes, then receives them.
pub(crate) fn side(size: usize, burst: u32) -> Side {
    let setup = move || {
        let [from, to] = [open()?, open()?];
        let address: NetlinkAddr = getsockname(to.as_raw_fd())?;
        let message = vec![b'x'; size];
        let mut received = vec![0; size];
        Ok(each(move || {
            for _ in 0..burst {
                sendto(from.as_raw_fd(), &message, &address, MsgFlags::empty())?;
            }
            for _ in 0..burst {
                let length = recv(to.as_raw_fd(), &mut received, MsgFlags::empty())?;
                ensure!(length == message.len(), "another message");
            }
            Ok(())
        }))
    };
    Side::new("raw netlink sockets", setup).things(burst)
}

fn open() -> Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkUserSock,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    setsockopt(&socket, sockopt::RcvBufForce, &WAITING)?;
    Ok(socket)
}
