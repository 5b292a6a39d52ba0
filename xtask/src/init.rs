// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's init: xtask itself, copied into the VM, where it mounts what a program expects, loads the
//! module and runs what comes over the port.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::frame::{Frame, LOG_MARK, MAX_DATA, PORT};

/// The path that the kernel starts us by.
pub(crate) const INIT: &str = "/init";
/// The variable of our environment, from the kernel's command line, that names the port where it is a serial line.
pub(crate) const SERIAL_LINE: &str = "LUNATIK_SERIAL_LINE";

const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
];

/// Runs as the guest's first process; the VM ends when this returns.
pub(crate) fn run() -> ! {
    if let Err(error) = serve() {
        // There may be no port yet: the kernel's console is the one way out that is always there.
        eprintln!("lunatik-vm: {error:#}");
    }
    let error = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    panic!("cannot power off: {error:?}");
}

fn serve() -> Result<()> {
    for &(kind, target) in MOUNTS {
        fs::create_dir_all(target)?;
        mount(kind, target, kind, MountFlags::empty(), None)
            .with_context(|| format!("cannot mount {target}"))?;
    }
    let mut port = Port::open()?;
    if let Err(error) = prepare() {
        Frame::Failed(format!("{error:#}")).write(&mut port)?;
        // Powering off at once could lose the message.
        return port.wait_for_hangup();
    }
    let (ended, child_ended) = UnixStream::pair()?;
    ended.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, child_ended)?;
    Frame::Ready.write(&mut port)?;
    Session {
        port,
        received: Vec::new(),
        ended,
        log: OpenOptions::new().write(true).open("/dev/kmsg")?,
    }
    .serve()
}

/// The port of the frames; the host is told of what was read from it.
struct Port(File);

impl Port {
    fn open() -> Result<Self> {
        let file = match env::var_os(SERIAL_LINE) {
            Some(device) => open_serial_line(Path::new(&device)),
            None => open_virtio_port(),
        };
        Ok(Self(file?))
    }

    fn wait_for_hangup(&mut self) -> Result<()> {
        while self.read(&mut [0; 64])? > 0 {}
        Ok(())
    }
}

