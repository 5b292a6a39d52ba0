// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages made by hand, for what the client library would not send.

use std::{
    fs::File,
    io::{self, Read, Write},
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    thread,
    time::Duration,
};

use lunatik_sys::{LUNATIK_GENL_NAME, LUNATIK_GENL_VERSION, lunatik_attr, lunatik_cmd};
use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, setns},
    sys::{
        socket::{self, MsgFlags, NetlinkAddr},
        time::{TimeVal, TimeValLike},
    },
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
const CTRL_ATTR_OPS: u16 = 6;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A generic netlink socket and the family's number.
#[derive(Debug)]
pub struct Raw {
    socket: File,
    family: u16,
    sequence: u32,
    addressed: bool,
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
#[derive(Debug, Default)]
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

    /// The operation's number, and whether it lists something.
    pub fn operation(&self) -> (u8, bool) {
        (self.command, self.flags & NLM_F_DUMP == NLM_F_DUMP)
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
        socket.join().expect("a socket").into()
    }

    /// Opens a socket where the calling thread is.
    pub fn here() -> Self {
        socket().expect("a netlink socket").into()
    }

    /// Opens one more socket where the calling thread is, and asks the kernel nothing.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut raw = Self::unresolved(socket().expect("a netlink socket"));
        raw.family = self.family;
        raw
    }

    /// As [`here`](Self::here); nothing if the module is on its way out.
    pub fn try_here() -> Option<Self> {
        let mut raw = Self::unresolved(socket().expect("a netlink socket"));
        raw.family = raw.resolve()?;
        Some(raw)
    }

    fn unresolved(socket: OwnedFd) -> Self {
        Self {
            socket: socket.into(),
            family: CTRL_ID,
            sequence: 0,
            addressed: false,
        }
    }

    /// From here on each message has the kernel's address on it, for which Linux
    /// looks at the rights of who sends but not of who opened the socket.
    #[must_use]
    pub fn addressed(mut self) -> Self {
        self.addressed = true;
        self
    }

    fn resolve(&mut self) -> Option<u16> {
        let id = self.family_attribute(CTRL_ATTR_FAMILY_ID)?;
        Some(u16::from_ne_bytes(id[..].try_into().ok()?))
    }

    fn family_attribute(&mut self, wanted: u16) -> Option<Vec<u8>> {
        let answer = self.get_family();
        Some(answer.replies.first()?.get(wanted)?.to_vec())
    }

    /// The operations that the family says it has, and their `GENL_*` flags.
    pub fn operations(&mut self) -> Vec<(u8, u32)> {
        attributes(&self.family_attribute(CTRL_ATTR_OPS).expect("operations"))
            .iter()
            .map(|(_, operation)| {
                let [id, flags] = pair(operation);
                let id = u8::try_from(u32_at(&id, 0)).expect("a byte");
                (id, u32_at(&flags, 0))
            })
            .collect()
    }

    /// The family's multicast groups: names and numbers.
    pub fn groups(&mut self) -> Vec<(String, u32)> {
        attributes(
            &self
                .family_attribute(CTRL_ATTR_MCAST_GROUPS)
                .expect("groups"),
        )
        .iter()
        .map(|(_, group)| {
            let [name, id] = pair(group);
            let name = name.strip_suffix(b"\0").unwrap_or(&name);
            (String::from_utf8_lossy(name).into_owned(), u32_at(&id, 0))
        })
        .collect()
    }

    fn group(&mut self, wanted: &str) -> u32 {
        let mut groups = self.groups().into_iter();
        let found = groups.find(|(name, _)| name == wanted);
        found.unwrap_or_else(|| panic!("no group {wanted}")).1
    }

    /// Joins the multicast group `name`.
    pub fn join(&mut self, name: &str) -> nix::Result<()> {
        let group = self.group(name);
        self.set(libc::NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Joins the multicast group of that number, with one system call.
    pub fn join_group(&self, group: u32) -> nix::Result<()> {
        self.set(libc::NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Leaves the multicast group `name`.
    pub fn leave(&mut self, name: &str) -> nix::Result<()> {
        let group = self.group(name);
        self.set(libc::NETLINK_DROP_MEMBERSHIP, group)
    }

    /// Joins the multicast group `name` the old way, by an address.
    pub fn bind(&mut self, name: &str) -> nix::Result<()> {
        let group = self.group(name);
        assert!(group <= 32, "such addresses have groups 1 to 32");
        let fd = self.socket.as_raw_fd();
        let port = socket::getsockname::<NetlinkAddr>(fd)?.pid();
        socket::bind(fd, &NetlinkAddr::new(port, 1 << (group - 1)))
    }

    /// Asks for multicast messages of all network namespaces that this one has
    /// a number for.
    pub fn listen_everywhere(&self) -> nix::Result<()> {
        self.set(libc::NETLINK_LISTEN_ALL_NSID, 1)
    }

    fn set(&self, option: i32, value: u32) -> nix::Result<()> {
        set(self.socket.as_fd(), libc::SOL_NETLINK, option, &value)
            .map_err(|e| Errno::from_raw(e.raw_os_error().expect("a system call")))
    }

    /// The next message that no request asked for, if one comes in time.
    pub fn receive(&mut self, patience: Duration) -> Option<Reply> {
        let limit = |time: Duration| {
            let time = TimeVal::milliseconds(i64::try_from(time.as_millis()).expect("short"));
            socket::setsockopt(&self.socket, socket::sockopt::ReceiveTimeout, &time)
                .expect("a timeout");
        };
        let mut buffer = vec![0; 1 << 17];
        limit(patience);
        let received = socket::recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty());
        limit(PATIENCE);
        match received {
            Ok(length) => {
                let message = &buffer[..length];
                assert_eq!(u16_at(message, 4), self.family, "{message:?}");
                Some(Reply::new(&message[NLMSG_HDRLEN..]))
            }
            Err(Errno::EAGAIN) => None,
            Err(error) => panic!("cannot receive: {error}"),
        }
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

    /// Sends requests as one datagram, without reading what comes for them.
    pub fn send_together(&mut self, messages: &[Message]) {
        let mut bytes = Vec::new();
        for message in messages {
            self.sequence += 1;
            bytes.extend(self.encode(self.family, message));
        }
        self.socket
            .write_all(&bytes)
            .expect("netlink takes requests");
    }

    /// The bytes of a request, to be written to the socket.
    pub fn encoded(&mut self, message: &Message) -> Vec<u8> {
        self.sequence += 1;
        self.encode(self.family, message)
    }

    /// Sends a request without reading what comes for it.
    pub fn send(&mut self, message: &Message) {
        self.write(self.family, message);
    }

    fn write(&mut self, family: u16, message: &Message) -> Vec<u8> {
        self.sequence += 1;
        let bytes = self.encode(family, message);
        if self.addressed {
            let fd = self.socket.as_raw_fd();
            let kernel = NetlinkAddr::new(0, 0);
            socket::sendto(fd, &bytes, &kernel, MsgFlags::empty())
                .expect("netlink takes a request");
        } else {
            self.socket
                .write_all(&bytes)
                .expect("netlink takes a request");
        }
        bytes
    }

    fn encode(&self, family: u16, message: &Message) -> Vec<u8> {
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
        bytes
    }

    fn exchange(&mut self, family: u16, message: &Message) -> Answer {
        let sent = self.write(family, message);
        let mut answer = Answer::default();
        let mut buffer = vec![0; 1 << 17];
        loop {
            let length = self
                .socket
                .read(&mut buffer)
                .expect("netlink answers in time");
            if answer.take(&buffer[..length], &sent) > 0 {
                return answer;
            }
        }
    }
}

impl Answer {
    /// Takes a datagram that may belong to the request `sent`; how many ends of
    /// an answer were in it.
    pub fn take(&mut self, datagram: &[u8], sent: &[u8]) -> usize {
        let mut ends = 0;
        let mut rest = datagram;
        while rest.len() >= NLMSG_HDRLEN {
            let length = u32_at(rest, 0) as usize;
            let (one, others) = rest.split_at(length);
            rest = others.get(align(length) - length..).unwrap_or_default();
            if u32_at(one, 8) == u32_at(sent, 8) && self.add(one, sent) {
                ends += 1;
            }
        }
        ends
    }

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
                self.replies.push(Reply::new(payload));
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

impl From<OwnedFd> for Raw {
    /// Takes a socket that may have been opened elsewhere.
    fn from(socket: OwnedFd) -> Self {
        let mut raw = Self::unresolved(socket);
        raw.family = raw.resolve().expect("the module is loaded");
        raw
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Reply {
    /// Reads a message from its generic netlink header on.
    fn new(payload: &[u8]) -> Self {
        Self {
            command: payload[0],
            attributes: attributes(&payload[GENL_HDRLEN..]),
        }
    }

    fn get(&self, wanted: u16) -> Option<&[u8]> {
        let mut attributes = self.attributes.iter();
        let (_, payload) = attributes.find(|(kind, _)| *kind == wanted)?;
        Some(payload)
    }

    /// The attribute `kind`, a string.
    pub fn text(&self, kind: lunatik_attr) -> Option<String> {
        let payload = self.get(kind.as_u16())?;
        let text = payload.strip_suffix(b"\0").unwrap_or(payload);
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The attribute `kind`, an integer.
    pub fn u32(&self, kind: lunatik_attr) -> Option<u32> {
        Some(u32_at(self.get(kind.as_u16())?, 0))
    }
}

/// A request of every operation, which all succeed in this order where there is
/// no state `name`: it is made, used and closed. `solo_rights.rs` sees to it
/// that none is missing.
pub fn every_operation(name: &str) -> Vec<(&'static str, Message)> {
    use lunatik_attr as A;
    use lunatik_cmd as C;

    let message = |command| Message::new(command).name(name);
    let dump = |message: Message| message.flags(NLM_F_DUMP);
    let code = b"print 'x' require('lunatik').receive(function(data) return data end)";
    vec![
        ("NEWSTATE", message(C::LUNATIK_CMD_NEWSTATE)),
        (
            "DOSTRING",
            message(C::LUNATIK_CMD_DOSTRING).attr(A::LUNATIK_A_CODE, code),
        ),
        (
            "SENDDATA",
            message(C::LUNATIK_CMD_SENDDATA).attr(A::LUNATIK_A_DATA, b"x"),
        ),
        ("GETSTATE", message(C::LUNATIK_CMD_GETSTATE)),
        (
            "GETSTATE as a dump",
            dump(Message::new(C::LUNATIK_CMD_GETSTATE)),
        ),
        ("GETLOG", dump(message(C::LUNATIK_CMD_GETLOG))),
        ("GETINFO", Message::new(C::LUNATIK_CMD_GETINFO)),
        ("PUTSTATE", message(C::LUNATIK_CMD_PUTSTATE)),
        ("CLOSE", message(C::LUNATIK_CMD_CLOSE)),
    ]
}

/// The payloads of the attributes 1 and 2 in a nest.
fn pair(nest: &[u8]) -> [Vec<u8>; 2] {
    let attributes = attributes(nest);
    [1, 2].map(|wanted| {
        let mut attributes = attributes.iter();
        let found = attributes.find(|(kind, _)| *kind == wanted);
        found.expect("an attribute").1.clone()
    })
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
    let patience = TimeVal::seconds(i64::try_from(PATIENCE.as_secs()).expect("short"));
    socket::setsockopt(&socket, socket::sockopt::ReceiveTimeout, &patience)?;
    let large: i32 = 4 << 20;
    // Those who may not do that have to do with less.
    let _ = set(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_SNDBUFFORCE,
        &large,
    );
    set(
        socket.as_fd(),
        libc::SOL_NETLINK,
        libc::NETLINK_EXT_ACK,
        &1_i32,
    )?;
    set(
        socket.as_fd(),
        libc::SOL_NETLINK,
        libc::NETLINK_CAP_ACK,
        &1_i32,
    )?;
    Ok(socket)
}

fn set<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
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
