// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module as a whole: unloading it, and how it grows. It runs alone.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{ErrorKind, Session};
use lunatik_sys::{lunatik_attr, lunatik_cmd};
use lunatik_tests::{Client, Message, Netns, Over, SOON, integer, lua, run, sh, tell};

/// Kept from loading the module while this lives.
struct NoModprobe(String);

const MODPROBE: &str = "/proc/sys/kernel/modprobe";

impl NoModprobe {
    fn set() -> Self {
        let before = fs::read_to_string(MODPROBE).expect("a setting");
        fs::write(MODPROBE, "/bin/false").expect("root may set it");
        Self(before)
    }
}

impl Drop for NoModprobe {
    fn drop(&mut self) {
        fs::write(MODPROBE, self.0.trim()).expect("root may set it");
    }
}

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        run(Command::new("modprobe").arg("lunatik")).success();
    }
}

#[test]
fn unload_with_live_states_and_open_sockets() {
    let _reload = Reload;
    for round in 0..3 {
        let netns = Netns::new();
        let session = netns.session();
        let mut states = Vec::new();
        for n in 0..50 {
            let state = session
                .new_state(&format!("s{n}"))
                .create()
                .expect("a state");
            lua(
                &state,
                "t = {} for i = 1, 100 do t[i] = {} end print 'x' require('lunatik').receive(print)",
            );
            states.push(state);
        }
        let _ephemeral = session
            .new_state("e")
            .ephemeral(true)
            .create()
            .expect("a state");
        let mut subscription = states[0].subscribe().expect("subscribes");
        let mut events = session.events().expect("events");
        let _lines = session.log_follow().expect("lines");
        let host = Session::open().expect("a session");
        let outside = host
            .new_state(&format!("outside{round}"))
            .create()
            .expect("a state");
        run(Command::new("rmmod").arg("lunatik")).success();
        // Sockets that stay open do no harm, and tell of no success.
        while subscription
            .recv_timeout(Duration::from_millis(10))
            .is_ok_and(|m| m.is_some())
        {}
        while events
            .recv_timeout(Duration::from_millis(10))
            .is_ok_and(|e| e.is_some())
        {}
        let error = outside.do_string("return 1").expect_err("it is gone");
        assert_ne!(error.kind(), ErrorKind::Script, "{error}");
        run(Command::new("modprobe").arg("lunatik")).success();
        let again = netns.session();
        assert_eq!(again.states().expect("a listing"), []);
        assert_eq!(again.info().expect("info").alloc, 0);
        let state = again.new_state("s0").create().expect("a state");
        assert_eq!(integer(&state, "return 6 * 7"), 42);
        state.close().expect("closes");
    }
}

#[test]
fn unload_while_a_script_runs() {
    let _reload = Reload;
    let netns = Netns::new();
    {
        let _state = netns.state("a");
    }
    let mut lines = netns.session().log_follow().expect("lines");
    let mut client = Client::start(Command::new("lunatikctl").args([
        "-n",
        netns.name(),
        "dostring",
        "a",
        "print 'running' while true do pcall(function() while true do end end) end",
        "--timeout",
        "10s",
    ]));
    assert_eq!(lines.recv().expect("a line").text, b"running");
    drop(lines);
    let start = Instant::now();
    // The module is in use as long as its code runs, or the script is ended: both will do.
    let mut output = run(Command::new("rmmod").arg("lunatik"));
    while output.status != 0 && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(200));
        output = run(Command::new("rmmod").arg("lunatik"));
    }
    output.success();
    assert!(client.wait().0 < SOON);
}

