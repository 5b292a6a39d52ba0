// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generic netlink sockets with port ids of our choice.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::socket::{
        self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
        sockopt::{RcvBufForce, SndBufForce},
    },
};

use super::make::Setting;

mod option {
    use nix::{libc, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        ExtAck,
        SetOnly,
        libc::SOL_NETLINK,
        libc::NETLINK_EXT_ACK,
        bool
    );
    sockopt_impl!(
        CapAck,
        SetOnly,
        libc::SOL_NETLINK,
        libc::NETLINK_CAP_ACK,
        bool
    );
    sockopt_impl!(
        Join,
        SetOnly,
        libc::SOL_NETLINK,
        libc::NETLINK_ADD_MEMBERSHIP,
        u32
    );
    sockopt_impl!(
        Leave,
        SetOnly,
        libc::SOL_NETLINK,
        libc::NETLINK_DROP_MEMBERSHIP,
        u32
    );
}

/// How much may wait to be read, and how much be sent at once.
const ROOM: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Datagram {
    /// So many bytes; the buffer may have had room for less.
    Bytes(usize),
    /// Nothing waits.
    Nothing,
    /// There was no room for some of what should have come.
    Lost,
    /// Another error, such as one of a dump.
    Failed(Errno),
}

impl Socket {
    /// Opens a socket of the port id `port`, or of any if that is 0.
    pub(super) fn open(port: u32) -> Result<Self> {
        let socket = socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkGeneric,
        )?;
        socket::setsockopt(&socket, RcvBufForce, &ROOM)?;
        socket::setsockopt(&socket, SndBufForce, &ROOM)?;
        socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(port, 0))
            .with_context(|| format!("cannot bind a socket to port id {port}"))?;
        Ok(Self(socket))
    }

    pub(super) fn set(&self, setting: Setting, on: bool) -> Result<()> {
        match setting {
            Setting::ExtendedAck => socket::setsockopt(&self.0, option::ExtAck, &on),
            Setting::CapAck => socket::setsockopt(&self.0, option::CapAck, &on),
        }?;
        Ok(())
    }

    pub(super) fn group(&self, group: u32, join: bool) -> Result<()> {
        if join {
            socket::setsockopt(&self.0, option::Join, &group)?;
        } else {
            socket::setsockopt(&self.0, option::Leave, &group)?;
        }
        Ok(())
    }

    /// Sends a datagram to the kernel, which deals with it before this returns.
    pub(super) fn send(&self, datagram: &[u8]) -> Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        let sent = socket::sendto(self.0.as_raw_fd(), datagram, &kernel, MsgFlags::empty());
        sent.with_context(|| format!("cannot send {} bytes", datagram.len()))?;
        Ok(())
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Datagram {
        loop {
            return match socket::recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => Datagram::Bytes(length),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Datagram::Nothing,
                Err(Errno::ENOBUFS) => Datagram::Lost,
                Err(other) => Datagram::Failed(other),
            };
        }
    }
}
