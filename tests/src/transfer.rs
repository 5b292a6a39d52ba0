// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data from a client to a server, which must arrive as it was sent.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::UdpSocket,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{Family, Host, SOON};

mod datagrams;
mod stream;

pub use datagrams::Datagrams;

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
    /// Whether to find out how many datagrams are lost. Of those that were sent again both
    /// come, so it waits for all, if need be so long as its patience lasts.
    pub count: bool,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            family: Family::V4,
            port: 5000,
            bytes: 1 << 20,
            patience: 3 * SOON,
            count: false,
        }
    }
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
    /// How many datagrams of all that were sent did not come, if that was to be found out.
    pub lost: u64,
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

/// What `bind` gives, as soon as the port is free. A program that another test starts has the sockets of this one
/// for the moment before it becomes itself, so that a port may be taken that is free.
pub fn free<T>(mut bind: impl FnMut() -> io::Result<T>) -> T {
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
fn judge(start: Instant, sent: (u64, u32), came: (u64, u32)) -> Result<Arrived, Broken> {
    if sent != came {
        return Err(Broken::Altered { sent, came });
    }
    Ok(Arrived {
        bytes: sent.0,
        elapsed: start.elapsed(),
        resent: 0,
        lost: 0,
    })
}

fn readable(socket: impl AsFd, patience: Duration) -> bool {
    let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).expect("less than weeks");
    poll(&mut watched, patience).expect("a socket") > 0
}
