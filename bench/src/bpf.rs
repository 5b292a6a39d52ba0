// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs: those of `bpf/bench.bpf.c`, and running one as `bpftool prog run` does it.

#![expect(
    unsafe_code,
    reason = "libbpf-rs runs no program that it has not loaded"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{Map, MapCore as _, MapFlags, Object, ObjectBuilder, ProgramMut, libbpf_sys};

/// The compiled object, placed as the numbers inside it want it.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/bench.bpf.o")));

/// Tail calls that a program may have behind it.
pub(crate) const TAIL_CALLS: u32 = 33;

/// The loaded programs.
pub(crate) struct Programs(Object);

impl Programs {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self(
            ObjectBuilder::default().open_memory(&OBJECT.0)?.load()?,
        ))
    }

    fn find(&mut self, name: &str) -> Result<ProgramMut<'_>> {
        let program = self.0.progs_mut().find(|program| program.name() == name);
        program.with_context(|| format!("no program is called {name}"))
    }

    /// What a program takes for a packet, for which it must have that verdict.
    pub(crate) fn run(&mut self, name: &str, verdict: u32) -> Result<f64> {
        run(self.find(name)?.as_fd(), verdict).with_context(|| name.to_owned())
    }

    /// Lets a program that goes on with what is in an array find itself there, or nothing any more.
    pub(crate) fn chain(&mut self, program: &str, array: &str, on: bool) -> Result<()> {
        let program = self.find(program)?.as_fd().as_raw_fd();
        let named = |map: &Map<'_>| map.name() == array;
        let map = self.0.maps().find(named).context("no such array")?;
        let key = 0_u32.to_ne_bytes();
        if on {
            map.update(&key, &program.to_ne_bytes(), MapFlags::ANY)?;
        } else {
            map.delete(&key)?;
        }
        Ok(())
    }

    /// Makes a file of a program, by which scripts open it.
    pub(crate) fn pin(&mut self, name: &str) -> Result<Pin> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = PathBuf::from(format!("/sys/fs/bpf/bench-{}-{}", id.0, id.1));
        self.find(name)?.pin(&path)?;
        Ok(Pin(path))
    }
}

/// A pinned program, until this is dropped.
pub(crate) struct Pin(PathBuf);

impl Pin {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // What is left of it goes with the machine.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs of a program that are measured in one go.
pub(crate) const RUNS: u32 = 1000;
/// How long to wait behind them, so that a namespace's states never use up their time on the CPU.
const PAUSE: Duration = Duration::from_millis(20);
/// What a program gets: a datagram over IPv4 to port 9.
const PACKET: [u8; 64] = {
    let mut packet = [b'x'; 64];
    packet[12] = 8;
    packet[13] = 0;
    packet[14] = 0x45;
    packet[23] = 17;
    packet[36] = 0;
    packet[37] = 9;
    packet
};

/// What a program takes for a packet in the calling thread's namespace, as the kernel measures it: in whole
/// nanoseconds. It must have that verdict.
pub(crate) fn run(program: BorrowedFd<'_>, verdict: u32) -> Result<f64> {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: PACKET.as_ptr().cast(),
        data_size_in: u32::try_from(PACKET.len())?,
        repeat: i32::try_from(RUNS)?,
        ..Default::default()
    };
    // SAFETY: the kernel reads the packet, which outlives the call, as do the options, of which libbpf writes no more
    // than `sz` bytes.
    let result =
        unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result)).context("cannot run a program");
    }
    ensure!(
        options.retval == verdict,
        "the verdict {} for {verdict}",
        options.retval
    );
    thread::sleep(PAUSE);
    Ok(f64::from(options.duration))
}
