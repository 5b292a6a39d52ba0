// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data from a client to a server, which must arrive as it was sent.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crc32fast::Hasher;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt::UdpGsoSegment},
};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{Family, Host, Network, SOON};

/// What is to be sent, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// The version of IP.
    pub family: Family,
    /// The server's port.
    pub port: u16,
    /// How many bytes.
    pub bytes: u64,
    /// How long to wait for the connection, and with nothing getting through.
    pub patience: Duration,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            family: Family::V4,
            port: 5000,
            bytes: 1 << 20,
            patience: 3 * SOON,
        }
    }
}

/// How data is cut into datagrams, the numbers being bytes of data in each.
#[derive(Debug, Clone, Copy)]
pub enum Datagrams {
    /// One is sent at a time; more than 1452 bytes make fragments.
    Single(usize),
    /// Several are sent as one that the kernel, or a device, cuts (`UDP_SEGMENT`).
    Segmented(usize),
}

/// What arrived as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// How many bytes.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// How many datagrams had to be sent again. A machine that is busy makes some.
    pub resent: u64,
}

impl Arrived {
    /// Bytes per second.
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an amount, not a number")]
        let bytes = self.bytes as f64;
        bytes / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes in {:.2} s, {:.1} MB/s, {} datagrams sent again",
            self.bytes,
            self.elapsed.as_secs_f64(),
            self.rate() / 1e6,
            self.resent
        )
    }
}

/// Why data did not arrive.
#[derive(Debug)]
pub enum Broken {
    /// There was no connection.
    Connect(io::Error),
    /// It went no further.
    Stopped {
        /// How many bytes the server had confirmed (UDP), or the client had handed to
        /// its kernel (TCP).
        bytes: u64,
        /// What came of the last try.
        error: io::Error,
    },
    /// Something else arrived.
    Altered {
        /// Of what was sent: how many bytes, and their CRC-32.
        sent: (u64, u32),
        /// Of what came.
        came: (u64, u32),
    },
}

impl Broken {
    /// Whether it is by silence, as when packets are dropped.
    pub fn is_silence(&self) -> bool {
        let silence = [ErrorKind::TimedOut, ErrorKind::WouldBlock];
        match self {
            Self::Connect(error) | Self::Stopped { error, .. } => silence.contains(&error.kind()),
            Self::Altered { .. } => false,
        }
    }

    /// Whether it is by a refusal, as when there is no server or packets are rejected.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Connect(error) | Self::Stopped { error, .. } => {
                error.kind() == ErrorKind::ConnectionRefused
            }
            Self::Altered { .. } => false,
        }
    }
}

impl Host {
    /// A socket of UDP at its address and a port, 0 for any.
    pub fn udp(&self, family: Family, port: u16) -> UdpSocket {
        let address = self.port(family, port);
        self.netns.within(|| free(|| UdpSocket::bind(address)))
    }
}

impl Network {
    /// Sends data from the client to the server over TCP.
    pub fn tcp(&self, transfer: &Transfer) -> Result<Arrived, Broken> {
        let address = self.server.port(transfer.family, transfer.port);
        let listener = self
            .server
            .netns
            .within(|| free(|| TcpListener::bind(address)));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| receive_stream(&listener, &over));
            let sent = self.client.netns.within(|| send_stream(address, transfer));
            over.store(true, Relaxed);
            sent
        })
    }

    /// Sends data from the client to the server over UDP. What does not arrive, or
    /// not in order, is sent again.
    pub fn udp(&self, transfer: &Transfer, datagrams: Datagrams) -> Result<Arrived, Broken> {
        let address = self.server.port(transfer.family, transfer.port);
        let receiver = self.server.udp(transfer.family, transfer.port);
        let sender = self.client.udp(transfer.family, 0);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| receive_datagrams(&receiver, &over));
            let sent = send_datagrams(&sender, address, transfer, datagrams);
            over.store(true, Relaxed);
            sent
        })
    }
}