impl Read for Port {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(bytes)?;
        let taken = u32::try_from(count).map_err(io::Error::other)?;
        Frame::Taken(taken).write(&mut self.0)?;
        Ok(count)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a line that then carries every byte as it is.
fn open_serial_line(device: &Path) -> Result<File> {
    let line = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(device)
        .with_context(|| format!("cannot open {}", device.display()))?;
    let mut raw = tcgetattr(&line)?;
    raw.make_raw();
    tcsetattr(&line, OptionalActions::Now, &raw)?;
    Ok(line)
}

fn open_virtio_port() -> Result<File> {
    let ports = PathBuf::from("/sys/class/virtio-ports");
    if !ports.exists() {
        // 6.1 has these as modules.
        call("modprobe", &["-a", "virtio_pci", "virtio_console"])?;
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        for entry in fs::read_dir(&ports)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let device = PathBuf::from("/dev").join(entry.file_name());
            if fs::read_to_string(entry.path().join("name"))
                .is_ok_and(|name| name.trim_end() == PORT)
                && device.exists()
            {
                return Ok(OpenOptions::new().read(true).write(true).open(device)?);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("no virtio port named {PORT}");
}

/// What needs the port to tell of a failure.
fn prepare() -> Result<()> {
    rustix::system::sethostname(b"lunatik")?;
    call("ip", &["link", "set", "lo", "up"])?;
    call("modprobe", &["lunatik"])
}

fn call(program: &str, arguments: &[&str]) -> Result<()> {
    crate::command::output(environment(Command::new(program).args(arguments))).map(drop)
}

struct Session {
    port: Port,
    /// What came over the port and is not yet a whole frame.
    received: Vec<u8>,
    /// Readable when a child has ended.
    ended: UnixStream,
    log: File,
}

/// The command that is running, and our ends of its standard streams.
struct Job {
    pid: Pid,
    input: Option<OwnedFd>,
    /// What the command has not yet read of its input.
    pending: Vec<u8>,
    /// No more input will come: close it once nothing is pending.
    input_ended: bool,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
    terminal: bool,
}

impl Session {
    fn serve(mut self) -> Result<()> {
        while let Some(frame) = Frame::read(&mut self.port, &mut self.received)? {
            let job = match frame {
                Frame::Run(command, input) => Job::command(&command, input),
                Frame::Shell(size) => Job::shell(size),
                // Input that a command left unread.
                Frame::Input(_) | Frame::Resize(_) => continue,
                other => bail!("an unexpected frame: {other:?}"),
            };
            let status = match job {
                Ok(job) => match self.attend(job)? {
                    Some(status) => status,
                    None => return Ok(()),
                },
                Err(error) => {
                    Frame::Error(format!("lunatik-vm: {error:#}\n").into_bytes())
                        .write(&mut self.port)?;
                    126
                }
            };
            writeln!(self.log, "{LOG_MARK}")?;
            Frame::Exit(status).write(&mut self.port)?;
        }
        Ok(())
    }

    /// Carries a command's streams until it ends; gives its status, or nothing if the host hung up.
    fn attend(&mut self, mut job: Job) -> Result<Option<i32>> {
        // The frame that started the command may have come with others.
        self.take_received(&mut job)?;
        loop {
            let mut watched = vec![PollFd::new(&self.ended, PollFlags::IN)];
            // While the command does not read its input, more of it waits in the port.
            let flags = if job.pending.is_empty() {
                PollFlags::IN
            } else {
                PollFlags::empty()
            };
            watched.push(PollFd::new(&self.port, flags));
            let [output, error] = [&job.output, &job.error].map(|stream| {
                stream.as_ref().map(|stream| {
                    watched.push(PollFd::new(stream, PollFlags::IN));
                    watched.len() - 1
                })
            });
            if let Some(input) = job.input.as_ref().filter(|_| !job.pending.is_empty()) {
                watched.push(PollFd::new(input, PollFlags::OUT));
            }
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = watched
                .iter()
                .map(|watched| !watched.revents().is_empty())
                .collect();
            drop(watched);

            if ready[1] && job.pending.is_empty() && !self.receive(&mut job)? {
                return Ok(None);
            }
            job.feed()?;
            if output.is_some_and(|at| ready[at]) {
                relay(&mut job.output, Frame::Output, &mut self.port)?;
            }
            if error.is_some_and(|at| ready[at]) {
                relay(&mut job.error, Frame::Error, &mut self.port)?;
            }
            if ready[0]
                && let Some(status) = self.reap(job.pid)?
            {
                // What the command wrote is in the pipes; processes that it left behind are not waited for,
                // and may be writing for ever.
                let full_pipe = (1 << 20) / MAX_DATA + 1;
                (0..full_pipe).try_for_each(|_| {
                    relay(&mut job.output, Frame::Output, &mut self.port).map(drop)
                })?;
                (0..full_pipe).try_for_each(|_| {
                    relay(&mut job.error, Frame::Error, &mut self.port).map(drop)
                })?;
                return Ok(Some(status));
            }
        }
    }

    /// Takes what came over the port; false if the host hung up.
    fn receive(&mut self, job: &mut Job) -> Result<bool> {
        let mut chunk = vec![0; MAX_DATA];
        let count = self.port.read(&mut chunk)?;
        self.received.extend(&chunk[..count]);
        self.take_received(job)?;
        Ok(count > 0)
    }

    /// Gives the command what has come for it.
    fn take_received(&mut self, job: &mut Job) -> Result<()> {
        while let Some(frame) = Frame::take(&mut self.received)? {
            match frame {
                Frame::Input(data) if data.is_empty() => job.input_ended = true,
                Frame::Input(data) => job.pending.extend(data),
                Frame::Resize(size) => job.resize(size)?,
                other => bail!("an unexpected frame: {other:?}"),
            }
        }
        job.feed()
    }

    /// Buries the children that ended; gives the status of `wanted` if it is among them.
    fn reap(&mut self, wanted: Pid) -> Result<Option<i32>> {
        let mut bytes = [0; 64];
        while self
            .ended
            .read(&mut bytes)
            .is_ok_and(|count| count == bytes.len())
        {}
        let mut found = None;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == wanted => {
                    found = status
                        .exit_status()
                        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(found),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Job {
    fn command(command: &str, input: bool) -> Result<Self> {
        let mut child = environment(Command::new("sh").arg("-c").arg(command))
            .stdin(if input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let job = Self {
            pid: Pid::from_child(&child),
            input: child.stdin.take().map(OwnedFd::from),
            pending: Vec::new(),
            input_ended: false,
            output: child.stdout.take().map(OwnedFd::from),
            error: child.stderr.take().map(OwnedFd::from),
            terminal: false,
        };
        for stream in [&job.input, &job.output, &job.error].into_iter().flatten() {
            ioctl_fionbio(stream, true)?;
        }
        Ok(job)
    }

    fn shell(size: Winsize) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, size)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        let child =
            environment(Command::new("setsid").args(["--ctty", "--wait", "bash", "--login"]))
                .stdin(slave.try_clone()?)
                .stdout(slave.try_clone()?)
                .stderr(slave)
                .spawn()?;
        ioctl_fionbio(&master, true)?;
        Ok(Self {
            pid: Pid::from_child(&child),
            input: Some(master.try_clone()?),
            pending: Vec::new(),
            input_ended: false,
            output: Some(master),
            error: None,
            terminal: true,
        })
    }

    /// Gives the command as much of its pending input as it takes.
    fn feed(&mut self) -> Result<()> {
        while let Some(input) = self.input.as_ref().filter(|_| !self.pending.is_empty()) {
            match rustix::io::write(input, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::PIPE | Errno::IO) => self.input = None,
                Err(error) => return Err(error.into()),
            }
        }
        self.pending.clear();
        if self.input_ended {
            self.input = None;
        }
        Ok(())
    }

    fn resize(&self, size: Winsize) -> Result<()> {
        if let Some(master) = self.output.as_ref().filter(|_| self.terminal) {
            tcsetwinsize(master, size)?;
        }
        Ok(())
    }
}

/// What a command finds around it.
fn environment(command: &mut Command) -> &mut Command {
    command
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .envs([
            ("HOME", "/root"),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("SHELL", "/bin/bash"),
            ("LANG", "C.UTF-8"),
        ])
        .env_remove(SERIAL_LINE)
        .current_dir("/root")
}

/// Passes on what can be read of `stream` now; false when there is nothing more for now, or ever.
fn relay(
    stream: &mut Option<OwnedFd>,
    frame: fn(Vec<u8>) -> Frame,
    port: &mut Port,
) -> Result<bool> {
    let Some(source) = stream else {
        return Ok(false);
    };
    let mut data = vec![0; MAX_DATA];
    match rustix::io::read(source.as_fd(), &mut data) {
        // A terminal whose last user is gone reads as EIO.
        Ok(0) | Err(Errno::IO) => {
            *stream = None;
            Ok(false)
        }
        Ok(count) => {
            data.truncate(count);
            frame(data).write(port)?;
            Ok(true)
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
