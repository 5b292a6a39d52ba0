// SPDX-License-Identifier: MIT OR Apache-2.0
//! What xtask and the guest's init say to each other over a port: frames in one order, so that
//! when a command's status arrives, everything that it wrote has arrived before.

use std::io::{self, Read, Write};

use rustix::termios::Winsize;

/// The name of the virtio port in the guest, where there is one.
pub(crate) const PORT: &str = "lunatik";
/// The most data of one frame: with its head it is as much as the guest's driver writes at once.
pub(crate) const MAX_DATA: usize = 32 * 1024 - HEAD;
/// What init writes to the kernel's log after a command: the log up to there has then been seen.
pub(crate) const LOG_MARK: &str = "lunatik-vm: end of command";

const HEAD: usize = 5;

/// One message, in either direction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// To the guest: run this under `sh -c`; the flag tells whether standard input follows.
    Run(String, bool),
    /// To the guest: run a shell on a terminal of this size.
    Shell(Winsize),
    /// To the guest: standard input; empty at its end.
    Input(Vec<u8>),
    /// To the guest: the terminal has another size.
    Resize(Winsize),
    /// From the guest: it is up, the module is loaded.
    Ready,
    /// From the guest: it could not start, for this reason.
    Failed(String),
    /// From the guest: it has read so many bytes more of what was sent.
    Taken(u32),
    /// From the guest: the command's standard output.
    Output(Vec<u8>),
    /// From the guest: the command's standard error.
    Error(Vec<u8>),
    /// From the guest: the command ended with this status, 128 and more for signals as in a shell.
    Exit(i32),
}

impl Frame {
    /// Sends the frame at once.
    pub(crate) fn write(&self, port: &mut impl Write) -> io::Result<()> {
        let (kind, data): (u8, &[u8]) = match self {
            Self::Run(command, false) => (b'r', command.as_bytes()),
            Self::Run(command, true) => (b'R', command.as_bytes()),
            Self::Shell(size) => (b'S', &encode(*size)),
            Self::Input(data) => (b'i', data),
            Self::Resize(size) => (b'W', &encode(*size)),
            Self::Ready => (b'+', &[]),
            Self::Failed(reason) => (b'-', reason.as_bytes()),
            Self::Taken(count) => (b't', &count.to_le_bytes()),
            Self::Output(data) => (b'o', data),
            Self::Error(data) => (b'e', data),
            Self::Exit(status) => (b'x', &status.to_le_bytes()),
        };
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEAD + data.len());
        bytes.push(kind);
        bytes.extend(length.to_le_bytes());
        bytes.extend(data);
        port.write_all(&bytes)
    }

    /// Takes the first frame off `bytes`, once it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let Some((&[kind, a, b, c, d], rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some(data) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Self::parse(kind, data)
            .ok_or_else(|| io::Error::other(format!("a malformed frame: {kind:#x}")))?;
        bytes.drain(..HEAD + length);
        Ok(Some(frame))
    }

    /// Waits for the next frame; nothing at the end of `port`. `bytes` keeps what was read of the one after.
    pub(crate) fn read(port: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut chunk = vec![0; HEAD + MAX_DATA];
        loop {
            if let Some(frame) = Self::take(bytes)? {
                return Ok(Some(frame));
            }
            match port.read(&mut chunk)? {
                0 => return Ok(None),
                count => bytes.extend(&chunk[..count]),
            }
        }
    }

    fn parse(kind: u8, data: &[u8]) -> Option<Self> {
        let text = || String::from_utf8(data.to_vec()).ok();
        Some(match kind {
            b'r' => Self::Run(text()?, false),
            b'R' => Self::Run(text()?, true),
            b'S' => Self::Shell(decode(data)?),
            b'i' => Self::Input(data.to_vec()),
            b'W' => Self::Resize(decode(data)?),
            b'+' => Self::Ready,
            b'-' => Self::Failed(text()?),
            b't' => Self::Taken(u32::from_le_bytes(data.try_into().ok()?)),
            b'o' => Self::Output(data.to_vec()),
            b'e' => Self::Error(data.to_vec()),
            b'x' => Self::Exit(i32::from_le_bytes(data.try_into().ok()?)),
            _ => return None,
        })
    }
}

fn encode(size: Winsize) -> [u8; 4] {
    let [a, b] = size.ws_row.to_le_bytes();
    let [c, d] = size.ws_col.to_le_bytes();
    [a, b, c, d]
}

fn decode(data: &[u8]) -> Option<Winsize> {
    let &[a, b, c, d] = data else { return None };
    let (ws_row, ws_col) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
    Some(Winsize {
        ws_row,
        ws_col,
        ws_xpixel: 0,
        ws_ypixel: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_port() {
        let size = Winsize {
            ws_row: 25,
            ws_col: 300,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let frames = [
            Frame::Run("uname -a".to_owned(), false),
            Frame::Run("cat".to_owned(), true),
            Frame::Shell(size),
            Frame::Input(vec![0, 255]),
            Frame::Resize(size),
            Frame::Ready,
            Frame::Failed("why".to_owned()),
            Frame::Taken(1 << 20),
            Frame::Output(vec![7; MAX_DATA]),
            Frame::Error(Vec::new()),
            Frame::Exit(-3),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut port = &bytes[..];
        let mut rest = Vec::new();
        for frame in frames {
            assert_eq!(Frame::read(&mut port, &mut rest).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut port, &mut rest).unwrap(), None);
    }

    #[test]
    fn parts_of_frames_wait_for_the_rest() {
        let mut whole = Vec::new();
        Frame::Exit(3).write(&mut whole).unwrap();
        let mut bytes = whole[..whole.len() - 1].to_vec();
        assert_eq!(Frame::take(&mut bytes).unwrap(), None);
        bytes.push(whole[whole.len() - 1]);
        assert_eq!(Frame::take(&mut bytes).unwrap(), Some(Frame::Exit(3)));
        assert!(bytes.is_empty());
    }

    #[test]
    fn unknown_frames_are_errors() {
        assert!(Frame::take(&mut vec![b'?', 0, 0, 0, 0]).is_err());
        assert!(Frame::take(&mut vec![b'x', 1, 0, 0, 0, 9]).is_err());
    }
}
