// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets of all sorts over the loopback device: long and short, in one piece and in
//! several, whole and broken.

use std::{
    io::{IoSlice, Read, Write},
    net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6,
        SockaddrLike, send, sendmsg, sendto, socket,
    },
};

use crate::{Tally, random::Random};

/// So that longer datagrams become fragments, and are put together again.
const MTU: &str = "1500";

/// What packets leave by.
pub(super) struct Traffic {
    v4: UdpSocket,
    v6: UdpSocket,
    raw4: OwnedFd,
    raw6: OwnedFd,
    stream: TcpStream,
    other: TcpStream,
}

/// Brings up the loopback device of the calling thread's network namespace.
pub(super) fn open_loopback() -> Result<()> {
    let arguments = ["link", "set", "lo", "up", "mtu", MTU];
    let status = Command::new("ip").args(arguments).status();
    let status = status.context("cannot run ip")?;
    ensure!(status.success(), "ip: {status}");
    Ok(())
}

impl Traffic {
    /// Opens its sockets in the calling thread's network namespace. There are no hooks.
    pub(super) fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (other, _) = listener.accept()?;
        for end in [&stream, &other] {
            end.set_nonblocking(true)?;
            end.set_nodelay(true)?;
        }
        let raw = |family| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            socket(
                family,
                SockType::Raw,
                flags,
                nix::sys::socket::SockProtocol::Raw,
            )
        };
        let datagrams = |address: &str| -> Result<UdpSocket> {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self {
            v4: datagrams("127.0.0.1:0")?,
            v6: datagrams("[::1]:0")?,
            raw4: raw(AddressFamily::Inet)?,
            raw6: raw(AddressFamily::Inet6)?,
            stream,
            other,
        })
    }

    /// Sends some packets. That the kernel or a script refuses some is no failure.
    pub(super) fn send(&mut self, random: &mut Random, tally: &mut Tally) {
        for _ in 0..random.within(1, 4) {
            let (what, result) = match random.below(10) {
                0..=1 => ("datagram", self.datagram(random)),
                2 => ("datagram in pieces", self.pieces(random)),
                3..=4 => ("datagrams in one", self.segments(random)),
                5..=6 => ("raw IPv4", self.raw4(random)),
                7 => ("raw IPv6", self.raw6(random)),
                _ => ("stream", self.stream(random)),
            };
            tally.add(what, result.map_or_else(name, |_| "ok"));
        }
        self.drain();
    }

    fn socket(&self, random: &mut Random) -> &UdpSocket {
        if random.chance(60) {
            &self.v4
        } else {
            &self.v6
        }
    }

    /// To itself, or to nobody.
    fn to(socket: &UdpSocket, random: &mut Random) -> SocketAddr {
        let mut to = socket.local_addr().expect("bound");
        if random.chance(50) {
            let ports = [9, 53, 443, 5000];
            to.set_port(random.choose(&ports));
        }
        to
    }

    fn datagram(&self, random: &mut Random) -> nix::Result<usize> {
        let length = length(random);
        let socket = self.socket(random);
        let to = Self::to(socket, random);
        let sent = socket.send_to(&random.bytes(length), to);
        sent.map_err(|error| Errno::try_from(error).unwrap_or(Errno::UnknownErrno))
    }

    /// The first one is copied with its headers; what follows lies in pages of its own.
    fn pieces(&self, random: &mut Random) -> nix::Result<usize> {
        let socket = self.socket(random);
        let to = Self::to(socket, random);
        let more = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);
        let count = random.within(2, 4);
        let mut result = Ok(0);
        for piece in 0..count {
            let flags = if piece + 1 < count {
                more
            } else {
                MsgFlags::empty()
            };
            let length = random.below(700);
            let bytes = random.bytes(length);
            result = match to {
                SocketAddr::V4(to) => {
                    sendto(socket.as_raw_fd(), &bytes, &SockaddrIn::from(to), flags)
                }
                SocketAddr::V6(to) => {
                    sendto(socket.as_raw_fd(), &bytes, &SockaddrIn6::from(to), flags)
                }
            };
        }
        result
    }

    /// Several that the kernel has yet to cut.
    fn segments(&self, random: &mut Random) -> nix::Result<usize> {
        let socket = self.socket(random);
        let length = random.within(1, 20_000);
        let bytes = random.bytes(length);
        let size = u16::try_from(random.within(400, 1400)).expect("small");
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let pieces = [IoSlice::new(&bytes)];
        match Self::to(socket, random) {
            SocketAddr::V4(to) => {
                message(socket.as_raw_fd(), &pieces, &control, &SockaddrIn::from(to))
            }
            SocketAddr::V6(to) => message(
                socket.as_raw_fd(),
                &pieces,
                &control,
                &SockaddrIn6::from(to),
            ),
        }
    }

    /// A header that mostly is one, and anything behind it.
    fn raw4(&self, random: &mut Random) -> nix::Result<usize> {
        let length = length(random).min(1480);
        let mut bytes = random.bytes(20 + length);
        if random.chance(90) {
            bytes[0] = 0x45;
            bytes[9] = random.choose(&[1, 2, 4, 6, 17, 41, 47, 50, 51, 132]);
        }
        if random.chance(70) {
            // No fragment
            bytes[6..8].fill(0);
        }
        bytes[12..20].copy_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
        let to = SockaddrIn::new(127, 0, 0, 1, 0);
        sendto(self.raw4.as_raw_fd(), &bytes, &to, MsgFlags::empty())
    }

    fn raw6(&self, random: &mut Random) -> nix::Result<usize> {
        let length = length(random).min(1400);
        let mut bytes = random.bytes(40 + length);
        if random.chance(90) {
            bytes[0] = 0x60;
            let payload = u16::try_from(length).expect("short");
            bytes[4..6].copy_from_slice(&payload.to_be_bytes());
            bytes[6] = random.choose(&[0, 6, 17, 43, 44, 58, 59, 60]);
        }
        bytes[8..40].fill(0);
        bytes[23] = 1;
        bytes[39] = 1;
        let to = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
        sendto(
            self.raw6.as_raw_fd(),
            &bytes,
            &SockaddrIn6::from(to),
            MsgFlags::empty(),
        )
    }

    /// More of a connection, which scripts may have cut long since.
    fn stream(&self, random: &mut Random) -> nix::Result<usize> {
        let length = length(random);
        let end = if random.chance(50) {
            &self.stream
        } else {
            &self.other
        };
        let flags = MsgFlags::MSG_NOSIGNAL;
        send(end.as_raw_fd(), &random.bytes(length), flags)
    }

    /// Nobody wants what came.
    fn drain(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        for socket in [&self.v4, &self.v6] {
            while socket.recv(&mut buffer).is_ok() {}
        }
        for end in [&mut self.stream, &mut self.other] {
            while end.read(&mut buffer).is_ok_and(|length| length > 0) {}
            // It never waits, so there is nothing to flush.
            let _ = end.flush();
        }
    }
}

fn message(
    fd: i32,
    pieces: &[IoSlice<'_>],
    control: &[ControlMessage<'_>],
    to: &impl SockaddrLike,
) -> nix::Result<usize> {
    sendmsg(fd, pieces, control, MsgFlags::empty(), Some(to))
}

/// Of what follows the headers.
fn length(random: &mut Random) -> usize {
    match random.below(10) {
        0..=3 => random.below(64),
        4..=7 => random.below(1473),
        8 => random.below(8000),
        _ => random.below(60_000),
    }
}

fn name(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "EPERM",
        Errno::EAGAIN => "EAGAIN",
        Errno::ENOBUFS => "ENOBUFS",
        Errno::EMSGSIZE => "EMSGSIZE",
        Errno::EINVAL => "EINVAL",
        Errno::ECONNREFUSED => "ECONNREFUSED",
        Errno::ECONNRESET => "ECONNRESET",
        Errno::EPIPE => "EPIPE",
        _ => "another error",
    }
}
