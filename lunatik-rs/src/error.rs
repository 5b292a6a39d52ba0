// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one error type.

use std::{borrow::Cow, fmt, io};

use nix::libc;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// It prints as one line that names the errno, such as
/// `no such state in this namespace (ENOENT)`; for an error that a script
/// raised, the line is Lua's message, and [`lua`](Self::lua) has the traceback.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request or a script failed, or this library refused
    /// to send what the kernel would.
    #[error("{0}")]
    Refused(Box<Refusal>),

    /// The kernel does not know the family, and could not load the module.
    #[error("the lunatik module is not loaded (ENOPKG)")]
    ModuleMissing,

    /// There is no such network namespace.
    #[error("no network namespace {} ({})", OneLine(name), Name(source.raw_os_error()))]
    NoNamespace {
        /// As it was asked for: a name, a path, or `pid:N`.
        name: String,
        /// What opening or entering it gave.
        source: io::Error,
    },

    /// Messages from the kernel were lost because they came faster than they
    /// were read. What follows is still received.
    #[error("messages were lost (ENOBUFS)")]
    Lost,

    /// A listing changed while it was read, each time it was tried.
    #[error("the listing changed each time while it was read (EAGAIN)")]
    Inconsistent,

    /// A system call failed.
    #[error("{action}: {} ({})", Lower(source), Name(source.raw_os_error()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },

    /// An answer that this library does not understand.
    #[error("unexpected answer from the kernel: {0}")]
    Protocol(Cow<'static, str>),
}

/// The kinds of [`Error`]: one for each errno of the protocol, and what can go
/// wrong beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// EPERM, EACCES: no `CAP_NET_ADMIN` over the network namespace, or its user
    /// namespace is not allowed.
    NotPermitted,
    /// EEXIST: the name is taken.
    Exists,
    /// ENOENT: no such state.
    NoState,
    /// EINVAL: malformed request.
    Invalid,
    /// ERANGE: a memory cap or timeout outside the limits.
    OutOfRange,
    /// EDQUOT: the namespace's quota of states or bytes is used up.
    Quota,
    /// EBUSY: another session holds a reference to the state to close.
    Busy,
    /// ENOEXEC: the chunk does not compile.
    Compile,
    /// ENOMEM: the state's memory cap or the kernel's memory is used up.
    OutOfMemory,
    /// ETIME: the deadline passed.
    Deadline,
    /// EINTR: the caller was killed while the script ran.
    Interrupted,
    /// EMSGSIZE: too large.
    TooLarge,
    /// EREMOTEIO: the script raised an error.
    Script,
    /// ENOTCONN: the state has no receiver for data.
    NoReceiver,
    /// ESHUTDOWN: the state is being closed, or was while it was waited on.
    Closed,
    /// The module is not loaded.
    ModuleMissing,
    /// No such network namespace, or (EXDEV) the calling thread has left the
    /// session's.
    NoNamespace,
    /// ENOBUFS: messages were lost. From a request: the kernel had no memory for its
    /// answer, and it may have been carried out or not.
    Lost,
    /// A listing kept changing.
    Inconsistent,
    /// A system call failed.
    Io,
    /// An answer that this library does not understand.
    Protocol,
    /// The kernel gave an errno that the protocol does not list.
    Other,
}

/// A request that was refused, or a script that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) errno: i32,
    pub(crate) message: Option<Box<str>>,
    pub(crate) offset: Option<u32>,
    pub(crate) attribute: Option<&'static str>,
    pub(crate) lua: Option<LuaError>,
}

/// What Lua said of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuaError {
    pub(crate) message: Vec<u8>,
    pub(crate) traceback: Option<Vec<u8>>,
}

impl Error {
    /// A refusal by this library, before anything is sent.
    pub(crate) fn refuse(errno: i32, message: impl Into<Box<str>>) -> Self {
        Self::Refused(Box::new(Refusal {
            errno,
            message: Some(message.into()),
            offset: None,
            attribute: None,
            lua: None,
        }))
    }

    /// More than a limit allows; the text says the limit.
    pub(crate) fn too_large(what: &str, size: usize, limit: usize) -> Self {
        Self::refuse(
            libc::EMSGSIZE,
            format!("{what} is {size} bytes, the limit is {limit}"),
        )
    }

