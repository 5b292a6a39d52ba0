// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs and maps, pinned in a folder of one test.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::{Output, by_kernel, run, tell};

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
        let path = self.path(map);
        let bytes = value.to_ne_bytes().map(|byte| byte.to_string());
        let mut all = vec!["map", "update", "pinned", &path];
        all.extend(["key", "0", "0", "0", "0", "value"]);
        all.extend(bytes.iter().map(String::as_str));
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

/// Runs bpftool.
#[track_caller]
pub fn bpftool(arguments: &[&str]) -> Output {
    run(Command::new("bpftool").args(arguments))
}
