// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU, for stock kernels.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::frame::PORT;
use crate::machine::{Machine, Pace, Ports, Process, kernel_parameters};

/// A plain CPU boots faster than `max` (3.5 s for 4.5 s), and with SMEP and SMAP a kernel that touches a
/// user's memory in passing is still caught.
const CPU: &str =
    "qemu64,+smep,+smap,+umip,+fsgsbase,+rdrand,+rdseed,+ssse3,+sse4.1,+sse4.2,+popcnt";

/// How much the port of the frames may hold that the guest has not read, which is as much as it likes.
const PORT_ROOM: usize = 1 << 20;

/// Starts QEMU with its sockets in `folder`.
pub(crate) fn start(machine: &Machine, folder: &Path) -> Result<(Process, Ports)> {
    let frames = folder.join("frames");
    let log = folder.join("log");
    let complaints = folder.join("stderr");
    let listeners = [UnixListener::bind(&frames)?, UnixListener::bind(&log)?];
    let mut command = Process::command("qemu-system-x86_64");
    command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    let (accelerator, cpu) = match machine.pace {
        // Where /dev/kvm exists it need not work, and a VM that runs everywhere is worth more than a fast one.
        Pace::Emulated => ("tcg,thread=multi", CPU),
        Pace::Counted => {
            // Time that the guest sleeps passes at once.
            command.args(["-icount", "shift=0,sleep=off"]);
            ("tcg,thread=single", CPU)
        }
        Pace::Hardware => ("kvm", "host"),
    };
    let socket = |id, path: &Path| format!("socket,id={id},path={}", escape(path));
    for (option, value) in [
        ("-display", "none"),
        ("-machine", "pc"),
        ("-accel", accelerator),
        ("-cpu", cpu),
        ("-smp", &machine.smp.to_string()),
        ("-m", &format!("{}M", machine.memory)),
        ("-kernel", &machine.image.to_string_lossy()),
        ("-initrd", &machine.initramfs.to_string_lossy()),
        ("-append", &kernel_command_line()),
        ("-chardev", &socket("log", &log)),
        ("-serial", "chardev:log"),
        ("-chardev", &socket("frames", &frames)),
        ("-device", "virtio-serial-pci"),
        (
            "-device",
            &format!("virtserialport,chardev=frames,name={PORT}"),
        ),
    ] {
        command.args([option, value]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&complaints)?);
    let mut process = Process::spawn(&mut command)?;
    let [frames, log] = listeners.map(|listener| accept(&listener, &mut process, &complaints));
    let ports = Ports {
        frames: frames?,
        room: PORT_ROOM,
        log: File::from(OwnedFd::from(log?)),
    };
    Ok((process, ports))
}

fn accept(listener: &UnixListener, process: &mut Process, complaints: &Path) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = process.ended()? {
            bail!("QEMU did not start: {status}\n{}", said(complaints));
        }
        thread::sleep(Duration::from_millis(2));
    }
    bail!("QEMU did not start within 30 s\n{}", said(complaints))
}

/// What QEMU printed, without what it always prints.
fn said(complaints: &Path) -> String {
    let text = fs::read(complaints).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines()
        .filter(|line| !line.contains("TCG doesn't support requested feature"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn kernel_command_line() -> String {
    let mut options = kernel_parameters();
    options.extend(
        [
            "console=ttyS0",
            "oops=panic",
            // Whether the timer interrupts is judged by the clock: on a busy machine it seems not to.
            "no_timer_check",
            // The self-tests of cryptography are a quarter of the boot.
            "cryptomgr.notests",
        ]
        .map(str::to_owned),
    );
    options.join(" ")
}

/// A path inside a QEMU option, where a comma separates.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