    /// The same error once more, for another request that it befell.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::ModuleMissing => Self::ModuleMissing,
            Self::NoNamespace { name, source } => Self::NoNamespace {
                name: name.clone(),
                source: again(source),
            },
            Self::Lost => Self::Lost,
            Self::Inconsistent => Self::Inconsistent,
            Self::Io { action, source } => Self::io(action, again(source)),
            Self::Protocol(what) => Self::Protocol(what.clone()),
        }
    }

    pub(crate) fn protocol(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Protocol(what.into())
    }

    pub(crate) fn io(action: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            source: source.into(),
        }
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(refusal) => kind(refusal.errno),
            Self::ModuleMissing => ErrorKind::ModuleMissing,
            Self::NoNamespace { .. } => ErrorKind::NoNamespace,
            Self::Lost => ErrorKind::Lost,
            Self::Inconsistent => ErrorKind::Inconsistent,
            Self::Io { source, .. } => match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => ErrorKind::NotPermitted,
                _ => ErrorKind::Io,
            },
            Self::Protocol(_) => ErrorKind::Protocol,
        }
    }

    /// The errno, positive: the kernel's where there is one, else `ENOPKG` for
    /// [`ModuleMissing`](Self::ModuleMissing), `ENOBUFS` for [`Lost`](Self::Lost),
    /// `EAGAIN` for [`Inconsistent`](Self::Inconsistent) and `EPROTO` for
    /// [`Protocol`](Self::Protocol).
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            Self::ModuleMissing => Some(libc::ENOPKG),
            Self::NoNamespace { source, .. } | Self::Io { source, .. } => source.raw_os_error(),
            Self::Lost => Some(libc::ENOBUFS),
            Self::Inconsistent => Some(libc::EAGAIN),
            Self::Protocol(_) => Some(libc::EPROTO),
        }
    }

    /// The name of [`errno`](Self::errno), such as `"ENOENT"`.
    pub fn errno_name(&self) -> Option<&'static str> {
        self.errno().and_then(errno_name)
    }

    /// The text of the kernel's extended ACK, or of this library when it refused
    /// the request itself.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.message(),
            _ => None,
        }
    }

    /// What Lua said, when a script failed.
    pub fn lua(&self) -> Option<&LuaError> {
        match self {
            Self::Refused(refusal) => refusal.lua(),
            _ => None,
        }
    }
}

fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Refusal {
    /// The errno, positive.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The text of the extended ACK.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Where the attribute at fault is, in bytes from the start of the request's
    /// netlink header.
    pub fn offset(&self) -> Option<u32> {
        self.offset
    }

    /// The name of the attribute at fault, such as `"MAX_ALLOC"`.
    pub fn attribute(&self) -> Option<&'static str> {
        self.attribute
    }

    /// What Lua said, when a script failed.
    pub fn lua(&self) -> Option<&LuaError> {
        self.lua.as_ref()
    }
}

impl LuaError {
    /// The error's text, with what is not UTF-8 replaced.
    pub fn message(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.message)
    }

    /// The error's text as the kernel sent it.
    pub fn message_bytes(&self) -> &[u8] {
        &self.message
    }

    /// Where it happened, one line for each level, with what is not UTF-8
    /// replaced. A chunk that does not compile has none.
    pub fn traceback(&self) -> Option<Cow<'_, str>> {
        self.traceback.as_deref().map(String::from_utf8_lossy)
    }

    /// The traceback as the kernel sent it.
    pub fn traceback_bytes(&self) -> Option<&[u8]> {
        self.traceback.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.lua, &self.message) {
            (Some(lua), _) if !lua.message.is_empty() => {
                write!(f, "{}", OneLine(&lua.message()))?;
            }
            (_, Some(message)) => write!(f, "{}", Lower(OneLine(message)))?,
            _ => f.write_str(default_text(self.errno))?,
        }
        // The others say what is wrong with the state, not with the request.
        let malformed = matches!(
            kind(self.errno),
            ErrorKind::Invalid | ErrorKind::OutOfRange | ErrorKind::Other
        );
        if let Some(attribute) = self.attribute
            && malformed
            && !self.message.as_deref().unwrap_or("").contains(attribute)
        {
            write!(f, ": {attribute}")?;
        }
        write!(f, " ({})", Name(Some(self.errno)))
    }
}

/// Text on one line: what would start another one or steer a terminal is escaped.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => {
                    write!(f, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Text that starts with a small letter unless its first word is all capitals,
/// without the `(os error N)` that std adds and without a full stop.
struct Lower<T>(T);

impl<T: fmt::Display> fmt::Display for Lower<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text);
        let text = text.trim_end_matches('.');
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(first), Some(second)) if second.is_lowercase() => {
                write!(f, "{}{}", first.to_lowercase(), &text[first.len_utf8()..])
            }
            _ => f.write_str(text),
        }
    }
}