#[test]
fn without_the_module() {
    let _reload = Reload;
    let netns = Netns::new();
    lunatik_tests::sh("lunatikctl unload").success();
    lunatik_tests::sh("lunatikctl unload").failure(3);
    let text = sh("lunatikctl status");
    assert!(text.failure(3).contains("lunatikctl load"), "{text:?}");
    {
        let _no = NoModprobe::set();
        for arguments in [
            &["list"][..],
            &["newstate", "a"],
            &["dostring", "a", "return 1"],
        ] {
            let output = netns.ctl(arguments);
            let text = output.failure(3);
            assert!(text.contains("lunatikctl load"), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        let error = Session::open().expect_err("there is no module");
        assert_eq!(error.kind(), ErrorKind::ModuleMissing, "{error}");
        let output = netns.lua("print(select(3, require('lunatik').newstate 'a'))");
        assert_eq!(output.success(), "ENOPKG\n");
    }
    // The first request loads it.
    netns.ctl(&["newstate", "a"]).success();
    sh("lunatikctl unload").success();
    sh("lunatikctl load max_states=2").success();
    assert_eq!(netns.session().info().expect("info").max_states, 2);
    sh("lunatikctl unload").success();
    sh("lunatikctl load").success();
    assert_eq!(netns.session().info().expect("info").max_states, 16_384);
}

/// Makes states, and tells how long a hundred took: the second hundred and the last.
fn grow(count: u32) {
    let netns = Netns::new();
    let session = netns.session();
    let mut hundreds = Vec::new();
    for hundred in 0..count / 100 {
        let start = Instant::now();
        for n in 0..100 {
            let name = format!("state-{}", hundred * 100 + n);
            session
                .new_state(&name)
                .create()
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        hundreds.push(start.elapsed());
    }
    // The quickest of several: others may have the machine.
    let quickest = |hundreds: &[Duration]| *hundreds.iter().min().expect("some");
    let first = quickest(&hundreds[1..5]);
    let last = quickest(&hundreds[hundreds.len() - 4..]);
    tell!("{count} states: one of the first hundreds {first:?}, of the last {last:?}");
    assert!(
        last < first * 5 + Duration::from_millis(100),
        "{first:?}, {last:?}"
    );
    let start = Instant::now();
    let states = session.states().expect("a listing");
    tell!("{count} states listed in {:?}", start.elapsed());
    let mut names: Vec<_> = states.iter().map(|state| &state.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), usize::try_from(count).expect("small"));
    let info = session.info().expect("info");
    assert_eq!(info.states, count);
    tell!("{} bytes for each", info.alloc / u64::from(count));
    // Any of them is found.
    for n in [0, count / 2, count - 1] {
        let state = session.get_state(&format!("state-{n}")).expect("a state");
        assert_eq!(integer(&state, "return 6 * 7"), 42);
    }
    // And all go with their namespace.
    drop(session);
    netns.delete();
}

#[test]
fn a_thousand_states() {
    grow(1000);
}

#[test]
fn ten_thousand_states() {
    grow(10_000);
}

#[test]
fn an_empty_state_is_small() {
    let netns = Netns::new();
    let state = netns.state("a");
    let description = state.snapshot().expect("a description");
    tell!("a fresh state has {} bytes", description.curr_alloc);
    assert!(description.curr_alloc <= 16_384, "{description:?}");
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn speed() {
    const ROUNDS: u32 = 3000;
    let netns = Netns::new();
    let state = netns.state("a");
    let mut raw = netns.raw();
    let message = Message::new(lunatik_cmd::LUNATIK_CMD_DOSTRING)
        .name("a")
        .attr(lunatik_attr::LUNATIK_A_CODE, b"return 1");
    let each = |what: &str, run: &mut dyn FnMut()| {
        for _ in 0..ROUNDS / 10 {
            run();
        }
        let start = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        let each = start.elapsed() / ROUNDS;
        tell!("{what}: {each:?}");
        each
    };
    let bare = each("CTRL_CMD_GETFAMILY", &mut || {
        assert_eq!(raw.get_family().errno, 0);
    });
    each("DOSTRING `return 1`, by hand", &mut || {
        assert_eq!(raw.request(&message).errno, 0);
    });
    let whole = each("DOSTRING `return 1`, by the library", &mut || {
        assert_eq!(integer(&state, "return 1"), 1);
    });
    let (whole, bare) = (whole.as_nanos(), bare.as_nanos());
    tell!(
        "a DOSTRING takes {}% of a CTRL_CMD_GETFAMILY",
        whole * 100 / bare
    );
}

#[test]
fn namespaces_that_end_while_others_work() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = Over(&stop);
        scope.spawn(|| {
            let netns = Netns::new();
            let state = netns.state("steady");
            while !stop.load(Relaxed) {
                assert_eq!(integer(&state, "return 7"), 7);
            }
        });
        for _ in 0..20 {
            let netns = Netns::new();
            for n in 0..20 {
                netns.state(&format!("s{n}"));
            }
            netns.delete();
        }
    });
}
