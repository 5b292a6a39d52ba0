// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory cgroups.

use std::{fs, path::Path};

const ROOT: &str = "/sys/fs/cgroup";

/// A memory cgroup, removed when this is dropped.
#[derive(Debug)]
pub struct Cgroup(String);

impl Cgroup {
    /// Makes one; nothing on a kernel that has none, which is said aloud.
    pub fn new(name: &str) -> Option<Self> {
        let controllers = fs::read_to_string(format!("{ROOT}/cgroup.controllers"));
        let controllers = controllers.unwrap_or_default();
        if !controllers.split_whitespace().any(|name| name == "memory") {
            crate::tell!("SKIPPED: this kernel has no memory cgroups");
            return None;
        }
        fs::write(format!("{ROOT}/cgroup.subtree_control"), "+memory").expect("a setting");
        let path = format!("{ROOT}/{name}");
        fs::create_dir(&path).expect("a cgroup");
        Some(Self(path))
    }

    /// Sets the file `file`.
    pub fn write(&self, file: &str, value: &str) {
        fs::write(Path::new(&self.0).join(file), value).expect("a setting");
    }

    /// Takes the calling process into it.
    pub fn enter(&self) {
        self.write("cgroup.procs", "0");
    }

    /// What the file `file` says.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(Path::new(&self.0).join(file)).expect("a figure")
    }

    /// The bytes charged to it.
    pub fn current(&self) -> u64 {
        self.read("memory.current").trim().parse().expect("bytes")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
