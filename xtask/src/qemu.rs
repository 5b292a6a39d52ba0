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

/// What to boot.
pub(crate) struct Machine<'a> {
    pub(crate) image: &'a Path,
    pub(crate) initramfs: &'a Path,
    pub(crate) smp: u32,
    /// In MiB.
    pub(crate) memory: u32,
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
        command.args([
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
        ]);
        // Where /dev/kvm exists it need not work, and a VM that runs everywhere is worth more than a fast one.
        command.args([
            "-machine",
            "pc",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-display",
            "none",
        ]);
        command.args([
            "-smp",
            &machine.smp.to_string(),
            "-m",
            &format!("{}M", machine.memory),
        ]);
        command
            .arg("-kernel")
            .arg(machine.image)
            .arg("-initrd")
            .arg(machine.initramfs);
        command.args(["-append", &kernel_command_line()]);
        command
            .arg("-chardev")
            .arg(format!("socket,id=log,path={}", escape(&log)));
        command.args(["-serial", "chardev:log", "-device", "virtio-serial-pci"]);
        command
            .arg("-chardev")
            .arg(format!("socket,id=frames,path={}", escape(&frames)));
        command.args([
            "-device",
            &format!("virtserialport,chardev=frames,name={PORT}"),
        ]);
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
    // The log is read up to a mark that init writes, so nothing may be held back: ignore_loglevel, devkmsg.
    format!(
        "console=ttyS0 ignore_loglevel printk.devkmsg=on panic=-1 oops=panic rdinit={INIT} TERM={terminal}"
    )
}

/// A path inside a QEMU option, where a comma separates.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
