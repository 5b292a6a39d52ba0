// SPDX-License-Identifier: MIT OR Apache-2.0
//! A booted VM, and commands that run there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::dmesg::{self, Severity};
use crate::frame::{Frame, LOG_MARK, MAX_DATA};
use crate::machine::{Ports, Process};

/// How long the guest may take to boot, which on an idle machine is a few seconds.
const BOOT: Duration = Duration::from_mins(3);
/// How long a kernel that reported something fatal may go on reporting.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the log may take to come to the end of a command.
const LOG_LAG: Duration = Duration::from_secs(10);
/// How long the search for leaks may take.
const LEAKS: Duration = Duration::from_mins(2);
/// Two scans, for what changes from one to the other is in use, 5 s after which an object is old enough
/// (mm/kmemleak.c); the kernel's log gets what they found.
const FIND_LEAKS: &str = "cd /sys/kernel/debug && echo scan >kmemleak && sleep 5.1 && echo scan >kmemleak \
    && cat kmemleak | while read -r line; do echo \"$line\" >/dev/kmsg; done";
/// Most lines of the kernel's log that an error shows.
const EXCERPT: usize = 60;
/// How the name of a log starts that a run failed for.
pub(crate) const FAILED_LOG: &str = "failed-";
/// The status of a run that a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;
/// Ctrl-]: ends an interactive VM, whatever its state.
const ESCAPE: u8 = 0x1d;

/// Why a VM ended before its time, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the guest did not start: {0}")]
    NotStarted(String),
    #[error("no end within {} s: the VM was killed", .0.as_secs())]
    TimedOut(Duration),
    #[error("the guest's kernel failed:\n{0}")]
    Crashed(String),
    #[error("the guest's kernel complained:\n{0}")]
    Complained(String),
    #[error("the VM ended before the command; the end of its log:\n{0}")]
    Gone(String),
    #[error("the kernel's log did not come to the end of the command: it cannot be judged")]
    LogLost,
    #[error("interrupted")]
    Interrupted,
}

/// A running VM; it ends when this is dropped.
pub(crate) struct Guest {
    _process: Process,
    port: Arc<Mutex<Port>>,
    events: Receiver<Event>,
    sender: SyncSender<Event>,
    log: Log,
    /// When to give the guest up, after its kernel reported something fatal.
    doomed: Option<Instant>,
}

enum Event {
    Frame(Frame),
    Log(String),
    /// The frames' port is closed: the guest has ended.
    Closed,
    LogClosed,
    Interrupt,
}

/// What came of waiting for an event.
enum Next {
    Frame(Frame),
    /// An event that is dealt with.
    Other,
    /// No event before the deadline.
    Late,
}

/// The port of the frames to the guest, which never holds more than it has room for.
struct Port {
    stream: UnixStream,
    room: usize,
    /// What was sent and, as far as we have been told, not read.
    under_way: usize,
    taken: Receiver<u32>,
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.under_way == self.room {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.under_way -= self.taken.recv().map_err(gone)? as usize;
        }
        let fits = bytes.len().min(self.room - self.under_way);
        let count = self.stream.write(&bytes[..fits])?;
        self.under_way += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Where a command's output goes.
pub(crate) trait Sink {
    fn output(&mut self, data: &[u8]) -> io::Result<()>;
    fn error(&mut self, data: &[u8]) -> io::Result<()>;
}

/// The command's output becomes ours.
pub(crate) struct Pass;

impl Sink for Pass {
    fn output(&mut self, data: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(data)?;
        stdout.flush()
    }

