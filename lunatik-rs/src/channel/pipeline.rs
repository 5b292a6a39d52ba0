// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many requests in one datagram.
//!
//! The kernel handles all of them inside `send`, and what it answers waits in the
//! socket's buffer meanwhile. An answer that finds no room there is lost though
//! the request was carried out, so no more requests go together than the buffer
//! has room for the largest answers of.

use lunatik_sys::LUNATIK_MESSAGE_MAX;

use super::Channel;
use crate::{
    error::{Error, Result},
    socket::Wait,
    wire::{self, Message, Messages},
};

/// What an answer takes of the buffer at most: the largest message in memory that
/// comes in powers of two, with the kernel's bookkeeping and the error after it.
const ANSWER: usize = (LUNATIK_MESSAGE_MAX as usize).next_power_of_two() + 4096;
/// As many requests as go in one datagram. By then what each costs is its own run,
/// not the system call.
const REQUESTS: usize = 256;
/// Bytes of a datagram that any socket sends.
pub(crate) const DATAGRAM: usize = 128 << 10;

impl Channel {
    /// How many requests may go in one datagram.
    pub(crate) fn depth(&mut self) -> usize {
        let socket = &self.socket;
        *self.depth.get_or_insert_with(|| {
            // The kernel takes twice what it is asked for.
            socket.allow_waiting(REQUESTS * ANSWER / 2);
            (socket.waiting() / ANSWER).clamp(1, REQUESTS)
        })
    }

    /// Sends `requests`, `count` of them one after the other, and gives each
    /// message of the answers to `read`, with the number of its request from 0 and
    /// `requests` as they were sent; `read` says whether that ended the answer. A request that has none
    /// succeeded with nothing to tell, unless this says that answers were lost.
    pub(crate) fn pipeline(
        &mut self,
        requests: &mut [u8],
        count: usize,
        mut read: impl FnMut(usize, &[u8], Message<'_>) -> bool,
    ) -> Result<bool> {
        let first = self.reserve_sequences(count);
        wire::set_sequences(requests, first);
        self.socket.send(requests)?;

        let mut left = count;
        let mut lost = false;
        while left > 0 {
            let length = match self.socket.receive(&mut self.receive, Wait::No) {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(Error::Lost) => {
                    lost = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for message in Messages(&self.receive[..length]) {
                let message = message?;
                // Else the late answer to a request that failed.
                let index = message.sequence.wrapping_sub(first) as usize;
                if index < count && read(index, requests, message) {
                    left -= 1;
                }
            }
        }
        Ok(lost)
    }

    /// The first of `count` sequence numbers that follow each other.
    fn reserve_sequences(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let first = match self.sequence.checked_add(count) {
            Some(_) => self.sequence + 1,
            // 0 is what comes unasked.
            None => 1,
        };
        self.sequence = first + (count - 1);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Socket;

    #[test]
    fn sequence_numbers_follow_each_other_and_skip_what_is_unasked() {
        let (socket, _kernel) = Socket::pair();
        let mut channel = Channel::fake(socket);
        assert_eq!(channel.reserve_sequences(3), 1);
        assert_eq!(channel.next_sequence(), 4);
        assert_eq!(channel.reserve_sequences(1), 5);
        channel.sequence = u32::MAX - 2;
        assert_eq!(channel.reserve_sequences(2), u32::MAX - 1);
        assert_eq!(channel.reserve_sequences(2), 1);
        channel.sequence = u32::MAX - 2;
        assert_eq!(channel.reserve_sequences(3), 1);
        assert_eq!(channel.next_sequence(), 4);
    }

    #[test]
    fn depth_is_what_the_buffer_has_room_for() {
        let (socket, _kernel) = Socket::pair();
        let mut channel = Channel::fake(socket);
        let depth = channel.depth();
        assert!(depth == 1 || depth * ANSWER <= channel.socket.waiting());
        assert!((1..=REQUESTS).contains(&depth));
        assert_eq!(channel.depth(), depth);
    }
}
