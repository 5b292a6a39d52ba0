// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages made by hand, for what the client library would not send.

use std::{
    fs::File,
    io::{self, Read, Write},
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread,
};

use lunatik_sys::{LUNATIK_GENL_NAME, LUNATIK_GENL_VERSION, lunatik_attr, lunatik_cmd};
use nix::{
    libc,
    sched::{CloneFlags, setns},
};

const NLMSG_HDRLEN: usize = 16;
const GENL_HDRLEN: usize = 4;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_MULTI: u16 = 2;
const NLM_F_ACK: u16 = 4;
/// For requests that list something.
pub const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const CTRL_ID: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// A generic netlink socket and the family's number.
#[derive(Debug)]
pub struct Raw {
    socket: File,
    family: u16,
    sequence: u32,
}

/// A message about to be sent.
#[must_use = "nothing is sent before `Raw::request`"]
#[derive(Debug, Clone)]
pub struct Message {
    command: u8,
    version: u8,
    flags: u16,
    attributes: Vec<u8>,
}

/// One message of a reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its operation.
    pub command: u8,
    /// Its attributes: types without flags, payloads.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

/// Everything that came for a request.
#[derive(Debug)]
pub struct Answer {
    /// The error number, positive, or 0.
    pub errno: i32,
    /// The extended ACK's text.
    pub text: Option<String>,
    /// The type of the attribute that the extended ACK points at.
    pub attribute: Option<u16>,
    /// The messages before the end.
    pub replies: Vec<Reply>,
}

impl Message {
    /// A message of the operation `command`.
    pub fn new(command: lunatik_cmd) -> Self {
        Self {
            command: command.as_u8(),
            version: u8::try_from(LUNATIK_GENL_VERSION).expect("a byte"),
            flags: 0,
            attributes: Vec::new(),
        }
    }

    /// With another version of the family.
    pub fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// With more flags of netlink.
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// With the operation's number `command` instead.
    pub fn command(mut self, command: u8) -> Self {
        self.command = command;
        self
    }

    /// With one more attribute of any type.
    pub fn any(mut self, kind: u16, payload: &[u8]) -> Self {
        put(&mut self.attributes, kind, payload);
        self
    }

    /// With one more attribute.
    pub fn attr(self, kind: lunatik_attr, payload: &[u8]) -> Self {
        self.any(kind.as_u16(), payload)
    }

    /// With one more attribute, an integer.
    pub fn u32(self, kind: lunatik_attr, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// With one more attribute, a string that ends with NUL.
    pub fn text(self, kind: lunatik_attr, text: &str) -> Self {
        self.attr(kind, &[text.as_bytes(), b"\0"].concat())
    }

    /// With `STATE_NAME`.
    pub fn name(self, name: &str) -> Self {
        self.text(lunatik_attr::LUNATIK_A_STATE_NAME, name)
    }

    /// With bytes after the attributes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.attributes.extend_from_slice(bytes);
        self
    }
}

impl Answer {
    /// Whether the extended ACK tells of `attribute`: by its name or by
    /// pointing at it.
    pub fn blames(&self, attribute: lunatik_attr, name: &str) -> bool {
        self.attribute == Some(attribute.as_u16())
            || self.text.as_deref().is_some_and(|text| text.contains(name))
    }
}

