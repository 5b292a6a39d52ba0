// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that netfilter queues packets to: as much of `NFQUEUE` as tests need.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt,
            socket, sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::Netns;

const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;

/// A queue of a namespace that this is bound to.
#[derive(Debug)]
pub struct Queue {
    socket: OwnedFd,
    number: u16,
}

/// A packet that waits for its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    id: u32,
    /// Its bytes from the network header on.
    pub bytes: Vec<u8>,
}

impl Queue {
    /// Binds to the queue `number` of a namespace.
    pub fn bind(netns: &Netns, number: u16) -> Self {
        let socket = netns.within(|| {
            socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkNetFilter,
            )
            .expect("a socket")
        });
        let queue = Self { socket, number };
        // Bind, and all of each packet.
        queue.configure(1, &[1, 0, 0, 0]);
        queue.configure(2, &[0, 0, 0xff, 0xff, 2]);
        queue
    }

    /// The next packet, if it comes in `patience`.
    pub fn next(&self, patience: Duration) -> Option<Queued> {
        let timeout = i64::try_from(patience.as_millis()).expect("a short time");
        let timeout = TimeVal::milliseconds(timeout);
        setsockopt(&self.socket, ReceiveTimeout, &timeout).expect("a timeout");
        let mut buffer = vec![0; 1 << 17];
        let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN) => return None,
            Err(error) => panic!("no packet: {error}"),
        };
        let message = &buffer[..length];
        assert_eq!(message[4..6], PACKET.to_ne_bytes(), "{message:?}");
        // Behind both headers: attributes.
        let mut rest = &message[20..];
        let (mut id, mut bytes) = (None, Vec::new());
        while rest.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
            let payload = &rest[4..length];
            match u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff {
                1 => {
                    id = Some(u32::from_be_bytes(
                        payload[..4].try_into().expect("4 bytes"),
                    ));
                }
                10 => bytes = payload.to_vec(),
                _ => {}
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
        let id = id.expect("an id");
        Some(Queued { id, bytes })
    }

    /// Lets a packet go on, or drops it.
    pub fn decide(&self, packet: &Queued, accept: bool) {
        let verdict = u32::from(accept).to_be_bytes();
        let id = packet.id.to_be_bytes();
        self.send(VERDICT, 0, 2, &[verdict, id].concat());
    }

    fn configure(&self, attribute: u16, payload: &[u8]) {
        self.send(CONFIG, NLM_F_ACK, attribute, payload);
        let mut answer = [0; 1024];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("ACK");
        assert!(length >= 20);
        assert_eq!(answer[16..20], [0; 4], "refused: {answer:?}");
    }

    fn send(&self, kind: u16, flags: u16, attribute: u16, payload: &[u8]) {
        let size = 4 + payload.len();
        let mut message = Vec::new();
        let total = u32::try_from(20 + size.next_multiple_of(4)).expect("short");
        message.extend(total.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend([0, 0]);
        message.extend(self.number.to_be_bytes());
        message.extend(u16::try_from(size).expect("short").to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(payload);
        message.resize(20 + size.next_multiple_of(4), 0);
        let sent = send(self.socket.as_raw_fd(), &message, MsgFlags::empty()).expect("sends");
        assert_eq!(sent, message.len());
    }
}
