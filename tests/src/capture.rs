// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passes a device, as a packet socket gets it.

use std::{
    ffi::CString,
    io,
    mem::size_of,
    net::UdpSocket,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    time::{Duration, Instant},
};

use nix::{errno::Errno, libc, net::if_::if_nametoindex};

use crate::Netns;

/// A packet socket of a device: it gets a clone of each packet. What the device sends it
/// gets after TC, what it receives between XDP and TC.
#[derive(Debug)]
pub struct Capture {
    /// Its methods are those of any socket for datagrams.
    socket: UdpSocket,
}

impl Capture {
    /// Begins to capture on a device of a namespace.
    pub fn on(netns: &Netns, device: &str) -> Self {
        let all = u16::to_be(0x0003);
        let socket = netns.within(|| {
            let index = if_nametoindex(&*CString::new(device).expect("a name")).expect("a device");
            // SAFETY: no pointers; the descriptor is new and nobody else's.
            let socket = unsafe {
                let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
                let socket = libc::socket(libc::AF_PACKET, kind, all.into());
                OwnedFd::from_raw_fd(Errno::result(socket).expect("a socket"))
            };
            let address = libc::sockaddr_ll {
                sll_family: libc::AF_PACKET.try_into().expect("small"),
                sll_protocol: all,
                sll_ifindex: index.try_into().expect("small"),
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            };
            // SAFETY: the address lives until it returns, and has the length that is told.
            let result = unsafe {
                let length = size_of::<libc::sockaddr_ll>().try_into().expect("small");
                libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), length)
            };
            Errno::result(result).expect("bound");
            UdpSocket::from(socket)
        });
        Self { socket }
    }

    /// The next packet that `wanted` is for, from its Ethernet header on.
    pub fn next(&self, patience: Duration, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let end = Instant::now() + patience;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            match self.socket.recv(&mut buffer) {
                Ok(length) if wanted(&buffer[..length]) => {
                    buffer.truncate(length);
                    return Some(buffer);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("no packet: {error}"),
            }
            if Instant::now() >= end {
                return None;
            }
        }
    }
}
