// SPDX-License-Identifier: MIT OR Apache-2.0
//! A generic netlink socket: neli's, with what it lacks.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Instant,
};

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        socket::{
            self, MsgFlags, NetlinkAddr,
            sockopt::{RcvBuf, RcvBufForce, SndBuf, SndBufForce},
        },
        time::TimeSpec,
    },
};

use crate::error::{Error, Result};

/// Options that nix and neli lack.
mod option {
    use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

    /// `SO_NETNS_COOKIE` of asm-generic/socket.h, since Linux 5.14.
    const SO_NETNS_COOKIE: libc::c_int = 71;

    sockopt_impl!(
        /// Errors do not repeat the request.
        CapAck,
        SetOnly,
        libc::SOL_NETLINK,
        libc::NETLINK_CAP_ACK,
        bool
    );
    sockopt_impl!(
        /// Which network namespace the socket is in.
        NetnsCookie,
        GetOnly,
        libc::SOL_SOCKET,
        SO_NETNS_COOKIE,
        u64
    );
}

/// How long to wait for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Forever,
    Until(Instant),
    No,
}

pub(crate) struct Socket(NlSocket);

impl Socket {
    /// Opens a socket in the calling thread's network namespace, in multicast
    /// group `group` if one is given.
    ///
    /// Extended ACKs are on, and errors do not repeat the request. The socket is
    /// connected to the kernel: no process can send to it.
    pub(crate) fn open(group: Option<u32>) -> Result<Self> {
        let failed = |source| Error::io("cannot open a netlink socket", source);
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty()).map_err(failed)?;
        socket.enable_ext_ack(true).map_err(failed)?;
        let socket = Self(socket);
        socket::setsockopt(&socket, option::CapAck, &true).map_err(|e| failed(e.into()))?;
        socket::connect(socket.0.as_raw_fd(), &NetlinkAddr::new(0, 0))
            .map_err(|e| failed(e.into()))?;
        if let Some(group) = group {
            socket
                .0
                .add_mcast_membership(Groups::new_groups(&[group]))
                .map_err(|e| Error::io("cannot join the multicast group", e))?;
        }
        Ok(socket)
    }

    /// The port id that the kernel knows this socket by.
    pub(crate) fn port(&self) -> Result<u32> {
        self.0
            .pid()
            .map_err(|e| Error::io("cannot read the socket's port id", e))
    }

    /// A number that tells one network namespace from another, where the kernel
    /// has it (Linux 5.14).
    pub(crate) fn netns(&self) -> Option<u64> {
        socket::getsockopt(self, option::NetnsCookie).ok()
    }

    /// Sends one datagram. The kernel handles a request before this returns.
    pub(crate) fn send(&self, datagram: &[u8]) -> Result<()> {
        match self.0.send(datagram, Msg::empty()) {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => Err(Error::refuse(
                libc::EMSGSIZE,
                format!(
                    "the request is {} bytes, more than this process may send at once",
                    datagram.len()
                ),
            )),
            Err(e) => Err(Error::io("cannot send to the kernel", e)),
        }
    }

    /// Receives one datagram; `None` when there is none in time. A datagram that
    /// does not fit `buffer` is an error.
    pub(crate) fn receive(&self, buffer: &mut [u8], wait: Wait) -> Result<Option<usize>> {
        let mut flags = MsgFlags::MSG_TRUNC;
        if wait != Wait::Forever {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        loop {
            match socket::recv(self.0.as_raw_fd(), buffer, flags) {
                Ok(length) if length > buffer.len() => {
                    return Err(Error::protocol(format!(
                        "a datagram of {length} bytes, more than {}",
                        buffer.len()
                    )));
                }
                Ok(length) => return Ok(Some(length)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => match wait {
                    Wait::Until(deadline) if self.readable(deadline)? => {}
                    _ => return Ok(None),
                },
                Err(Errno::ENOBUFS) => return Err(Error::Lost),
                Err(e) => return Err(Error::io("cannot receive from the kernel", e)),
            }
        }
    }

    /// Waits until there is something to receive; `false` when `deadline` comes
    /// first.
    fn readable(&self, deadline: Instant) -> Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None) {
                Ok(0) if Instant::now() < deadline => {}
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::io("cannot wait for the kernel", e)),
            }
        }
    }

    /// Lets requests of `size` bytes be sent where the system allows that: a
    /// privileged process any, others twice `net.core.wmem_max`.
    pub(crate) fn allow_sending(&self, size: usize) {
        let forced = socket::setsockopt(self, SndBufForce, &size);
        if forced.is_err() {
            // Sending tells when this was not enough.
            let _ = socket::setsockopt(self, SndBuf, &size);
        }
    }

    /// Lets `size` bytes wait to be received where the system allows that: a
    /// privileged process any, others twice `net.core.rmem_max`.
    pub(crate) fn allow_waiting(&self, size: usize) {
        let forced = socket::setsockopt(self, RcvBufForce, &size);
        if forced.is_err() {
            // Less room means that messages are lost sooner, which is reported.
            let _ = socket::setsockopt(self, RcvBuf, &size);
        }
    }
}

impl AsFd for Socket {
    #[expect(unsafe_code, reason = "neli lends its descriptor as a number only")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as the NlSocket that `self`
        // owns, and the result borrows `self`.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

#[cfg(test)]
impl Socket {
    /// One end of a pair, the other of which plays the kernel.
    #[expect(unsafe_code, reason = "neli takes its descriptor as a number only")]
    pub(crate) fn pair() -> (Self, std::os::unix::net::UnixDatagram) {
        use std::os::fd::{FromRawFd, IntoRawFd};

        let (mine, kernel) = std::os::unix::net::UnixDatagram::pair().expect("a socket pair");
        kernel.set_nonblocking(true).expect("a socket");
        // SAFETY: the descriptor is open and nobody else's.
        let socket = unsafe { NlSocket::from_raw_fd(mine.into_raw_fd()) };
        (Self(socket), kernel)
    }
}