/// What `bind` gives. A program that another test starts has the sockets of this one
/// for the moment before it becomes itself, so that a port may be taken that is free.
fn free<T>(mut bind: impl FnMut() -> io::Result<T>) -> T {
    let start = Instant::now();
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < SOON => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result.expect("a free port"),
        }
    }
}

/// How often it is looked whether the other side has given up.
const GLANCE: Duration = Duration::from_millis(50);

/// What is sent: random bytes, each piece of them with its number, so that it matters
/// which piece is where.
struct Source {
    piece: Vec<u8>,
}

/// Piece by piece.
const PIECE: usize = 1 << 16;

impl Source {
    fn new() -> Self {
        let mut piece = vec![0; PIECE];
        Pcg64Mcg::seed_from_u64(0x1234_5678).fill_bytes(&mut piece);
        Self { piece }
    }

    /// The first `length` bytes of piece `number`.
    fn piece(&mut self, number: u64, length: usize) -> &[u8] {
        for (byte, stamp) in self.piece.iter_mut().zip(number.to_le_bytes()) {
            *byte = stamp;
        }
        &self.piece[..length]
    }
}

/// Compares what the server says with what was sent.
fn judge(
    start: Instant,
    sent: (u64, u32),
    came: (u64, u32),
    resent: u64,
) -> Result<Arrived, Broken> {
    if sent != came {
        return Err(Broken::Altered { sent, came });
    }
    Ok(Arrived {
        bytes: sent.0,
        elapsed: start.elapsed(),
        resent,
    })
}

fn send_stream(address: SocketAddr, transfer: &Transfer) -> Result<Arrived, Broken> {
    let mut source = Source::new();
    let mut crc = Hasher::new();
    let mut bytes = 0;
    let start = Instant::now();
    let mut stream =
        TcpStream::connect_timeout(&address, transfer.patience).map_err(Broken::Connect)?;
    let mut send = || -> io::Result<(u64, u32)> {
        stream.set_write_timeout(Some(transfer.patience))?;
        stream.set_read_timeout(Some(transfer.patience))?;
        for number in 0.. {
            let length = (transfer.bytes - bytes).min(PIECE as u64);
            if length == 0 {
                break;
            }
            let piece = source.piece(number, usize::try_from(length).expect("a piece"));
            stream.write_all(piece)?;
            crc.update(piece);
            bytes += length;
        }
        stream.shutdown(Shutdown::Write)?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        let (count, sum) = answer.split_at(8);
        Ok((
            u64::from_le_bytes(count.try_into().expect("8 bytes")),
            u32::from_le_bytes(sum.try_into().expect("4 bytes")),
        ))
    };
    match send() {
        Ok(came) => judge(start, (bytes, crc.finalize()), came, 0),
        Err(error) => Err(Broken::Stopped { bytes, error }),
    }
}

/// Takes one connection and answers with what came, once all has come. What goes
/// wrong with it the client learns by having no answer.
fn receive_stream(listener: &TcpListener, over: &AtomicBool) {
    while !readable(listener, GLANCE) {
        if over.load(Relaxed) {
            return;
        }
    }
    let mut buffer = vec![0; 4 * PIECE];
    let mut receive = || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut crc = Hasher::new();
        let mut bytes = 0;
        loop {
            if !readable(&stream, GLANCE) {
                if over.load(Relaxed) {
                    return Err(ErrorKind::TimedOut.into());
                }
                continue;
            }
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            crc.update(&buffer[..count]);
            bytes += count as u64;
        }
        let mut answer = [0; 12];
        answer[..8].copy_from_slice(&u64::to_le_bytes(bytes));
        answer[8..].copy_from_slice(&crc.finalize().to_le_bytes());
        stream.write_all(&answer)
    };
    let _ = receive();
}

fn readable(socket: impl AsFd, patience: Duration) -> bool {
    let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).expect("less than weeks");
    poll(&mut watched, patience).expect("a socket") > 0
}

/// A datagram begins with its number.
const HEADER: usize = 4;
/// How many bytes may be on their way. The server's socket has room for three times
/// as much and what the kernel keeps with it.
const WINDOW: usize = 1 << 15;
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

