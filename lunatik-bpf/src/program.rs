// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our eBPF program: loading it, and knowing it again.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use libbpf_rs::ObjectBuilder;
use nix::libc;

use crate::{
    error::{Error, Result},
    libbpf::{self, into_io},
};

/// What a program has been told: which state it hands packets to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Target {
    /// The state's id in the device's network namespace.
    pub state: u32,
    /// An integer for the state's function.
    pub arg: i64,
}

/// Whether the kernel knows the functions by which programs reach the module: it has the module's BTF.
pub fn available() -> bool {
    Path::new("/sys/kernel/btf/lunatik").exists()
}

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Xdp,
    Tc,
}

impl Kind {
    /// The name of the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xdp => "lunatik_xdp",
            Self::Tc => "lunatik_tc",
        }
    }
}

/// The compiled object, placed as the numbers inside it want it.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/lunatik.bpf.o")));

/// The constants of the program, as lunatik.bpf.c has them.
const MAGIC: &[u8; 8] = b"lunatik\0";
const CONSTANTS: usize = 24;

impl Target {
    fn write(self) -> [u8; CONSTANTS] {
        let mut bytes = [0; CONSTANTS];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.arg.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.state.to_ne_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; CONSTANTS] = bytes.try_into().ok()?;
        let (magic, rest) = bytes.split_first_chunk()?;
        let (arg, rest) = rest.split_first_chunk()?;
        (magic == MAGIC).then_some(Self {
            arg: i64::from_ne_bytes(*arg),
            state: u32::from_ne_bytes(*rest.first_chunk()?),
        })
    }
}

/// Loads the program, which stays in the kernel as long as this or where it was attached.
pub(crate) fn load(kind: Kind, target: Target) -> Result<OwnedFd> {
    const ACTION: &str = "cannot load the eBPF program";
    if !available() {
        return Err(Error::NoBtf);
    }
    let load = || -> io::Result<OwnedFd> {
        let mut builder = ObjectBuilder::default();
        let mut object = builder.open_memory(&OBJECT.0).map_err(into_io)?;
        for mut program in object.progs_mut() {
            let wanted = program.name() == kind.name();
            program.set_autoload(wanted);
        }
        let mut constants = object
            .maps_mut()
            .find(|map| map.name().to_string_lossy().ends_with(".rodata"))
            .ok_or_else(|| io::Error::other("the program has no constants"))?;
        constants
            .set_initial_value(&target.write())
            .map_err(into_io)?;
        let object = object.load().map_err(into_io)?;
        let program = object.progs().find(|program| program.name() == kind.name());
        let program = program.ok_or_else(|| io::Error::other("the object has no such program"))?;
        program.as_fd().try_clone_to_owned()
    };
    libbpf::listen(load).map_err(|(source, detail)| match source.raw_os_error() {
        // The verifier's, for a call of a function when programs are not compiled.
        Some(ENOTSUPP) => Error::NoJit,
        _ => Error::Kernel {
            action: ACTION,
            source,
            detail,
        },
    })
}

/// Linux's, which libc does not have.
const ENOTSUPP: i32 = 524;

/// A program that is attached somewhere.
pub(crate) struct Found {
    pub(crate) fd: OwnedFd,
    pub(crate) name: String,
    /// What it was told, if it is ours.
    pub(crate) target: Option<Target>,
}

/// Looks at the program `id`; nothing if it is gone by now.
pub(crate) fn find(id: u32, kind: Kind) -> Result<Option<Found>> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
    let look = || {
        let fd = libbpf::program(id)?;
        let info = libbpf::info(fd.as_fd())?;
        let mut target = None;
        if let ([map], true) = (&info.maps[..], info.name == kind.name()) {
            target = libbpf::only_value(*map)?.and_then(|bytes| Target::read(&bytes));
        }
        Ok(Found {
            fd,
            name: info.name,
            target,
        })
    };
    match look() {
        Ok(found) => Ok(Some(found)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(Error::kernel("cannot look at the attached program", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_as_they_were_written() {
        let target = Target {
            state: 7,
            arg: i64::MIN,
        };
        let bytes = target.write();
        assert_eq!(Target::read(&bytes), Some(target));
        assert_eq!(Target::read(&bytes[1..]), None);
        let mut other = bytes;
        other[0] = b'L';
        assert_eq!(Target::read(&other), None);
    }
}
