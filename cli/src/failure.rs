// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, as it is told and as the exit status has it.

use std::{fmt, io, process::ExitCode};

use lunatik::{Error, ErrorKind};
use serde::Serialize;

use crate::text::visible;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit status of a command that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Failure = 1,
    Usage = 2,
    ModuleMissing = 3,
    NotPermitted = 4,
    NoState = 5,
    /// Nobody reads standard output any more: what a shell reports for a program
    /// that SIGPIPE ended.
    OutputClosed = 128 + 13,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl From<ErrorKind> for Status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::ModuleMissing => Self::ModuleMissing,
            ErrorKind::NotPermitted => Self::NotPermitted,
            ErrorKind::NoState => Self::NoState,
            _ => Self::Failure,
        }
    }
}

/// Why a command failed. `Display` gives the line for people, with the traceback
/// under it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// The state or the file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<String>,
    #[serde(skip)]
    status: Status,
}

impl Failure {
    pub(crate) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            subject: None,
            message: message.into(),
            code: Some(code),
            traceback: None,
            status,
        }
    }

    /// A file that cannot be read. The exit status tells of the kernel's answers
    /// only, so this is 1 whatever the reason.
    pub(crate) fn input(name: impl Into<String>, source: io::Error) -> Self {
        let action = "cannot read";
        Self {
            status: Status::Failure,
            ..Self::from(Error::Io { action, source }).about(name)
        }
    }

    /// Says which state or file it is about.
    pub(crate) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error.errno_name();
        let lua = error.lua().filter(|lua| !lua.message_bytes().is_empty());
        let message = match (error.kind(), lua) {
            (ErrorKind::ModuleMissing, _) => {
                "the lunatik module is not loaded; load it with `lunatikctl load` or `modprobe lunatik`"
                    .to_owned()
            }
            (_, Some(lua)) => lua.message().into_owned(),
            (_, None) => {
                let text = error.to_string();
                let end = code.map(|code| format!(" ({code})")).unwrap_or_default();
                let text = text.strip_suffix(&end).unwrap_or(&text);
                match error.kind() {
                    // Which state it is stands before the message.
                    ErrorKind::NoState | ErrorKind::Exists => {
                        text.strip_suffix(": STATE_NAME").unwrap_or(text)
                    }
                    _ => text,
                }
                .to_owned()
            }
        };
        Self {
            subject: None,
            message,
            code,
            traceback: error
                .lua()
                .and_then(lunatik::LuaError::traceback)
                .map(|text| text.trim_end().to_owned())
                .filter(|text| !text.is_empty()),
            status: error.kind().into(),
        }
    }
}

impl From<lunatik_bpf::Error> for Failure {
    fn from(error: lunatik_bpf::Error) -> Self {
        let status = if error.is_permission() {
            Status::NotPermitted
        } else {
            Status::Failure
        };
        let message = match &error {
            lunatik_bpf::Error::Occupied { .. } => format!("{error}; --force replaces it"),
            _ => error.to_string(),
        };
        Self {
            subject: None,
            message,
            code: lunatik::errno_name(error.errno()),
            traceback: None,
            status,
        }
    }
}

/// The command line is wrong. Clap says why in a first paragraph.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let paragraph = text.split("\n\n").next().unwrap_or(&text);
        Self {
            subject: None,
            message: paragraph.trim_start_matches("error: ").to_owned(),
            code: None,
            traceback: None,
            status: Status::Usage,
        }
    }
}

/// Standard output failed.
impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        let status = match source.kind() {
            io::ErrorKind::BrokenPipe => Status::OutputClosed,
            _ => Status::Failure,
        };
        let action = "cannot write to standard output";
        Self {
            status,
            ..Self::from(Error::Io { action, source })
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{}: ", visible(subject.as_bytes()))?;
        }
        write!(f, "{}", visible(self.message.as_bytes()))?;
        if let Some(code) = self.code {
            write!(f, " ({code})")?;
        }
        for line in self.traceback.iter().flat_map(|text| text.lines()) {
            write!(f, "\n{}", visible(line.as_bytes()))?;
        }
        Ok(())
    }
}

/// Says which state an error is about.
pub(crate) trait About<T> {
    fn about(self, state: &str) -> Result<T>;
}

impl<T> About<T> for lunatik::Result<T> {
    fn about(self, state: &str) -> Result<T> {
        self.map_err(|error| Failure::from(error).about(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(errno: i32) -> Error {
        Error::Io {
            action: "cannot send to the kernel",
            source: io::Error::from_raw_os_error(errno),
        }
    }

    #[test]
    fn exit_status_follows_the_kind() {
        for (kind, status) in [
            (ErrorKind::ModuleMissing, 3),
            (ErrorKind::NotPermitted, 4),
            (ErrorKind::NoState, 5),
            (ErrorKind::Exists, 1),
            (ErrorKind::Script, 1),
            (ErrorKind::NoNamespace, 1),
            (ErrorKind::Protocol, 1),
        ] {
            assert_eq!(Status::from(kind) as u8, status, "{kind:?}");
        }
    }

    #[test]
    fn line_says_what_where_and_the_errno() {
        let failure = Failure::from(io(1)).about("fw");
        assert_eq!(
            failure.to_string(),
            "fw: cannot send to the kernel: operation not permitted (EPERM)"
        );
        assert_eq!(failure.status(), Status::NotPermitted);
    }

    #[test]
    fn missing_module_says_how_to_load_it() {
        let failure = Failure::from(Error::ModuleMissing);
        assert_eq!(
            failure.to_string(),
            "the lunatik module is not loaded; load it with `lunatikctl load` or \
             `modprobe lunatik` (ENOPKG)"
        );
        assert_eq!(failure.status(), Status::ModuleMissing);
    }

    #[test]
    fn traceback_stands_under_the_line() {
        let failure = Failure {
            subject: Some("a".into()),
            message: "dostring:1: bo\nom\x1b[1m".into(),
            code: Some("EREMOTEIO"),
            traceback: Some("stack traceback:\n\t[C]: in function 'error'".into()),
            status: Status::Failure,
        };
        assert_eq!(
            failure.to_string(),
            "a: dostring:1: bo\\nom\\x1b[1m (EREMOTEIO)\n\
             stack traceback:\n\t[C]: in function 'error'"
        );
        assert_eq!(
            serde_json::to_value(&failure).expect("serializes"),
            serde_json::json!({
                "subject": "a",
                "message": "dostring:1: bo\nom\x1b[1m",
                "code": "EREMOTEIO",
                "traceback": "stack traceback:\n\t[C]: in function 'error'",
            })
        );
    }

    #[test]
    fn json_leaves_out_what_there_is_not() {
        let failure = Failure::from(Error::Lost);
        assert_eq!(
            serde_json::to_value(&failure).expect("serializes"),
            serde_json::json!({"message": "messages were lost", "code": "ENOBUFS"})
        );
    }

    #[test]
    fn unreadable_file_is_a_plain_failure() {
        let failure = Failure::input("x.lua", io::Error::from_raw_os_error(13));
        assert_eq!(
            failure.to_string(),
            "x.lua: cannot read: permission denied (EACCES)"
        );
        assert_eq!(failure.status(), Status::Failure);
    }

    #[test]
    fn closed_output_has_a_status_of_its_own() {
        let failure = Failure::from(io::Error::from_raw_os_error(32));
        assert_eq!(failure.status(), Status::OutputClosed);
    }
}
