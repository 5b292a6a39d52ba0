// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs and maps, pinned in a folder of one test.

use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use libbpf_rs::{Program, libbpf_sys};
use nix::errno::Errno;

use crate::{Netns, Output, by_kernel, run, tell};

/// An object with programs.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! object {
    ($constant:ident, $name:literal, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Object = Object {
            name: $name,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")),
        };
    };
}

object!(ASK, "ask", "The example that asks a state.");
object!(COUNT, "count", "The example that a script calls.");
object!(
    CLONE,
    "clone",
    "Programs of tests that clone packets and send them elsewhere."
);
object!(
    HOSTILE,
    "hostile",
    "Programs of tests that do to packets what they may, on any kernel."
);
object!(MORE, "more", "Programs of tests alone.");

/// Whether eBPF programs can call the module, as they must on stock kernels. Says so
/// where they cannot.
pub fn kfuncs() -> bool {
    let there = Path::new("/sys/kernel/btf/lunatik").exists();
    assert_eq!(there, by_kernel(true, false), "the module's BTF");
    if !there {
        tell!("skipped: this kernel compiles no eBPF");
    }
    there
}

/// A folder of bpffs; it is removed when this is dropped.
#[derive(Debug)]
pub struct Pins(String);

impl Pins {
    /// Makes a folder that no other test uses.
    #[expect(clippy::new_without_default, reason = "it makes something outside")]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = format!("/sys/fs/bpf/test-{pid}-{count}");
        fs::create_dir(&folder).expect("bpffs");
        Self(folder)
    }

    /// The path of what is pinned as `name`.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// Loads the programs of an object and pins them and their maps by their names.
    #[track_caller]
    pub fn load(&self, object: Object) {
        let file = format!("/tmp{}-{}.o", self.0.replace('/', "-"), object.name);
        fs::write(&file, object.bytes).expect("a file");
        bpftool(&["prog", "loadall", &file, &self.0, "pinmaps", &self.0]).success();
        fs::remove_file(&file).expect("the file");
    }

    /// Makes a map, with arguments as bpftool takes them.
    #[track_caller]
    pub fn map(&self, name: &str, arguments: &str) {
        let path = self.path(name);
        let mut all = vec!["map", "create", &path];
        all.extend(arguments.split(' '));
        all.extend(["name", name]);
        bpftool(&all).success();
    }

    /// Sets the first element of an array of u32.
    #[track_caller]
    pub fn set(&self, map: &str, value: u32) {
        self.set_at(map, 0, value);
    }

    /// Sets an element of an array of u32.
    #[track_caller]
    pub fn set_at(&self, map: &str, index: u32, value: u32) {
        let path = self.path(map);
        let [index, value] = [index, value].map(bytes);
        let mut all = vec!["map", "update", "pinned", &path, "key"];
        all.extend(index.iter().map(String::as_str));
        all.push("value");
        all.extend(value.iter().map(String::as_str));
        bpftool(&all).success();
    }

    /// An element of an array of u32.
    #[track_caller]
    pub fn get_at(&self, map: &str, index: u32) -> u32 {
        let path = self.path(map);
        let index = bytes(index);
        let mut all = vec!["-j", "map", "lookup", "pinned", &path, "key"];
        all.extend(index.iter().map(String::as_str));
        let json = bpftool(&all).json();
        let text = json["value"].as_array().expect("bytes").iter();
        let bytes: Vec<_> = text
            .map(|byte| byte.as_str().expect("a byte").trim_start_matches("0x"))
            .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
            .collect();
        u32::from_ne_bytes(bytes.try_into().expect("4 bytes"))
    }

    /// Puts a pinned program before a device of a namespace, in the direction `ingress`
    /// or `egress` of TC.
    #[track_caller]
    pub fn attach(&self, program: &str, netns: &Netns, device: &str, direction: &str) {
        let path = self.path(program);
        let filter = ["filter", "add", "dev", device, direction, "bpf"];
        let program = ["direct-action", "object-pinned", &path];
        // The namespace's mounts are those of all.
        netns.within(|| {
            let tc = |arguments: &[&str]| run(Command::new("tc").args(arguments));
            tc(&["qdisc", "replace", "dev", device, "clsact"]).success();
            tc(&[&filter[..], &program].concat()).success();
        });
    }

    /// Puts a pinned program into the driver of a device of a namespace.
    #[track_caller]
    pub fn attach_xdp(&self, program: &str, netns: &Netns, device: &str) {
        let path = self.path(program);
        let arguments = ["net", "attach", "xdpdrv", "pinned", &path, "dev", device];
        netns.within(|| bpftool(&arguments).success().to_owned());
    }

    /// Opens a pinned program, to run it often.
    #[track_caller]
    pub fn open(&self, program: &str) -> Loaded {
        Loaded::open(&self.path(program)).unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Puts a program at the first place of a map of programs.
    #[track_caller]
    pub fn link(&self, map: &str, program: &str) {
        let (map, program) = (self.path(map), self.path(program));
        let mut all = vec!["map", "update", "pinned", &map];
        all.extend(["key", "0", "0", "0", "0", "value", "pinned", &program]);
        bpftool(&all).success();
    }

    /// Runs a pinned program in the calling thread's namespace on a packet, and gives
    /// its verdict and the packet as it is then.
    #[track_caller]
    pub fn run(&self, program: &str, packet: &[u8]) -> (u32, Vec<u8>) {
        let [input, output] = ["in", "out"].map(|end| {
            let folder = self.0.replace('/', "-");
            format!("/tmp{folder}-{end}")
        });
        fs::write(&input, packet).expect("a file");
        let path = self.path(program);
        let arguments = ["-j", "prog", "run", "pinned", &path, "data_in", &input];
        let output_arguments = ["data_out", &output];
        let json = bpftool(&[&arguments[..], &output_arguments[..]].concat()).json();
        let verdict = json["retval"].as_u64().expect("a verdict");
        let after = fs::read(&output).expect("a packet");
        let verdict = u32::try_from(verdict).expect("32 bits");
        (verdict, after)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bytes of a number, as bpftool takes them.
fn bytes(number: u32) -> [String; 4] {
    number.to_ne_bytes().map(|byte| byte.to_string())
}

/// A loaded program.
#[derive(Debug)]
pub struct Loaded(OwnedFd);

impl Loaded {
    fn open(path: &str) -> libbpf_rs::Result<Self> {
        Program::fd_from_pinned_path(path).map(Self)
    }

    /// Runs it on a packet in the calling thread's namespace, `repeat` times on what
    /// the last time has left; its last verdict.
    pub fn run(&self, packet: &[u8], repeat: u32) -> nix::Result<u32> {
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
            data_in: packet.as_ptr().cast(),
            data_size_in: packet.len().try_into().expect("short"),
            repeat: repeat.cast_signed(),
            ..Default::default()
        };
        // SAFETY: the kernel reads the packet, which outlives the call, as do the options.
        let result =
            unsafe { libbpf_sys::bpf_prog_test_run_opts(self.0.as_raw_fd(), &raw mut options) };
        match result {
            0.. => Ok(options.retval),
            error => Err(Errno::from_raw(-error)),
        }
    }
}

/// Runs bpftool.
#[track_caller]
pub fn bpftool(arguments: &[&str]) -> Output {
    run(Command::new("bpftool").args(arguments))
}
