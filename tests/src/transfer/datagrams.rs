// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data over UDP, which the server confirms.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crc32fast::Hasher;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use super::{Arrived, Broken, GLANCE, Source, Transfer, judge, readable};
use crate::Network;

/// How data is cut into datagrams, the numbers being bytes of data in each.
#[derive(Debug, Clone, Copy)]
pub enum Datagrams {
    /// One is sent at a time; more than 1452 bytes make fragments.
    Single(usize),
    /// Several are sent as one that the kernel, or a device, cuts (`UDP_SEGMENT`).
    Segmented(usize),
}

impl Network {
    /// Sends data from the client to the server over UDP. What does not arrive, or
    /// not in order, is sent again.
    pub fn udp(&self, transfer: &Transfer, datagrams: Datagrams) -> Result<Arrived, Broken> {
        let address = self.server.port(transfer.family, transfer.port);
        let receiver = self.server.udp(transfer.family, transfer.port);
        let sender = self.client.udp(transfer.family, 0);
        for socket in [&receiver, &sender] {
            socket.set_nonblocking(true).expect("a socket");
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| receive_datagrams(&receiver, &over));
            let sent = Sender::new(&sender, address, transfer, datagrams)
                .map_err(Broken::Connect)
                .and_then(Sender::send);
            over.store(true, Relaxed);
            sent
        })
    }
}

/// A datagram begins with its number.
const HEADER: usize = 4;
/// How many bytes may be on their way, and be sent as one. The server's socket has
/// room for twice as much and what the kernel keeps with it.
const WINDOW: usize = 60_000;
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
    ) -> io::Result<Self> {
        let (size, at_once) = match datagrams {
            Datagrams::Single(size) => (size, 1),
            Datagrams::Segmented(size) => (size, WINDOW / size),
        };
        assert!(size > HEADER && size <= WINDOW, "{size} bytes of data");
        // Connected, it hears of refusals.
        socket.connect(server)?;
        if let Datagrams::Segmented(size) = datagrams {
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
            source: Source::new(),
            crc: Hasher::new(),
            came: (0, Hasher::new().finalize()),
            buffer: Vec::with_capacity(WINDOW),
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
        let sent = (self.transfer.bytes, self.crc.finalize());
        judge(start, sent, self.came, self.resent)
    }

    /// Sends what may be on its way.
    fn fill_window(&mut self) -> io::Result<()> {
        let end = self.total.min(self.confirmed + self.window);
        while self.next < end {
            self.buffer.clear();
            for _ in 0..self.at_once {
                if self.next < end {
                    self.add_datagram();
                }
            }
            self.socket.send(&self.buffer)?;
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

/// Takes datagrams in their order and confirms them, until `over`.
fn receive_datagrams(socket: &UdpSocket, over: &AtomicBool) {
    let mut buffer = vec![0; WINDOW];
    let mut crc = Hasher::new();
    let (mut next, mut bytes) = (0, 0);
    // Whom to confirm something, and of how many datagrams.
    let mut waiting = None;
    let mut unconfirmed = 0;
    while !over.load(Relaxed) {
        // That it is empty, or that a client is gone.
        let received = socket.recv_from(&mut buffer).ok();
        if let Some((length, from)) = received
            && length >= HEADER
        {
            let (header, data) = buffer[..length].split_at(HEADER);
            if number(header) == next {
                crc.update(data);
                bytes += data.len() as u64;
                next += 1;
            }
            waiting = Some(from);
            unconfirmed += 1;
        }
        if let Some(client) = waiting
            && (received.is_none() || unconfirmed == CONFIRMED)
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
