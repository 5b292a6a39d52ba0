// SPDX-License-Identifier: MIT OR Apache-2.0
//! The probe, a module beside ours (`tests/probe`): what the kernel tells nobody else,
//! and what it lets nobody else do.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    sync::Once,
    time::Duration,
};

use crate::{
    bpf::{Loaded, Pins},
    run, tell,
};

const MODULE: &str = "/files/lunatik_probe.ko";
const STACK: &str = "/proc/lunatik_stack";
const IRQ_STACK: &str = "/proc/lunatik_irq_stack";
const STALL: &str = "/proc/lunatik_stall";
const CALL: &str = "/proc/lunatik_call";

/// As long a CPU stands still only where its host has given the time to others.
const STALLED: Duration = Duration::from_millis(25);
/// How often to try whether it does not.
const TRIES: usize = 5;

/// Loads the probe, which stays: some other test may be using it.
pub fn load_probe() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        if !Path::new(STACK).exists() {
            run(Command::new("insmod").arg(MODULE)).success();
        }
    });
}

/// Calls `body`, for which each packet counts. A CPU of the guest that stands still in the
/// middle of a hook uses up what hooks may have of it, so `body` is called again if it
/// panics and one did. What it panics for on CPUs that ran, it panics for.
pub fn undisturbed(body: impl Fn()) {
    load_probe();
    for _ in 1..TRIES {
        let stall = File::open(STALL).expect("the probe");
        let Err(panic) = panic::catch_unwind(AssertUnwindSafe(&body)) else {
            return;
        };
        let text = io::read_to_string(stall).expect("a number");
        let longest = Duration::from_micros(text.trim().parse().expect("a number"));
        if longest < STALLED {
            panic::resume_unwind(panic);
        }
        tell!("again: a CPU stood still for {longest:?}");
    }
    body();
}

/// A stack of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// The calling thread's.
    Thread,
    /// Those of interrupts, one of each CPU. User-mode Linux has others.
    Interrupts,
}

impl Stack {
    fn file(self) -> &'static str {
        match self {
            Self::Thread => STACK,
            Self::Interrupts => IRQ_STACK,
        }
    }

    /// From now on it counts how far it is used.
    pub fn forget(self) {
        fs::write(self.file(), "0").expect("the probe");
    }

    /// How many bytes of it were never used.
    pub fn left(self) -> u64 {
        let text = fs::read_to_string(self.file()).expect("the probe");
        text.trim().parse().expect("a number")
    }
}

/// Calls the functions of the module that eBPF programs call, where none can.
#[derive(Debug)]
pub struct Caller {
    file: File,
    xdp: bool,
    function: u64,
}

impl Caller {
    /// Of the function for XDP, or of the one for TC. Nothing where programs can call.
    pub fn open(xdp: bool) -> Option<Self> {
        load_probe();
        let file = OpenOptions::new().read(true).write(true).open(CALL).ok()?;
        let name = if xdp {
            "bpf_lunatik_xdp"
        } else {
            "bpf_lunatik_tc"
        };
        let symbols = fs::read_to_string("/proc/kallsyms").expect("symbols");
        let symbol = symbols.lines().find(|line| {
            let mut words = line.split_whitespace().skip(2);
            words.next() == Some(name) && words.next() == Some("[lunatik]")
        });
        let address = symbol.and_then(|line| line.split(' ').next());
        let function = u64::from_str_radix(address.expect("the function"), 16).expect("a number");
        Some(Self {
            file,
            xdp,
            function,
        })
    }

    /// What [`call`](Self::call) writes.
    pub fn encoded(&self, state: u32, packet: &Packet<'_>) -> Vec<u8> {
        let mut call = self.function.to_ne_bytes().to_vec();
        call.extend(0_u64.to_ne_bytes());
        for word in [state, self.xdp.into(), packet.linear, packet.cloned.into()] {
            call.extend(word.to_ne_bytes());
        }
        call.extend(packet.bytes);
        call
    }

    /// Makes the call, one system call, in the calling thread's network namespace.
    pub fn call(&self, encoded: &[u8]) -> io::Result<usize> {
        self.file.write_at(encoded, 0)
    }

    /// The verdict of the last call, and the packet as it is then.
    pub fn outcome(&self) -> (i32, Vec<u8>) {
        let mut bytes = vec![0; 1 << 17];
        let length = self.file.read_at(&mut bytes, 0).expect("an outcome");
        let (verdict, rest) = bytes[..length].split_first_chunk().expect("a verdict");
        (i32::from_ne_bytes(*verdict), rest.to_vec())
    }
}

/// A packet for a [`Caller`].
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// What it consists of, an Ethernet header first; up to 4096.
    pub bytes: &'a [u8],
    /// How many of them lie in the first piece; up to 2048.
    pub linear: u32,
    /// Whether someone else has the same bytes. TC only.
    pub cloned: bool,
}

/// Who passes packets to a state and looks at them afterwards, where they were.
#[derive(Debug)]
pub enum Asker {
    /// A program of `MORE`, whose map `asked` names the state.
    Program(Loaded),
    /// The probe, where no program can.
    Probe(Caller),
}

impl Asker {
    /// For XDP or TC.
    pub fn new(pins: &Pins, xdp: bool) -> Self {
        match Caller::open(xdp) {
            Some(caller) => Self::Probe(caller),
            None => Self::Program(pins.open(if xdp { "watch_xdp" } else { "watch_tc" })),
        }
    }

    /// Passes a packet, in one system call in the calling thread's network namespace.
    /// Programs get it in one piece.
    pub fn pass(&self, state: u32, packet: &Packet<'_>) -> io::Result<()> {
        match self {
            Self::Program(program) => program.run(packet.bytes, 1).map(drop)?,
            Self::Probe(caller) => caller.call(&caller.encoded(state, packet)).map(drop)?,
        }
        Ok(())
    }
}
