// SPDX-License-Identifier: MIT OR Apache-2.0
//! libbpf, where libbpf-rs leaves it as it is.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::Mutex,
};

use libbpf_rs::{MapCore, MapFlags, MapHandle, PrintLevel, Program, libbpf_sys, set_print};

/// What the kernel tells of a program.
pub(crate) struct Info {
    pub(crate) name: String,
    /// The ids of the first maps that it uses.
    pub(crate) maps: Vec<u32>,
}

/// More maps than this no program of ours has.
const MAPS: u32 = 4;

pub(crate) fn program(id: u32) -> io::Result<OwnedFd> {
    Program::fd_from_id(id).map_err(into_io)
}

pub(crate) fn info(program: BorrowedFd<'_>) -> io::Result<Info> {
    let mut maps = [0_u32; MAPS as usize];
    let mut info = libbpf_sys::bpf_prog_info {
        nr_map_ids: MAPS,
        map_ids: ptr::from_mut(&mut maps) as u64,
        ..Default::default()
    };
    let mut size = u32::try_from(size_of_val(&info)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes to `info` and at most `nr_map_ids` ids to `map_ids`, and both
    // outlive the call.
    check(unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut size)
    })?;
    let name = info.name.iter().take_while(|&&byte| byte != 0);
    let name: Vec<u8> = name.map(|&byte| byte.cast_unsigned()).collect();
    let count = info.nr_map_ids.min(MAPS) as usize;
    Ok(Info {
        name: String::from_utf8_lossy(&name).into_owned(),
        maps: maps[..count].to_vec(),
    })
}

/// The value of a map of one element, such as the constants of a program are in.
pub(crate) fn only_value(map: u32) -> io::Result<Option<Vec<u8>>> {
    let map = MapHandle::from_map_id(map).map_err(into_io)?;
    if map.max_entries() != 1 || map.key_size() != 4 {
        return Ok(None);
    }
    map.lookup(&[0; 4], MapFlags::ANY).map_err(into_io)
}

/// Takes the XDP program `old` from a device, and no other.
pub(crate) fn detach_xdp(ifindex: i32, flags: u32, old: BorrowedFd<'_>) -> io::Result<()> {
    let options = libbpf_sys::bpf_xdp_attach_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_attach_opts>() as libbpf_sys::size_t,
        old_prog_fd: old.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: the options outlive the call, which only reads them.
    check(unsafe { libbpf_sys::bpf_xdp_detach(ifindex, flags, &raw const options) })
}

/// Puts `new` in the place of the XDP program `old`.
pub(crate) fn replace_xdp(
    ifindex: i32,
    flags: u32,
    old: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
) -> io::Result<()> {
    let options = libbpf_sys::bpf_xdp_attach_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_attach_opts>() as libbpf_sys::size_t,
        old_prog_fd: old.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: as above.
    check(unsafe {
        libbpf_sys::bpf_xdp_attach(ifindex, new.as_raw_fd(), flags, &raw const options)
    })
}

/// The XDP programs of a device: in native mode, in generic mode; 0 is none.
pub(crate) fn query_xdp(ifindex: i32) -> io::Result<(u32, u32)> {
    let mut options = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: libbpf writes no more than `sz` bytes to the options, which outlive the call.
    check(unsafe { libbpf_sys::bpf_xdp_query(ifindex, 0, &raw mut options) })?;
    Ok((options.drv_prog_id, options.skb_prog_id))
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(())
}

/// The error of a system call, without libbpf-rs's words around it. Its error tells the errno as text only, in the
/// way of the standard library.
#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
pub(crate) fn into_io(error: libbpf_rs::Error) -> io::Error {
    let text = format!("{error:#}");
    let errno = text
        .rsplit_once("(os error ")
        .and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
    errno.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error)
}

/// What libbpf printed.
static SAID: Mutex<String> = Mutex::new(String::new());

#[expect(clippy::needless_pass_by_value, reason = "libbpf-rs wants it so")]
fn hear(_level: PrintLevel, text: String) {
    if let Ok(mut said) = SAID.lock() {
        said.push_str(&text);
    }
}

/// Calls libbpf, and gives what the kernel had to say when that failed.
pub(crate) fn listen<T>(
    call: impl FnOnce() -> io::Result<T>,
) -> Result<T, (io::Error, Option<String>)> {
    const MARK: &str = "Kernel error message: ";
    // libbpf has one place for this in the process.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let before = set_print(Some((PrintLevel::Warn, hear)));
    let result = call();
    set_print(before);
    let said = SAID.lock().map(|mut said| std::mem::take(&mut *said));
    result.map_err(|error| {
        let said = said.unwrap_or_default();
        let detail = said
            .lines()
            .find_map(|line| Some(line.split_once(MARK)?.1.trim().to_owned()));
        (error, detail.filter(|detail| !detail.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use libbpf_rs::ErrorExt as _;

    use super::*;

    #[test]
    fn errno_of_an_error() {
        let error = libbpf_rs::Error::from_raw_os_error(524);
        assert_eq!(into_io(error).raw_os_error(), Some(524));
        let error: Result<(), _> = Err(libbpf_rs::Error::from_raw_os_error(1));
        let error = error.context("failed to load").expect_err("it is one");
        assert_eq!(into_io(error).raw_os_error(), Some(1));
        let error = libbpf_rs::Error::from(io::Error::other("strange"));
        assert_eq!(into_io(error).to_string(), "strange");
    }
}