    fn error(&mut self, data: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(data)
    }
}

impl Guest {
    /// Waits until the guest's init is up.
    pub(crate) fn await_ready(process: Process, ports: Ports, log: Log) -> Result<Self> {
        // Bounded: who reads our output slowly slows the guest, not fills our memory.
        let (sender, events) = sync_channel(64);
        let (tell_taken, taken) = channel();
        let port = Port {
            stream: ports.frames.try_clone()?,
            room: ports.room,
            under_way: 0,
            taken,
        };
        watch_frames(ports.frames, sender.clone(), tell_taken);
        watch_log(ports.log, sender.clone());
        watch_interrupts(sender.clone())?;
        let mut guest = Self {
            _process: process,
            port: Arc::new(Mutex::new(port)),
            events,
            sender,
            log,
            doomed: None,
        };
        let reason = match guest.next_frame(Some(Instant::now() + BOOT))? {
            Some(Frame::Ready) => return Ok(guest),
            Some(Frame::Failed(reason)) => reason,
            Some(other) => bail!("an unexpected frame: {other:?}"),
            None => format!("it did not boot within {} s", BOOT.as_secs()),
        };
        Err(Failure::NotStarted(format!(
            "{reason}\nThe end of its log:\n{}",
            guest.log.tail()
        ))
        .into())
    }

    /// Runs `command` under `sh -c` and gives its status.
    pub(crate) fn run(
        &mut self,
        command: &str,
        sink: &mut dyn Sink,
        limit: Option<Duration>,
    ) -> Result<i32> {
        self.send(&Frame::Run(command.to_owned(), false))?;
        self.attend(sink, limit)
    }

    /// As [`Guest::run`], with our standard input, which is then used up.
    pub(crate) fn run_with_input(
        &mut self,
        command: &str,
        sink: &mut dyn Sink,
        limit: Option<Duration>,
    ) -> Result<i32> {
        self.send(&Frame::Run(command.to_owned(), true))?;
        let unwanted = self.forward_input(None);
        let status = self.attend(sink, limit);
        unwanted.store(true, Relaxed);
        status
    }

    /// Gives a shell on our terminal and then its status.
    pub(crate) fn shell(&mut self, limit: Option<Duration>) -> Result<i32> {
        eprintln!("A shell in the guest; exit or Ctrl-D ends the VM, Ctrl-] kills it.");
        self.send(&Frame::Shell(tcgetwinsize(io::stdin())?))?;
        let _raw = Raw::new()?;
        self.forward_input(Some(self.sender.clone()));
        let port = Arc::clone(&self.port);
        let mut signals = Signals::new([SIGWINCH])?;
        thread::spawn(move || {
            for _ in &mut signals {
                if let Ok(size) = tcgetwinsize(io::stdin()) {
                    // A closed port is noticed where it is read.
                    let _ = send(&port, &Frame::Resize(size));
                }
            }
        });
        self.attend(&mut Pass, limit)
    }

    /// Lets a kernel that can tell look for memory that nobody refers to any more: finding some is a complaint of it.
    pub(crate) fn find_leaks(&mut self) -> Result<()> {
        let status = self.run(FIND_LEAKS, &mut Pass, Some(LEAKS))?;
        ensure!(status == 0, "the search for leaks failed: status {status}");
        Ok(())
    }

    /// Carries on until the command ends and the log has been read up to there.
    fn attend(&mut self, sink: &mut dyn Sink, limit: Option<Duration>) -> Result<i32> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let status = loop {
            match self.next_frame(deadline)? {
                Some(Frame::Output(data)) => sink.output(&data)?,
                Some(Frame::Error(data)) => sink.error(&data)?,
                Some(Frame::Exit(status)) => break status,
                Some(other) => bail!("an unexpected frame: {other:?}"),
                None => return Err(Failure::TimedOut(limit.unwrap_or_default()).into()),
            }
        };
        let deadline = Instant::now() + LOG_LAG;
        while !std::mem::take(&mut self.log.marked) {
            if let Next::Late = self.next(Some(deadline))? {
                return Err(Failure::LogLost.into());
            }
        }
        match self.log.take_complaint() {
            Some(complaint) => Err(Failure::Complained(complaint).into()),
            None => Ok(status),
        }
    }