/// The name of an errno, or its number.
struct Name(Option<i32>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(|errno| (errno, errno_name(errno))) {
            Some((_, Some(name))) => f.write_str(name),
            Some((errno, None)) => write!(f, "errno {errno}"),
            None => f.write_str("no errno"),
        }
    }
}

fn kind(errno: i32) -> ErrorKind {
    match errno {
        libc::EPERM | libc::EACCES => ErrorKind::NotPermitted,
        libc::EEXIST => ErrorKind::Exists,
        libc::ENOENT => ErrorKind::NoState,
        libc::EINVAL => ErrorKind::Invalid,
        libc::ERANGE => ErrorKind::OutOfRange,
        libc::EDQUOT => ErrorKind::Quota,
        libc::EBUSY => ErrorKind::Busy,
        libc::ENOEXEC => ErrorKind::Compile,
        libc::ENOMEM => ErrorKind::OutOfMemory,
        libc::ETIME => ErrorKind::Deadline,
        libc::EINTR => ErrorKind::Interrupted,
        libc::EMSGSIZE => ErrorKind::TooLarge,
        libc::EREMOTEIO => ErrorKind::Script,
        libc::ENOTCONN => ErrorKind::NoReceiver,
        libc::ESHUTDOWN => ErrorKind::Closed,
        libc::ENOBUFS => ErrorKind::Lost,
        libc::EXDEV => ErrorKind::NoNamespace,
        _ => ErrorKind::Other,
    }
}

