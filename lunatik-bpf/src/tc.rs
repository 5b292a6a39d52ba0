// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where packets enter and leave a device as socket buffers: TC, as filters of the device's clsact qdisc, which
//! every supported kernel has. There may be several; they run in the order of their priorities until one has a
//! verdict.

use std::os::fd::AsFd as _;

use libbpf_rs::{TC_EGRESS, TC_INGRESS, TcAttachPoint, TcHook};

use crate::{
    device,
    error::{Error, Result},
    filters::{self, Filter},
    libbpf,
    program::{self, Found, Kind, Target},
};

/// Which packets of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Direction {
    /// Those that come in.
    Ingress,
    /// Those that go out.
    Egress,
}

impl Direction {
    const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    fn point(self) -> TcAttachPoint {
        match self {
            Self::Ingress => TC_INGRESS,
            Self::Egress => TC_EGRESS,
        }
    }
}

/// A filter of a device that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Attachment {
    /// The device's name.
    pub device: String,
    /// The device's index.
    pub ifindex: i32,
    /// Which packets.
    pub direction: Direction,
    /// The filter's priority; the least is first.
    pub priority: u16,
    /// The filter's handle, which tells it from others of that priority.
    pub handle: u32,
    /// The program's id.
    pub program: u32,
    /// What the program has been told.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub target: Target,
}

/// Attaches a state to a device, with a priority of the kernel's choice, which is before those that are there,
/// unless one is given. The device gets a clsact qdisc if it has none, which stays.
///
/// # Errors
///
/// [`Error::Attached`] when the state is attached in that direction already.
pub fn attach(
    device: &str,
    direction: Direction,
    priority: Option<u16>,
    target: Target,
) -> Result<()> {
    let ifindex = device::index(device)?;
    if ours(ifindex, direction)?
        .iter()
        .any(|(_, _, other)| other.state == target.state)
    {
        return Err(Error::Attached);
    }
    let program = program::load(Kind::Tc, target)?;
    let mut hook = TcHook::new(program.as_fd());
    hook.ifindex(ifindex)
        .attach_point(direction.point())
        .priority(priority.map_or(0, u32::from));
    let attach = || {
        hook.create().map_err(libbpf::into_io)?;
        hook.attach().map_err(libbpf::into_io)
    };
    libbpf::listen(attach)
        .map(drop)
        .map_err(|(source, detail)| Error::Kernel {
            action: "cannot attach to TC",
            source,
            detail,
        })
}

/// Takes filters of ours from a device, those of one direction or both: of the state with the id `state`, or of
/// whatever states.
///
/// # Errors
///
/// [`Error::NotAttached`] when there is none.
pub fn detach(device: &str, direction: Option<Direction>, state: Option<u32>) -> Result<()> {
    let ifindex = device::index(device)?;
    let mut detached = false;
    for direction in direction.map_or(Direction::ALL.to_vec(), |one| vec![one]) {
        for (filter, found, target) in ours(ifindex, direction)? {
            if state.is_some_and(|state| state != target.state) {
                continue;
            }
            let mut hook = TcHook::new(found.fd.as_fd());
            hook.ifindex(ifindex)
                .attach_point(direction.point())
                .priority(filter.priority.into())
                .handle(filter.handle);
            let detach = || hook.detach().map_err(libbpf::into_io);
            libbpf::listen(detach).map_err(|(source, detail)| Error::Kernel {
                action: "cannot detach from TC",
                source,
                detail,
            })?;
            detached = true;
        }
    }
    if detached {
        Ok(())
    } else {
        Err(Error::NotAttached)
    }
}

/// Every filter of ours.
pub fn list() -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for (ifindex, device) in device::all()? {
        for direction in Direction::ALL {
            for (filter, _, target) in ours(ifindex, direction)? {
                attachments.push(Attachment {
                    device: device.clone(),
                    ifindex,
                    direction,
                    priority: filter.priority,
                    handle: filter.handle,
                    program: filter.program,
                    target,
                });
            }
        }
    }
    Ok(attachments)
}

/// Our filters of a device, in the order in which they run.
fn ours(ifindex: i32, direction: Direction) -> Result<Vec<(Filter, Found, Target)>> {
    let mut ours = Vec::new();
    let mut filters = filters::of(ifindex, direction)?;
    filters.sort_by_key(|filter| filter.priority);
    for filter in filters {
        // libbpf calls a filter as its program.
        if !filter.name.starts_with(Kind::Tc.name()) {
            continue;
        }
        if let Some(found) = program::find(filter.program, Kind::Tc)?
            && let Some(target) = found.target
        {
            ours.push((filter, found, target));
        }
    }
    Ok(ours)
}
