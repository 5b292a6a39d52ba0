// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one error type.

use std::io;

use nix::{errno::Errno, libc};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network namespace has no device of that name.
    #[error("no such device in this namespace")]
    NoDevice,

    /// The kernel does not know the types of the module's functions, so no program can call them.
    #[error(
        "the module has no BTF (/sys/kernel/btf/lunatik is not there), so eBPF programs cannot call it; \
         it has to be built where the kernel's own BTF is, as `cargo xtask kmod` does"
    )]
    NoBtf,

    /// The kernel interprets programs, and only compiled ones call functions of modules.
    #[error(
        "the kernel's eBPF compiler is off or missing (net.core.bpf_jit_enable), and without it programs cannot call modules"
    )]
    NoJit,

    /// The device has an XDP program already.
    #[error("the device has the XDP program {name} (id {id}) already")]
    Occupied {
        /// The program's name.
        name: String,
        /// The program's id.
        id: u32,
    },

    /// The state is attached there already.
    #[error("the state is attached there already")]
    Attached,

    /// No program of ours that was meant is attached there.
    #[error("no such program is attached there")]
    NotAttached,

    /// The kernel refused.
    #[error("{action}: {}", reason(source, detail.as_deref()))]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
        /// What the kernel said in words.
        detail: Option<String>,
    },
}

impl Error {
    /// The errno that says the same, positive.
    pub fn errno(&self) -> i32 {
        match self {
            Self::NoDevice => libc::ENODEV,
            Self::NoBtf | Self::NoJit => libc::EOPNOTSUPP,
            Self::Occupied { .. } => libc::EBUSY,
            Self::Attached => libc::EEXIST,
            Self::NotAttached => libc::ENOENT,
            Self::Kernel { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Whether the process lacks the right.
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), libc::EPERM | libc::EACCES)
    }

    pub(crate) fn kernel(action: &'static str, source: io::Error) -> Self {
        let detail = None;
        Self::Kernel {
            action,
            source,
            detail,
        }
    }
}

fn reason(source: &io::Error, detail: Option<&str>) -> String {
    match (detail, source.raw_os_error()) {
        (Some(detail), _) => detail.to_owned(),
        (None, Some(libc::EPERM | libc::EACCES)) => {
            "not permitted; it takes CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN".to_owned()
        }
        (None, Some(errno)) => Errno::from_raw(errno).desc().to_lowercase(),
        (None, None) => source.to_string(),
    }
}