/// For refusals that came without a text.
fn default_text(errno: i32) -> &'static str {
    match kind(errno) {
        ErrorKind::NotPermitted => "no CAP_NET_ADMIN over this network namespace",
        ErrorKind::Exists => "the name is taken",
        ErrorKind::NoState => "no such state in this namespace",
        ErrorKind::Invalid => "malformed request",
        ErrorKind::OutOfRange => "outside the limits",
        ErrorKind::Quota => "the namespace's quota is used up",
        ErrorKind::Busy => "another session holds a reference to the state",
        ErrorKind::Compile => "the chunk does not compile",
        ErrorKind::OutOfMemory => "not enough memory",
        ErrorKind::Deadline => "the deadline passed",
        ErrorKind::Interrupted => "interrupted while the script ran",
        ErrorKind::TooLarge => "too large",
        ErrorKind::Script => "the script raised an error",
        ErrorKind::NoReceiver => "the state has no receiver",
        ErrorKind::Closed => "the state is being closed",
        ErrorKind::Lost => "the kernel's answer was lost",
        _ => "the kernel refused",
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        /// The name of an errno that is not negative, such as `"ENOENT"`; `None` for one that is rare.
        pub fn errno_name(errno: i32) -> Option<&'static str> {
            match errno {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

names! {
    E2BIG EACCES EADDRINUSE EAFNOSUPPORT EAGAIN EBADF EBADMSG EBUSY ECANCELED
    ECONNREFUSED EDQUOT EEXIST EFAULT EFBIG EILSEQ EINTR EINVAL EIO EISDIR ELOOP
    EMFILE EMSGSIZE ENAMETOOLONG ENFILE ENOBUFS ENODATA ENODEV ENOENT ENOEXEC
    ENOMEM ENOPKG ENOPROTOOPT ENOSPC ENOSYS ENOTCONN ENOTDIR ENOTSUP ENXIO
    EOVERFLOW EPERM EPROTO EPROTONOSUPPORT ERANGE EREMOTEIO EROFS ESHUTDOWN
    ESRCH ESTALE ETIME ETIMEDOUT EUSERS EXDEV
}

#[cfg(feature = "serde")]
impl serde::Serialize for Error {
    /// `{"error", "kind", "errno", "lua": {"message", "traceback"}}`, the last
    /// two only where there is something to say.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", &self.to_string())?;
        map.serialize_entry("kind", &format!("{:?}", self.kind()))?;
        if let Some(name) = self.errno_name() {
            map.serialize_entry("errno", name)?;
        }
        if let Some(attribute) = match self {
            Self::Refused(refusal) => refusal.attribute(),
            _ => None,
        } {
            map.serialize_entry("attribute", attribute)?;
        }
        if let Some(lua) = self.lua() {
            map.serialize_entry("lua", lua)?;
        }
        map.end()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LuaError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        use crate::value::Bytes;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &Bytes(&self.message))?;
        if let Some(traceback) = &self.traceback {
            map.serialize_entry("traceback", &Bytes(traceback))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32, message: Option<&str>) -> Refusal {
        Refusal {
            errno,
            message: message.map(Into::into),
            offset: None,
            attribute: None,
            lua: None,
        }
    }

    #[test]
    fn each_errno_of_the_protocol_has_a_kind_of_its_own() {
        let errnos = [
            libc::EPERM,
            libc::EEXIST,
            libc::ENOENT,
            libc::EINVAL,
            libc::ERANGE,
            libc::EDQUOT,
            libc::EBUSY,
            libc::ENOEXEC,
            libc::ENOMEM,
            libc::ETIME,
            libc::EINTR,
            libc::EMSGSIZE,
            libc::EREMOTEIO,
            libc::ENOTCONN,
            libc::ESHUTDOWN,
        ];
        let mut kinds = std::collections::HashSet::new();
        for errno in errnos {
            let error = Error::Refused(Box::new(refused(errno, None)));
            assert!(kinds.insert(error.kind()), "{errno}");
            assert_ne!(error.kind(), ErrorKind::Other, "{errno}");
            assert_eq!(error.errno(), Some(errno));
            let name = error.errno_name().expect("the protocol's have names");
            let text = error.to_string();
            assert!(text.ends_with(&format!(" ({name})")), "{text}");
            assert!(!text.contains('\n') && !text.contains(". "), "{text}");
        }
    }

    #[test]
    fn text_is_one_small_line() {
        let line = |refusal: Refusal| Error::Refused(Box::new(refusal)).to_string();
        assert_eq!(
            line(refused(
                libc::ENOENT,
                Some("no such state in this namespace")
            )),
            "no such state in this namespace (ENOENT)"
        );
        assert_eq!(
            line(Refusal {
                attribute: Some("STATE_ID"),
                ..refused(libc::ENOENT, None)
            }),
            "no such state in this namespace (ENOENT)"
        );
        assert_eq!(
            line(Refusal {
                attribute: Some("MAX_ALLOC"),
                ..refused(libc::ERANGE, Some("Attribute failed policy validation"))
            }),
            "attribute failed policy validation: MAX_ALLOC (ERANGE)"
        );
        assert_eq!(
            line(Refusal {
                attribute: Some("MAX_ALLOC"),
                ..refused(libc::ERANGE, Some("MAX_ALLOC must be 32768 to 65536 bytes"))
            }),
            "MAX_ALLOC must be 32768 to 65536 bytes (ERANGE)"
        );
        assert_eq!(
            line(Refusal {
                lua: Some(LuaError {
                    message: b"fw:1: A\nB\x1b[31m".to_vec(),
                    traceback: None
                }),
                ..refused(libc::EREMOTEIO, None)
            }),
            "fw:1: A\\nB\\u{1b}[31m (EREMOTEIO)"
        );
        assert_eq!(line(refused(9999, None)), "the kernel refused (errno 9999)");
    }

    #[test]
    fn other_errors_name_their_errno_too() {
        let io = Error::io(
            "cannot open a netlink socket",
            io::Error::from_raw_os_error(libc::EACCES),
        );
        assert_eq!(
            io.to_string(),
            "cannot open a netlink socket: permission denied (EACCES)"
        );
        assert_eq!(io.kind(), ErrorKind::NotPermitted);
        let netns = Error::NoNamespace {
            name: "blue\n".to_owned(),
            source: io::Error::from_raw_os_error(libc::ENOENT),
        };
        assert_eq!(netns.to_string(), "no network namespace blue\\n (ENOENT)");
        assert!(std::error::Error::source(&netns).is_some());
        assert_eq!(Error::ModuleMissing.errno_name(), Some("ENOPKG"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn json_has_what_the_accessors_have() {
        let error = Error::Refused(Box::new(Refusal {
            lua: Some(LuaError {
                message: b"boom".to_vec(),
                traceback: Some(b"stack".to_vec()),
            }),
            ..refused(libc::EREMOTEIO, None)
        }));
        assert_eq!(
            serde_json::to_string(&error).expect("serializes"),
            r#"{"error":"boom (EREMOTEIO)","kind":"Script","errno":"EREMOTEIO","lua":{"message":"boom","traceback":"stack"}}"#
        );
    }
}