fn send_datagrams(
    socket: &UdpSocket,
    address: SocketAddr,
    transfer: &Transfer,
    datagrams: Datagrams,
) -> Result<Arrived, Broken> {
    let size = match datagrams {
        Datagrams::Single(size) | Datagrams::Segmented(size) => size,
    };
    assert!(size > HEADER && size <= WINDOW, "{size} bytes of data");
    // Connected, it hears of refusals.
    socket.connect(address).map_err(Broken::Connect)?;
    let at_once = match datagrams {
        Datagrams::Single(_) => 1,
        Datagrams::Segmented(size) => {
            let size = i32::try_from(size).expect("small");
            setsockopt(socket, UdpGsoSegment, &size).expect("a socket of UDP");
            WINDOW / usize::try_from(size).expect("positive")
        }
    };
    let window = u32::try_from(WINDOW / size).expect("small");
    let payload = (size - HEADER) as u64;
    let total = u32::try_from(transfer.bytes.div_ceil(payload)).expect("fewer datagrams");
    let length_of = |n: u32| (transfer.bytes - u64::from(n) * payload).min(payload);

    let mut source = Source::new();
    let mut crc = Hasher::new();
    let (mut confirmed, mut next, mut ever) = (0, 0, 0);
    let mut resent = 0;
    let mut came = (0, Hasher::new().finalize());
    let start = Instant::now();
    let (mut progress, mut last_error) = (start, io::Error::from(ErrorKind::TimedOut));
    let mut buffer = Vec::with_capacity(at_once * size);
    while confirmed < total {
        while next < total && next < confirmed + window {
            buffer.clear();
            let mut count = 0;
            while count < at_once && next < total && next < confirmed + window {
                let length = usize::try_from(length_of(next)).expect("a datagram");
                buffer.extend(next.to_le_bytes());
                let data = source.piece(next.into(), length);
                buffer.extend(data);
                if next == ever {
                    crc.update(data);
                    ever += 1;
                } else {
                    resent += 1;
                }
                next += 1;
                count += 1;
            }
            if let Err(error) = socket.send(&buffer) {
                last_error = error;
            }
        }
        let mut answer = [0; Confirmation::SIZE];
        let heard = if readable(socket, AGAIN) {
            socket.recv(&mut answer).map(Some)
        } else {
            Ok(None)
        };
        match heard {
            Ok(Some(Confirmation::SIZE)) => {
                let answer = Confirmation::decode(&answer);
                if answer.next > confirmed {
                    (confirmed, came) = (answer.next, answer.came);
                    next = next.max(confirmed);
                    progress = Instant::now();
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => last_error = error,
        }
        if progress.elapsed() > transfer.patience
            || last_error.kind() == ErrorKind::ConnectionRefused
        {
            return Err(Broken::Stopped {
                bytes: u64::from(confirmed) * payload,
                error: last_error,
            });
        }
        next = confirmed;
    }
    judge(start, (transfer.bytes, crc.finalize()), came, resent)
}

/// Takes datagrams in their order and confirms them, until `over`.
fn receive_datagrams(socket: &UdpSocket, over: &AtomicBool) {
    let mut buffer = vec![0; PIECE];
    let mut crc = Hasher::new();
    let (mut next, mut bytes) = (0, 0);
    while !over.load(Relaxed) {
        if !readable(socket, GLANCE) {
            continue;
        }
        // A client that is gone may have left an error.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if length < HEADER {
            continue;
        }
        let (header, data) = buffer[..length].split_at(HEADER);
        let expected = number(header) == next;
        if expected {
            crc.update(data);
            bytes += data.len() as u64;
            next += 1;
        }
        if !expected || next.is_multiple_of(4) || !readable(socket, Duration::ZERO) {
            let answer = Confirmation {
                next,
                came: (bytes, crc.clone().finalize()),
            };
            // What is lost comes again.
            let _ = socket.send_to(&answer.encode(), from);
        }
    }
}
