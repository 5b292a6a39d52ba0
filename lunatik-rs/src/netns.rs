// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening sockets in another network namespace without moving the caller.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic,
    path::PathBuf,
    thread,
};

use nix::{
    libc,
    sched::{CloneFlags, setns},
};

use crate::{
    error::{Error, Result},
    socket::Socket,
};

/// Where iproute2 keeps named namespaces.
const NAMED: &str = "/run/netns";

/// The network namespace of a session.
#[derive(Debug)]
pub(crate) enum Netns {
    /// Where the thread that opens a socket is.
    Current,
    Other {
        name: String,
        file: OwnedFd,
    },
}

impl Netns {
    /// By iproute2's name, or by path when there is a `/` in it.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let path = if name.contains('/') {
            PathBuf::from(name)
        } else if matches!(name, "" | "." | "..") || name.contains('\0') {
            let source = io::Error::from_raw_os_error(libc::EINVAL);
            let name = name.to_owned();
            return Err(Error::NoNamespace { name, source });
        } else {
            [NAMED, name].iter().collect()
        };
        Self::at(name.to_owned(), &path)
    }

    /// The one that a process is in.
    pub(crate) fn of_pid(pid: u32) -> Result<Self> {
        Self::at(
            format!("pid:{pid}"),
            &PathBuf::from(format!("/proc/{pid}/ns/net")),
        )
    }

    fn at(name: String, path: &PathBuf) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self::Other {
                name,
                file: file.into(),
            }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::io("cannot open the network namespace", e))
            }
            Err(source) => Err(Error::NoNamespace { name, source }),
        }
    }

    /// Opens a socket in this namespace; see [`Socket::open`].
    pub(crate) fn socket(&self, group: Option<u32>) -> Result<Socket> {
        self.within(|| Socket::open(group))?
    }

    /// Calls `body` in this namespace.
    pub(crate) fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        match self {
            Self::Current => Ok(body()),
            Self::Other { name, file } => elsewhere(name, file.as_fd(), body),
        }
    }
}

/// `setns()` moves a thread, so a thread that nobody else uses is moved.
fn elsewhere<T: Send>(
    name: &str,
    file: BorrowedFd<'_>,
    body: impl FnOnce() -> T + Send,
) -> Result<T> {
    let call = || {
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            let source = io::Error::from(errno);
            if source.kind() == io::ErrorKind::PermissionDenied {
                Error::io("cannot enter the network namespace", source)
            } else {
                let name = name.to_owned();
                Error::NoNamespace { name, source }
            }
        })?;
        Ok(body())
    };
    thread::scope(|scope| {
        thread::Builder::new()
            .name("lunatik-netns".to_owned())
            .spawn_scoped(scope, call)
            .map_err(|e| Error::io("cannot start a thread", e))?
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}
