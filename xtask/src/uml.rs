// SPDX-License-Identifier: MIT OR Apache-2.0
//! User-mode Linux: the debug kernel is a program of this machine.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::pipe::fcntl_setpipe_size;

use crate::init::SERIAL_LINE;
use crate::machine::{Machine, Pace, Ports, Process, kernel_parameters};

/// How much of its log the kernel can write while we are busy; more would be lost, for it does not wait.
const LOG_ROOM: usize = 1 << 20;
/// How much the line of the frames takes: where 3968 bytes wait to be read (`drivers/tty/n_tty.c`), it is
/// deactivated, and then nothing activates it again (`arch/um/drivers/line.c`).
const LINE_ROOM: usize = 2048;

/// Starts the kernel, which keeps what it needs while it boots in `folder`.
pub(crate) fn start(machine: &Machine, folder: &Path) -> Result<(Process, Ports)> {
    ensure!(
        machine.pace == Pace::Emulated,
        "the debug kernel goes by the clock of this machine"
    );
    let (frames, line) = UnixStream::pair()?;
    let line = OwnedFd::from(line);
    let (log, console) = io::pipe()?;
    fcntl_setpipe_size(&console, LOG_ROOM)?;
    let mut command = Process::command(machine.image);
    command
        .arg(format!("mem={}M", machine.memory))
        .arg(format!("initrd={}", machine.initramfs.display()))
        .arg(format!("uml_dir={}", folder.join("uml").display()))
        // Every report counts, not the first only.
        .arg("kasan_multi_shot")
        // The console reads nothing: a pipe's writing end never has anything.
        .args(["console=tty0", "con=null", "con0=fd:2"])
        .args(["ssl=null", "ssl0=fd:0,fd:1"])
        .arg(format!("{SERIAL_LINE}=/dev/ttyS0"))
        .args(kernel_parameters());
    // The guest's memory is a file there.
    command.env("TMPDIR", memory_folder(machine.memory, folder));
    command
        .stdin(line.try_clone()?)
        .stdout(line)
        .stderr(console);
    let process = Process::spawn(&mut command)?;
    let log = File::from(OwnedFd::from(log));
    let ports = Ports {
        frames,
        room: LINE_ROOM,
        log,
    };
    Ok((process, ports))
}

/// A folder for a file of `memory` MiB: in memory where it can be, else `otherwise`, on a disk.
fn memory_folder(memory: u32, otherwise: &Path) -> PathBuf {
    let fits = |folder: &Path| {
        statvfs(folder).is_ok_and(|stat| {
            // The kernel runs from there.
            !stat.f_flag.contains(StatVfsMountFlags::NOEXEC)
                && stat.f_bavail * stat.f_frsize >= u64::from(memory) << 20
        }) && access(folder, Access::WRITE_OK).is_ok()
    };
    let mut folders = ["/dev/shm", "/tmp"].map(Path::new).into_iter();
    folders
        .find(|folder| fits(folder))
        .unwrap_or(otherwise)
        .to_owned()
}