    /// The next frame, or nothing if there is none before the deadline.
    fn next_frame(&mut self, deadline: Option<Instant>) -> Result<Option<Frame>> {
        loop {
            match self.next(deadline)? {
                Next::Frame(frame) => return Ok(Some(frame)),
                Next::Other => {}
                Next::Late => return Ok(None),
            }
        }
    }

    /// Takes the next event.
    fn next(&mut self, deadline: Option<Instant>) -> Result<Next> {
        let end = [deadline, self.doomed].into_iter().flatten().min();
        let event = match end {
            Some(end) => self
                .events
                .recv_timeout(end.saturating_duration_since(Instant::now())),
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::Frame(frame)) => return Ok(Next::Frame(frame)),
            Ok(Event::Log(line)) => {
                if self.log.add(line)? == Some(Severity::Fatal) && self.doomed.is_none() {
                    self.doomed = Some(Instant::now() + LAST_WORDS);
                }
            }
            Ok(Event::Closed) => {
                self.read_rest_of_log()?;
                return Err(self.end().into());
            }
            Ok(Event::LogClosed) => {}
            Ok(Event::Interrupt) => return Err(Failure::Interrupted.into()),
            Err(_) if self.doomed.is_some_and(|end| end <= Instant::now()) => {
                return Err(self.end().into());
            }
            Err(_) => return Ok(Next::Late),
        }
        Ok(Next::Other)
    }

    /// After the frames have ended: the log may still be on its way.
    fn read_rest_of_log(&mut self) -> Result<()> {
        let end = Instant::now() + LAST_WORDS;
        while let Ok(event) = self
            .events
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            match event {
                Event::Log(line) => drop(self.log.add(line)?),
                Event::LogClosed => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// Why a VM that ended by itself did so.
    fn end(&mut self) -> Failure {
        match self.log.take_complaint() {
            Some(excerpt) => Failure::Crashed(excerpt),
            None => Failure::Gone(self.log.tail()),
        }
    }

    fn send(&self, frame: &Frame) -> Result<()> {
        Ok(send(&self.port, frame)?)
    }

    /// Sends our standard input to the guest, until the result is set; `escape` is told when the escape key is in it.
    fn forward_input(&self, escape: Option<SyncSender<Event>>) -> Arc<AtomicBool> {
        let port = Arc::clone(&self.port);
        let unwanted = Arc::new(AtomicBool::new(false));
        let is_unwanted = Arc::clone(&unwanted);
        thread::spawn(move || {
            let mut data = vec![0; MAX_DATA];
            loop {
                // Input that cannot be read is taken for its end.
                let count = io::stdin().lock().read(&mut data).unwrap_or(0);
                if let Some(escape) = escape.as_ref().filter(|_| data[..count].contains(&ESCAPE)) {
                    let _ = escape.send(Event::Interrupt);
                }
                if is_unwanted.load(Relaxed)
                    || send(&port, &Frame::Input(data[..count].to_vec())).is_err()
                    || count == 0
                {
                    return;
                }
            }
        });
        unwanted
    }
}

fn send(port: &Mutex<Port>, frame: &Frame) -> io::Result<()> {
    frame.write(&mut *port.lock().unwrap_or_else(PoisonError::into_inner))
}

fn watch_frames(mut port: UnixStream, sender: SyncSender<Event>, taken: Sender<u32>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        while let Ok(Some(frame)) = Frame::read(&mut port, &mut bytes) {
            let told = match frame {
                Frame::Taken(count) => taken.send(count).is_ok(),
                other => sender.send(Event::Frame(other)).is_ok(),
            };
            if !told {
                return;
            }
        }
        let _ = sender.send(Event::Closed);
    });
}

fn watch_log(port: File, sender: SyncSender<Event>) {
    // Not bounded: a kernel that does not wait for its log to be read must not lose any of it because we
    // are busy, and all of it is kept anyway.
    let (read, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(port).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if read.send(line).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for line in lines {
            if sender.send(Event::Log(line)).is_err() {
                return;
            }
        }
        let _ = sender.send(Event::LogClosed);
    });
}

