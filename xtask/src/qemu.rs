// SPDX-License-Identifier: MIT OR Apache-2.0
//! The QEMU process.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::frame::PORT;
use crate::host;
use crate::init::INIT;

/// A plain CPU boots faster than `max` (3.5 s for 4.5 s), and with SMEP and SMAP a kernel that touches a
/// user's memory in passing is still caught.
const CPU: &str =
    "qemu64,+smep,+smap,+umip,+fsgsbase,+rdrand,+rdseed,+ssse3,+sse4.1,+sse4.2,+popcnt";

/// What to boot.
pub(crate) struct Machine<'a> {
    pub(crate) image: &'a Path,
    pub(crate) initramfs: &'a Path,
    pub(crate) smp: u32,
    /// In MiB.
    pub(crate) memory: u32,
    /// Whether the guest's clock counts its instructions, one a nanosecond, with one CPU.
    pub(crate) count_instructions: bool,
}

/// A running QEMU, killed when this is dropped, and also when we die.
pub(crate) struct Qemu {
    child: Child,
    complaints: PathBuf,
}

/// The host's ends of the guest's ports.
pub(crate) struct Ports {
    pub(crate) frames: UnixStream,
    pub(crate) log: UnixStream,
}

impl Qemu {
    /// Starts QEMU with its sockets in `folder`. To be called on the main thread: QEMU dies with its caller.
    pub(crate) fn start(machine: &Machine, folder: &Path) -> Result<(Self, Ports)> {
        let frames = folder.join("frames");
        let log = folder.join("log");
        let complaints = folder.join("stderr");
        let listeners = [UnixListener::bind(&frames)?, UnixListener::bind(&log)?];
        let mut command = host::tool("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
        let accelerator = if machine.count_instructions {
            // Time that the guest sleeps passes at once.
            command.args(["-icount", "shift=0,sleep=off"]);
            "tcg,thread=single"
        } else {
            "tcg,thread=multi"
        };
        let socket = |id, path: &Path| format!("socket,id={id},path={}", escape(path));
        for (option, value) in [
            ("-display", "none"),
            ("-machine", "pc"),
            // Where /dev/kvm exists it need not work, and a VM that runs everywhere is worth more than a fast one.
            ("-accel", accelerator),
            ("-cpu", CPU),
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
        // Its own process group: Ctrl-C is for us to handle.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&complaints)?);
        let child = command.spawn().context("cannot run QEMU")?;
        let mut qemu = Self { child, complaints };
        let [frames, log] = listeners.map(|listener| qemu.accept(&listener));
        Ok((
            qemu,
            Ports {
                frames: frames?,
                log: log?,
            },
        ))
    }

    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream> {
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
            if let Some(status) = self.child.try_wait()? {
                bail!("QEMU did not start: {status}\n{}", self.complaints());
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!("QEMU did not start within 30 s\n{}", self.complaints())
    }

    /// What QEMU printed, without what it always prints.
    fn complaints(&self) -> String {
        let text = fs::read(&self.complaints).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines()
            .filter(|line| !line.contains("TCG doesn't support requested feature"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kernel_command_line() -> String {
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned());
    let options = [
        "console=ttyS0",
        // The log is read up to a mark that init writes, so nothing may be held back.
        "ignore_loglevel",
        "printk.devkmsg=on",
        // The guest ends where it cannot go on.
        "oops=panic",
        "panic=-1",
        // The self-tests of cryptography are a quarter of the boot.
        "cryptomgr.notests",
    ];
    format!("{} rdinit={INIT} TERM={terminal}", options.join(" "))
}

/// A path inside a QEMU option, where a comma separates.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
