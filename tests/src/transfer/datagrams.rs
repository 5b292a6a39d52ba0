// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data over UDP, which the server confirms.

use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crc32fast::Hasher;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{RcvBufForce, UdpGroSegment, UdpGsoSegment},
};

use super::{Arrived, Broken, GLANCE, Source, Transfer, judge, readable};
use crate::Network;

/// How data is cut into datagrams, the numbers being bytes of data in each.
#[derive(Debug, Clone, Copy)]
pub enum Datagrams {
    /// One is sent at a time; more than 1452 bytes make fragments.
    Single(usize),
    /// Several are sent as one that the kernel, or a device, cuts (`UDP_SEGMENT`).
    Segmented(usize),
    /// They are also received as one if they come so, or if the kernel puts them
    /// together (`UDP_GRO`).
    Aggregated(usize),
}

impl Network {
    /// Sends data from the client to the server over UDP. What does not arrive, or
    /// not in order, is sent again.
    pub fn udp(&self, transfer: &Transfer, datagrams: Datagrams) -> Result<Arrived, Broken> {
        let address = self.server.port(transfer.family, transfer.port);
        let receiver = self.server.udp(transfer.family, transfer.port);
        let sender = self.client.udp(transfer.family, 0);
        setsockopt(&receiver, RcvBufForce, &ROOM).expect("root may set it");
        if let Datagrams::Aggregated(_) = datagrams {
            setsockopt(&receiver, UdpGroSegment, &true)
                .map_err(|error| Broken::Connect(error.into()))?;
        }
        for socket in [&receiver, &sender] {
            socket.set_nonblocking(true).expect("a socket");
        }
        let (over, arrived) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| receive_datagrams(&receiver, &over, &arrived));
            let sent = Sender::new(&sender, address, transfer, datagrams, &arrived)
                .map_err(Broken::Connect)
                .and_then(Sender::send);
            over.store(true, Relaxed);
            sent
        })
    }
}

/// A datagram begins with its number.
const HEADER: usize = 4;
/// How many bytes may be sent as one.
const SENT_MAX: usize = 60_000;
/// How many bytes may be on their way: neither side always waits for the other, and the
/// queues between them have room for as many again.
const WINDOW: usize = 2 * SENT_MAX;
/// The server's socket has room for several windows and what the kernel keeps with them.
const ROOM: usize = 2 << 20;
/// As much as may come in one piece.
const RECEIVED_MAX: usize = 1 << 16;
/// At the latest after so many datagrams there is a confirmation.
const CONFIRMED: u32 = 8;
/// When to send again what is not confirmed.
const AGAIN: Duration = Duration::from_millis(250);

/// The server's answer: the number of the datagram that it waits for, and the bytes
/// and CRC-32 of those before.
struct Confirmation {
    next: u32,
    came: (u64, u32),
}

impl Confirmation {
    const SIZE: usize = 16;

    fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.next.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.came.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.came.1.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        Self {
            next: number(&bytes[..4]),
            came: (
                u64::from_le_bytes(bytes[4..12].try_into().expect("8 bytes")),
                number(&bytes[12..]),
            ),
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
}

/// The client's side.
struct Sender<'a> {
    socket: &'a UdpSocket,
    transfer: &'a Transfer,
    /// Bytes of data in each datagram but the last, without its number.
    payload: u64,
    /// How many datagrams are sent at once, and how many may be on their way.
    at_once: usize,
    window: u32,
    total: u32,
    confirmed: u32,
    next: u32,
    /// Those before have been sent once.
    ever: u32,
    resent: u64,
    /// How many datagrams the kernel took, and how many came.
    sent: u64,
    received: &'a AtomicU64,
    source: Source,
    crc: Hasher,
    came: (u64, u32),
    buffer: Vec<u8>,
}

impl<'a> Sender<'a> {
    fn new(
        socket: &'a UdpSocket,
        server: SocketAddr,
        transfer: &'a Transfer,
        datagrams: Datagrams,
        received: &'a AtomicU64,
    ) -> io::Result<Self> {
        let (size, at_once) = match datagrams {
            Datagrams::Single(size) => (size, 1),
            Datagrams::Segmented(size) | Datagrams::Aggregated(size) => (size, SENT_MAX / size),
        };
        assert!(size > HEADER && size <= SENT_MAX, "{size} bytes of data");
        // Connected, it hears of refusals.
        socket.connect(server)?;
        if at_once > 1 {
            let size = size.try_into().expect("small");
            setsockopt(socket, UdpGsoSegment, &size)?;
        }
        let payload = (size - HEADER) as u64;
        Ok(Self {
            socket,
            transfer,
            payload,
            at_once,
            window: u32::try_from(WINDOW / size).expect("small"),
            total: u32::try_from(transfer.bytes.div_ceil(payload)).expect("fewer datagrams"),
            confirmed: 0,
            next: 0,
            ever: 0,
            resent: 0,
            sent: 0,
            received,
            source: Source::new(),
            crc: Hasher::new(),
            came: (0, Hasher::new().finalize()),
            buffer: Vec::with_capacity(SENT_MAX),
        })
    }