/// The first signal ends the VM in order, the second at once.
fn watch_interrupts(sender: SyncSender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        let mut signals = signals.forever();
        signals.next();
        thread::spawn(move || {
            // That VM may have ended long ago, and we be doing something else.
            if sender.send(Event::Interrupt).is_err() {
                std::process::exit(INTERRUPTED.into());
            }
        });
        signals.next();
        // The VM dies with us.
        std::process::exit(INTERRUPTED.into());
    });
    Ok(())
}

/// The terminal in raw mode, as it was again when this is dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self> {
        let original = tcgetattr(io::stdin())?;
        let mut raw = original.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(original))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing else can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The kernel's log, kept, written to a file and judged as it comes.
pub(crate) struct Log {
    lines: Vec<String>,
    /// How many of the lines have been judged and reported.
    reported: usize,
    /// Whether the mark at the end of a command has come.
    marked: bool,
    file: File,
    path: PathBuf,
    verbose: bool,
}

impl Log {
    pub(crate) fn new(path: PathBuf, verbose: bool) -> Result<Self> {
        // Another VM may be writing the file of that name: it keeps its own.
        let _ = std::fs::remove_file(&path);
        Ok(Self {
            lines: Vec::new(),
            reported: 0,
            marked: false,
            file: File::create(&path)?,
            path,
            verbose,
        })
    }

    fn add(&mut self, line: String) -> io::Result<Option<Severity>> {
        writeln!(self.file, "{line}")?;
        if self.verbose {
            eprintln!("{line}");
        }
        self.marked |= line.ends_with(LOG_MARK);
        let severity = dmesg::severity(&line);
        self.lines.push(line);
        Ok(severity)
    }

    /// What was bad in the log since the last time.
    fn take_complaint(&mut self) -> Option<String> {
        let new = &self.lines[self.reported..];
        self.reported = self.lines.len();
        let excerpt = dmesg::excerpt(new, EXCERPT)?.join("\n");
        self.keep();
        Some(format!(
            "{excerpt}\n(the whole log: {})",
            self.path.display()
        ))
    }

    /// Gives the file a name of its own, for the next VM starts a log of the old one.
    fn keep(&mut self) {
        let name = self
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(FAILED_LOG) {
            return;
        }
        let age = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let kept = self
            .path
            .with_file_name(format!("{FAILED_LOG}{}-{name}", age.as_millis()));
        if std::fs::rename(&self.path, &kept).is_ok() {
            self.path = kept;
        }
    }

    fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(20)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_under_way_than_there_is_room_for() {
        let (stream, mut guest) = UnixStream::pair().unwrap();
        let (tell_taken, taken) = channel();
        let mut port = Port {
            stream,
            room: 8,
            under_way: 0,
            taken,
        };
        let sender = thread::spawn(move || port.write_all(b"0123456789abcdefghij").map(|()| port));
        let mut received: Vec<u8> = Vec::new();
        while received.len() < 20 {
            let mut bytes = [0; 20];
            let count = guest.read(&mut bytes).unwrap();
            assert!(count <= 8, "{count}");
            received.extend(&bytes[..count]);
            tell_taken.send(u32::try_from(count).unwrap()).unwrap();
        }
        assert_eq!(received, *b"0123456789abcdefghij");
        sender.join().unwrap().unwrap();
    }

    #[test]
    fn who_waits_for_room_hears_that_the_guest_is_gone() {
        let (stream, _guest) = UnixStream::pair().unwrap();
        let (tell_taken, taken) = channel();
        drop(tell_taken);
        let mut port = Port {
            stream,
            room: 8,
            under_way: 0,
            taken,
        };
        assert!(port.write_all(b"0123456789").is_err());
    }
}
