// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as long as any deadline allows stalls nothing: the kernel's detectors,
//! set to their shortest, stay silent, and other tasks get the CPU. (What the
//! kernel says in its log fails the whole run of tests.)

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::ErrorKind;
use lunatik_tests::{Netns, Over, lua, refused};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// A setting of the kernel that goes back to what it was. Nothing where there is
/// no such setting.
struct Setting {
    path: &'static str,
    before: Option<String>,
}

impl Setting {
    fn set(path: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(path).ok();
        if before.is_some() {
            fs::write(path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
        } else {
            println!("this kernel has no {path}");
        }
        Self { path, before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(self.path, before.trim());
        }
    }
}

#[test]
fn the_longest_deadline() {
    let _rcu = Setting::set("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "3");
    let _soft = Setting::set("/proc/sys/kernel/watchdog_thresh", "1");
    let _hung = Setting::set("/proc/sys/kernel/hung_task_timeout_secs", "5");
    let netns = Netns::new();
    let session = netns.session();
    let longest = session.info().expect("info").max_timeout;
    assert!(longest >= Duration::from_secs(10), "{longest:?}");
    let mut first = CpuSet::new();
    first.set(0).expect("CPU 0");

    let runs = [
        ("loop", "", "while true do end"),
        (
            "pattern",
            "text = ('a'):rep(100000)",
            "return text:find('.-.-.-b')",
        ),
        (
            "collections",
            "t = {} for i = 1, 150000 do t[i] = {} end",
            "while true do collectgarbage() end",
        ),
        ("pcall", "", "while true do pcall(error) end"),
    ]
    .map(|(name, before, code)| {
        let session = netns.session();
        let new = session.new_state(name).max_alloc(32 << 20);
        let state = new.timeout(longest).create().expect("a state");
        lua(&state, before);
        let start = Instant::now();
        lua(&state, "collectgarbage()");
        // A collection is not interrupted, and has a fifth of the CPU.
        let slack = Duration::from_secs(3) + 5 * start.elapsed();
        (name, state, code, slack)
    });

    let done = AtomicBool::new(false);
    let turns = AtomicU64::new(0);
    thread::scope(|scope| {
        let end = Over(&done);
        scope.spawn(|| {
            sched_setaffinity(Pid::from_raw(0), &first).expect("on CPU 0");
            while !done.load(Relaxed) {
                turns.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let runs = runs.map(|(name, state, code, slack)| {
            let first = &first;
            scope.spawn(move || {
                sched_setaffinity(Pid::from_raw(0), first).expect("on CPU 0");
                let start = Instant::now();
                refused(state.call(code).timeout(longest).run(), ErrorKind::Deadline);
                let elapsed = start.elapsed();
                assert!(elapsed >= longest, "{name}: {elapsed:?}");
                assert!(elapsed < longest + slack, "{name}: {elapsed:?}, {slack:?}");
            })
        });
        for run in runs {
            run.join().expect("ends");
        }
        drop(end);
    });
    // Five tasks on one CPU: each has its share.
    let turns = turns.load(Relaxed);
    assert!(turns > 100, "{turns} turns in {longest:?}");
}
