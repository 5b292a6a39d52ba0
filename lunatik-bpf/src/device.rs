// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network devices of the calling thread's namespace.

use std::io;

use nix::{
    errno::Errno,
    net::if_::{if_nameindex, if_nametoindex},
};

use crate::error::{Error, Result};

/// The index of the device called `name`.
pub(crate) fn index(name: &str) -> Result<i32> {
    let index = if_nametoindex(name).map_err(|errno| match errno {
        // A name that is too long, or holds a NUL, is no device's.
        Errno::ENODEV | Errno::ENXIO | Errno::EINVAL => Error::NoDevice,
        errno => failed(errno),
    })?;
    i32::try_from(index).map_err(|_| Error::NoDevice)
}

/// All devices: their indexes and names, by index.
pub(crate) fn all() -> Result<Vec<(i32, String)>> {
    let interfaces = if_nameindex().map_err(failed)?;
    let mut devices: Vec<_> = interfaces
        .iter()
        .filter_map(|interface| {
            let name = interface.name().to_string_lossy().into_owned();
            Some((i32::try_from(interface.index()).ok()?, name))
        })
        .collect();
    devices.sort();
    Ok(devices)
}

fn failed(errno: Errno) -> Error {
    Error::kernel("cannot list the devices", io::Error::from(errno))
}
