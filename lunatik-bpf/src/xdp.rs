// SPDX-License-Identifier: MIT OR Apache-2.0
//! Before the kernel makes anything of a packet: XDP, of which a device has one program.

use std::os::fd::AsFd as _;

use libbpf_rs::{Xdp, XdpFlags};

use crate::{
    device,
    error::{Error, Result},
    libbpf,
    program::{self, Found, Kind, Target},
};

/// How a device runs its XDP program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Mode {
    /// In the driver, where the packet is received.
    Native,
    /// In the kernel's core, for any driver, when the packet has been received.
    Generic,
}

impl Mode {
    fn flags(self) -> XdpFlags {
        match self {
            Self::Native => XdpFlags::DRV_MODE,
            Self::Generic => XdpFlags::SKB_MODE,
        }
    }
}

/// A device whose XDP program is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Attachment {
    /// The device's name.
    pub device: String,
    /// The device's index.
    pub ifindex: i32,
    /// How it runs the program.
    pub mode: Mode,
    /// The program's id.
    pub program: u32,
    /// What the program has been told.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub target: Target,
}

/// Attaches a state to a device: in the given mode, or natively where the driver can and generically elsewhere.
/// With `replace` whatever XDP program the device has gives way, unless a link of its owner holds it there.
///
/// # Errors
///
/// [`Error::Attached`] and [`Error::Occupied`] when the device has a program.
pub fn attach(device: &str, mode: Option<Mode>, target: Target, replace: bool) -> Result<()> {
    let ifindex = device::index(device)?;
    let present = present(ifindex)?;
    if let (Some(present), false) = (&present, replace) {
        return Err(match present.found.target {
            Some(other) if other.state == target.state => Error::Attached,
            _ => Error::Occupied {
                name: present.found.name.clone(),
                id: present.id,
            },
        });
    }
    let program = program::load(Kind::Xdp, target)?;
    let attach = || match &present {
        Some(present) if mode.is_none_or(|mode| mode == present.mode) => libbpf::replace_xdp(
            ifindex,
            (present.mode.flags() | XdpFlags::REPLACE).bits(),
            present.found.fd.as_fd(),
            program.as_fd(),
        ),
        present => {
            // A device runs programs in one mode at a time.
            if let Some(present) = present {
                libbpf::detach_xdp(
                    ifindex,
                    present.mode.flags().bits(),
                    present.found.fd.as_fd(),
                )?;
            }
            let flags = mode.map_or(XdpFlags::NONE, Mode::flags) | XdpFlags::UPDATE_IF_NOEXIST;
            Xdp::new(program.as_fd())
                .attach(ifindex, flags)
                .map_err(libbpf::into_io)
        }
    };
    libbpf::listen(attach).map_err(|(source, detail)| Error::Kernel {
        action: "cannot attach to XDP",
        source,
        detail,
    })
}

/// Takes our program from a device: that of the state with the id `state`, or of whatever state.
///
/// # Errors
///
/// [`Error::NotAttached`] when the device has none, or another's.
pub fn detach(device: &str, state: Option<u32>) -> Result<()> {
    let ifindex = device::index(device)?;
    let present = present(ifindex)?.filter(|present| {
        let target = present.found.target;
        target.is_some_and(|target| state.is_none_or(|state| state == target.state))
    });
    let present = present.ok_or(Error::NotAttached)?;
    let flags = (present.mode.flags() | XdpFlags::REPLACE).bits();
    let detach = || libbpf::detach_xdp(ifindex, flags, present.found.fd.as_fd());
    libbpf::listen(detach).map_err(|(source, detail)| Error::Kernel {
        action: "cannot detach from XDP",
        source,
        detail,
    })
}

/// Every device that a state is attached to.
pub fn list() -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for (ifindex, device) in device::all()? {
        let present = match present(ifindex) {
            // It went meanwhile.
            Err(Error::NoDevice) => continue,
            present => present?,
        };
        let Some(present) = present else { continue };
        if let Some(target) = present.found.target {
            attachments.push(Attachment {
                device,
                ifindex,
                mode: present.mode,
                program: present.id,
                target,
            });
        }
    }
    Ok(attachments)
}

/// The program that a device has.
struct Present {
    id: u32,
    mode: Mode,
    found: Found,
}

fn present(ifindex: i32) -> Result<Option<Present>> {
    let (native, generic) =
        libbpf::query_xdp(ifindex).map_err(|source| match source.raw_os_error() {
            Some(nix::libc::ENODEV | nix::libc::ENXIO) => Error::NoDevice,
            _ => Error::kernel("cannot read the device's XDP programs", source),
        })?;
    let (id, mode) = match (native, generic) {
        (0, 0) => return Ok(None),
        (0, id) => (id, Mode::Generic),
        (id, _) => (id, Mode::Native),
    };
    let found = program::find(id, Kind::Xdp)?;
    Ok(found.map(|found| Present { id, mode, found }))
}