    fn send(mut self) -> Result<Arrived, Broken> {
        let start = Instant::now();
        let mut progress = start;
        let mut last_error = io::Error::from(ErrorKind::TimedOut);
        while self.confirmed < self.total {
            let filled = self.fill_window();
            let in_time = readable(self.socket, AGAIN);
            match filled.and(self.hear()) {
                Ok(true) => {
                    progress = Instant::now();
                    continue;
                }
                // A confirmation of what was sent twice.
                Ok(false) if in_time => {}
                Ok(false) => self.next = self.confirmed,
                Err(error) => {
                    self.next = self.confirmed;
                    last_error = error;
                }
            }
            let refused = last_error.kind() == ErrorKind::ConnectionRefused;
            if refused || progress.elapsed() > self.transfer.patience {
                return Err(Broken::Stopped {
                    bytes: u64::from(self.confirmed) * self.payload,
                    error: last_error,
                });
            }
        }
        let sent = (self.transfer.bytes, self.crc.clone().finalize());
        let arrived = judge(start, sent, self.came)?;
        Ok(Arrived {
            resent: self.resent,
            lost: if self.transfer.count { self.lost() } else { 0 },
            ..arrived
        })
    }

    /// How many did not come. Those that were sent again may be on their way.
    fn lost(&self) -> u64 {
        let start = Instant::now();
        loop {
            let lost = self.sent.saturating_sub(self.received.load(Relaxed));
            if lost == 0 || start.elapsed() > self.transfer.patience {
                return lost;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends what may be on its way.
    fn fill_window(&mut self) -> io::Result<()> {
        let end = self.total.min(self.confirmed + self.window);
        while self.next < end {
            self.buffer.clear();
            let first = self.next;
            for _ in 0..self.at_once {
                if self.next < end {
                    self.add_datagram();
                }
            }
            self.socket.send(&self.buffer)?;
            self.sent += u64::from(self.next - first);
        }
        Ok(())
    }

    fn add_datagram(&mut self) {
        let number = self.next;
        let left = self.transfer.bytes - u64::from(number) * self.payload;
        let length = usize::try_from(left.min(self.payload)).expect("a datagram");
        let data = self.source.piece(number.into(), length);
        self.buffer.extend_from_slice(&number.to_le_bytes());
        self.buffer.extend_from_slice(data);
        if number == self.ever {
            self.crc.update(data);
            self.ever += 1;
        } else {
            self.resent += 1;
        }
        self.next += 1;
    }

    /// Takes the confirmations that have come. Whether there was something new.
    fn hear(&mut self) -> io::Result<bool> {
        let mut news = false;
        let mut answer = [0; Confirmation::SIZE];
        loop {
            match self.socket.recv(&mut answer) {
                Ok(Confirmation::SIZE) => {}
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(news),
                Err(error) => return Err(error),
            }
            let answer = Confirmation::decode(&answer);
            if answer.next > self.confirmed {
                (self.confirmed, self.came) = (answer.next, answer.came);
                self.next = self.next.max(self.confirmed);
                news = true;
            }
        }
    }
}

/// Takes datagrams in their order and confirms them, until `over`, and counts them.
fn receive_datagrams(socket: &UdpSocket, over: &AtomicBool, count: &AtomicU64) {
    let mut buffer = vec![0; RECEIVED_MAX];
    let mut crc = Hasher::new();
    let (mut next, mut bytes) = (0, 0);
    // Whom to confirm something, and of how many datagrams.
    let mut waiting = None;
    let mut unconfirmed = 0;
    while !over.load(Relaxed) {
        // That it is empty, or that a client is gone.
        let received = receive(socket, &mut buffer).ok();
        if let Some((length, size, from)) = received {
            for datagram in buffer[..length].chunks(size) {
                let Some((header, data)) = datagram.split_at_checked(HEADER) else {
                    continue;
                };
                if number(header) == next {
                    crc.update(data);
                    bytes += data.len() as u64;
                    next += 1;
                }
                count.fetch_add(1, Relaxed);
                waiting = Some(from);
                unconfirmed += 1;
            }
        }
        if let Some(client) = waiting
            && (received.is_none() || unconfirmed >= CONFIRMED)
        {
            let answer = Confirmation {
                next,
                came: (bytes, crc.clone().finalize()),
            };
            // What is lost comes again.
            let _ = socket.send_to(&answer.encode(), client);
            (waiting, unconfirmed) = (None, 0);
        } else if received.is_none() {
            readable(socket, GLANCE);
        }
    }
}

/// Receives a datagram, or several in one piece: how long it is, how long each of them
/// but the last, and whose they are.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, usize, SocketAddr)> {
    let mut pieces = [IoSliceMut::new(buffer)];
    let mut control = nix::cmsg_space!(i32);
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let length = message.bytes;
    let mut size = length;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::UdpGroSegments(each) = control {
            size = usize::try_from(each).expect("a size");
        }
    }
    let from = message.address.and_then(|address| {
        let v4 = address
            .as_sockaddr_in()
            .map(|&v4| SocketAddrV4::from(v4).into());
        let v6 = || {
            address
                .as_sockaddr_in6()
                .map(|&v6| SocketAddrV6::from(v6).into())
        };
        v4.or_else(v6)
    });
    Ok((length, size.max(1), from.expect("an address")))
}
