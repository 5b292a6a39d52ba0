// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data over TCP.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Instant,
};

use crc32fast::Hasher;

use super::{Arrived, Broken, GLANCE, PIECE, Source, Transfer, free, judge, readable};
use crate::Network;

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
        Ok(came) => judge(start, (bytes, crc.finalize()), came),
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