impl Raw {
    /// Opens a socket in the network namespace at `path`.
    pub(crate) fn open(path: &str) -> Self {
        let namespace = File::open(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let socket = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
            socket().expect("a netlink socket")
        });
        let mut raw = Self {
            socket: socket.join().expect("a socket").into(),
            family: CTRL_ID,
            sequence: 0,
        };
        raw.family = raw.resolve();
        raw
    }

    fn resolve(&mut self) -> u16 {
        let answer = self.get_family();
        let reply = answer.replies.first();
        let family = reply.and_then(|reply| {
            let (_, id) = reply
                .attributes
                .iter()
                .find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?;
            Some(u16::from_ne_bytes(id[..].try_into().ok()?))
        });
        family.unwrap_or_else(|| panic!("no family: {answer:?}"))
    }

    /// Asks the controller for the family, which is about the least that a
    /// round trip of generic netlink can be.
    pub fn get_family(&mut self) -> Answer {
        let mut attributes = Vec::new();
        let name = LUNATIK_GENL_NAME.to_bytes_with_nul();
        put(&mut attributes, CTRL_ATTR_FAMILY_NAME, name);
        self.exchange(
            CTRL_ID,
            &Message {
                command: CTRL_CMD_GETFAMILY,
                version: 1,
                flags: 0,
                attributes,
            },
        )
    }

    /// Sends a request and reads all that comes for it.
    pub fn request(&mut self, message: &Message) -> Answer {
        self.exchange(self.family, message)
    }

    /// Sends a request without reading what comes for it.
    pub fn send(&mut self, message: &Message) {
        self.write(self.family, message);
    }

    fn write(&mut self, family: u16, message: &Message) -> Vec<u8> {
        self.sequence += 1;
        let ack = if message.flags & NLM_F_DUMP == NLM_F_DUMP {
            0
        } else {
            NLM_F_ACK
        };
        let length = NLMSG_HDRLEN + GENL_HDRLEN + message.attributes.len();
        let mut bytes = u32::try_from(length).expect("small").to_ne_bytes().to_vec();
        bytes.extend(family.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | ack | message.flags).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend([message.command, message.version, 0, 0]);
        bytes.extend(&message.attributes);
        self.socket
            .write_all(&bytes)
            .expect("netlink takes a request");
        bytes
    }

    fn exchange(&mut self, family: u16, message: &Message) -> Answer {
        let sent = self.write(family, message);
        let mut answer = Answer {
            errno: 0,
            text: None,
            attribute: None,
            replies: Vec::new(),
        };
        let mut buffer = vec![0; 1 << 17];
        loop {
            let length = self
                .socket
                .read(&mut buffer)
                .expect("netlink answers in time");
            let mut rest = &buffer[..length];
            while rest.len() >= NLMSG_HDRLEN {
                let length = u32_at(rest, 0) as usize;
                let (one, others) = rest.split_at(length);
                rest = others.get(align(length) - length..).unwrap_or_default();
                if u32_at(one, 8) == self.sequence && answer.add(one, &sent) {
                    return answer;
                }
            }
        }
    }
}

impl Answer {
    /// Takes a message; whether it is the last one.
    fn add(&mut self, message: &[u8], sent: &[u8]) -> bool {
        let kind = u16_at(message, 4);
        let flags = u16_at(message, 6);
        let payload = &message[NLMSG_HDRLEN..];
        let tlvs = match kind {
            NLMSG_ERROR if flags & NLM_F_CAPPED != 0 => 4 + NLMSG_HDRLEN,
            NLMSG_ERROR => 4 + align(u32_at(payload, 4) as usize),
            NLMSG_DONE => 4,
            _ => {
                self.replies.push(Reply {
                    command: payload[0],
                    attributes: attributes(&payload[GENL_HDRLEN..]),
                });
                return false;
            }
        };
        self.errno = -i32::from_ne_bytes(payload[..4].try_into().expect("4 bytes"));
        if flags & NLM_F_ACK_TLVS != 0 {
            for (kind, payload) in attributes(payload.get(tlvs..).unwrap_or_default()) {
                match kind {
                    NLMSGERR_ATTR_MSG => {
                        let text = payload.strip_suffix(b"\0").unwrap_or(&payload);
                        self.text = Some(String::from_utf8_lossy(text).into_owned());
                    }
                    NLMSGERR_ATTR_OFFS => {
                        let offset = u32_at(&payload, 0) as usize;
                        self.attribute = sent.get(offset..).map(|attr| u16_at(attr, 2) & 0x3fff);
                    }
                    _ => {}
                }
            }
        }
        // An ACK before the parts of a reply is none of its end.
        kind == NLMSG_DONE || flags & NLM_F_MULTI == 0
    }
}

/// Splits a sequence of attributes.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut attributes = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16_at(bytes, 0));
        assert!((4..=bytes.len()).contains(&length), "a broken attribute");
        attributes.push((u16_at(bytes, 2) & 0x3fff, bytes[4..length].to_vec()));
        bytes = bytes.get(align(length)..).unwrap_or_default();
    }
    attributes
}

fn put(bytes: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(4 + payload.len()).expect("an attribute is at most 64 KiB");
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(align(bytes.len()), 0);
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A generic netlink socket that gives extended ACKs and waits 20 s at most.
fn socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_GENERIC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let patience = libc::timeval {
        tv_sec: 20,
        tv_usec: 0,
    };
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
    let large: i32 = 4 << 20;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &large)?;
    set(&socket, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, &1_i32)?;
    set(&socket, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, &1_i32)?;
    Ok(socket)
}

fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(mem::size_of::<T>()).expect("small");
    // SAFETY: `value` is valid for `length` bytes, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
