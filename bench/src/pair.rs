// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two sockets that talk over the loopback device.

use std::net::UdpSocket;

use anyhow::{Result, ensure};

const PAYLOAD: [u8; 64] = [b'x'; 64];

/// Two sockets of the namespace that the opening thread was in.
pub(crate) struct Pair {
    from: UdpSocket,
    to: UdpSocket,
}

impl Pair {
    pub(crate) fn open() -> Result<Self> {
        let to = UdpSocket::bind("127.0.0.1:0")?;
        let from = UdpSocket::bind("127.0.0.1:0")?;
        from.connect(to.local_addr()?)?;
        Ok(Self { from, to })
    }

    /// Sends a packet from one to the other.
    pub(crate) fn pass(&self) -> Result<()> {
        let mut buffer = [0; PAYLOAD.len() + 1];
        self.from.send(&PAYLOAD)?;
        ensure!(
            self.to.recv(&mut buffer)? == PAYLOAD.len(),
            "another packet"
        );
        Ok(())
    }
}
