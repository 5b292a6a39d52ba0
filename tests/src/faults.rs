// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that the kernel lets fail on purpose (lib/fault-inject.c), for
//! tests that run alone.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::module_addresses;

const SETTINGS: &str = "/sys/kernel/debug";
const CACHES: &str = "/sys/kernel/slab";

/// Whose objects are the checkers' own, which would be every second one.
const CHECKERS: &[&str] = &[
    "kmemleak_object",
    "kmemleak_scan_area",
    "debug_objects_cache",
];

/// More allocations, or bytes of them, than one system call makes.
const MANY: u32 = 1 << 30;

/// Lets allocations fail of the thread that has opened it.
#[derive(Debug)]
pub struct Faults {
    nth: File,
    filter: File,
}

/// Which allocations fail.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// One, of any kind; they count from 1.
    Nth(u32),
    /// So many of small objects, after so many bytes of them.
    After {
        /// What there is still memory for.
        bytes: u32,
        /// How many allocations fail.
        times: u32,
    },
}

impl Faults {
    /// For the calling thread; nothing where the kernel cannot do it.
    pub fn open() -> Option<Self> {
        for kind in ["failslab", "fail_page_alloc"] {
            if !Path::new(SETTINGS).join(kind).exists() {
                return None;
            }
            // Those that may sleep, too, and silently.
            set(&format!("{kind}/ignore-gfp-wait"), "N");
            set(&format!("{kind}/verbose"), "0");
        }
        // Single pages, also those of vmalloc().
        set("fail_page_alloc/min-order", "0");
        set("fail_page_alloc/ignore-gfp-highmem", "N");
        // Copies to and from user space would be counted alike; those with a
        // certain caller only, none of whose callers are looked at, are not.
        set("fail_usercopy/require-start", "1");
        set("fail_usercopy/stacktrace-depth", "0");
        for cache in fs::read_dir(CACHES).expect("a list of caches") {
            let cache = cache.expect("a cache");
            let name = cache.file_name();
            if !CHECKERS.iter().any(|checker| name == *checker) {
                let failing = cache.path().join("failslab");
                fs::write(&failing, "1").unwrap_or_else(|e| panic!("{}: {e}", failing.display()));
            }
        }
        set("failslab/cache-filter", "Y");
        // What fails after some bytes does so for those who ask for it.
        set("failslab/task-filter", "Y");
        set("failslab/probability", "100");
        Some(Self {
            nth: open("/proc/thread-self/fail-nth"),
            filter: open("/proc/thread-self/make-it-fail"),
        })
    }

    /// Makes `call`, one system call, with allocations of it failing. Whether it
    /// made as many.
    pub fn inject<T>(&self, fault: Fault, call: impl FnOnce() -> T) -> (T, bool) {
        match fault {
            Fault::Nth(nth) => {
                let (result, left) = self.nth(nth, call);
                (result, left == 0)
            }
            Fault::After { bytes, times } => {
                let result = self.after(bytes, times, call);
                (result, get("failslab/times") < times)
            }
        }
    }

    /// Makes `call`, one system call, and counts its allocations.
    pub fn count<T>(&self, call: impl FnOnce() -> T) -> (T, u32) {
        let (result, left) = self.nth(MANY, call);
        (result, MANY - left)
    }

    /// As [`count`](Self::count), but the bytes of small objects.
    pub fn bytes<T>(&self, call: impl FnOnce() -> T) -> (T, u32) {
        let result = self.after(MANY, 1, call);
        (result, MANY - get("failslab/space"))
    }

    fn nth<T>(&self, nth: u32, call: impl FnOnce() -> T) -> (T, u32) {
        put(&self.nth, nth);
        let result = call();
        let mut left = [0; 16];
        let length = self.nth.read_at(&mut left, 0).expect("a number");
        put(&self.nth, 0);
        (result, number(&left[..length]))
    }

    fn after<T>(&self, bytes: u32, times: u32, call: impl FnOnce() -> T) -> T {
        set("failslab/space", &bytes.to_string());
        set("failslab/times", &times.to_string());
        put(&self.filter, 1);
        let result = call();
        put(&self.filter, 0);
        result
    }
}

fn open(path: &str) -> File {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(path);
    file.unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn put(setting: &File, value: u32) {
    let value = value.to_string();
    setting
        .write_all_at(value.as_bytes(), 0)
        .expect("a setting");
}

/// Lets every allocation fail that the module makes, in whatever thread, until
/// this is dropped.
#[derive(Debug)]
pub struct AllFail;

impl AllFail {
    /// Begins with it.
    #[expect(clippy::new_without_default, reason = "it makes something outside")]
    pub fn new() -> Self {
        let module = module_addresses();
        for kind in ["failslab", "fail_page_alloc"] {
            set(&format!("{kind}/stacktrace-depth"), "32");
            set(&format!("{kind}/require-start"), &module.start.to_string());
            set(&format!("{kind}/require-end"), &module.end.to_string());
            set(&format!("{kind}/space"), "0");
            set(&format!("{kind}/times"), "-1");
            set(&format!("{kind}/task-filter"), "N");
            set(&format!("{kind}/probability"), "100");
        }
        Self
    }
}

impl Drop for AllFail {
    fn drop(&mut self) {
        for kind in ["failslab", "fail_page_alloc"] {
            set(&format!("{kind}/task-filter"), "Y");
            set(&format!("{kind}/require-start"), "0");
            set(&format!("{kind}/require-end"), &u64::MAX.to_string());
        }
    }
}

fn set(setting: &str, value: &str) {
    let path = Path::new(SETTINGS).join(setting);
    fs::write(&path, value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn get(setting: &str) -> u32 {
    let path = Path::new(SETTINGS).join(setting);
    number(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn number(text: &[u8]) -> u32 {
    let text = str::from_utf8(text).expect("a number");
    text.trim().parse().expect("a number")
}
