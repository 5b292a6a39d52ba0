// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two sockets that talk over the loopback device.

use std::net::UdpSocket;

use anyhow::{Result, ensure};

/// Two sockets of the namespace that the opening thread was in.
pub(crate) struct Pair {
    from: UdpSocket,
    to: UdpSocket,
    payload: Vec<u8>,
}

impl Pair {
    /// Their packets carry so many bytes.
    pub(crate) fn open(bytes: usize) -> Result<Self> {
        let to = UdpSocket::bind("127.0.0.1:0")?;
        let from = UdpSocket::bind("127.0.0.1:0")?;
        from.connect(to.local_addr()?)?;
        Ok(Self {
            from,
            to,
            payload: vec![b'x'; bytes],
        })
    }

    /// Sends a packet from one to the other.
    pub(crate) fn pass(&self) -> Result<()> {
        let mut buffer = [0; 512];
        self.from.send(&self.payload)?;
        ensure!(
            self.to.recv(&mut buffer)? == self.payload.len(),
            "another packet"
        );
        Ok(())
    }
}
