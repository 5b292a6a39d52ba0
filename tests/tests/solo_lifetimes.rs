// SPDX-License-Identifier: MIT OR Apache-2.0
//! References, subscribers, states, namespaces and the module, which may end in any
//! order and at any moment. It runs alone, because it unloads the module and counts
//! what the kernel has.

use std::{
    collections::VecDeque,
    env, fs,
    io::{self, Write},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

use lunatik_sys::{lunatik_attr as A, lunatik_cmd as C};
use lunatik_tests::{
    Message, Netns, Process, Raw, SOON, every_operation, integer, namespaces, namespaces_end, run,
};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, delete_module},
    libc,
    sched::{CloneFlags, unshare},
};

/// Prints what the test runner would keep for itself when a test passes.
macro_rules! tell {
    ($($argument:tt)*) => {
        writeln!(io::stderr(), $($argument)*).expect("standard error")
    };
}

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        load();
    }
}

fn load() {
    run(Command::new("modprobe").arg("lunatik")).success();
}

/// Unloads the module. While it is in use the kernel says so, and it is tried
/// again; how often that was.
#[track_caller]
fn unload() -> u32 {
    let start = Instant::now();
    let mut busy = 0;
    loop {
        match delete_module(c"lunatik", DeleteModuleFlags::O_NONBLOCK) {
            // Somebody else may not have loaded it again yet.
            Ok(()) | Err(Errno::ENOENT) => break,
            Err(Errno::EWOULDBLOCK) => busy += 1,
            Err(error) => panic!("cannot unload: {error}"),
        }
        assert!(start.elapsed() < 2 * SOON, "busy for ever");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(start.elapsed() < 2 * SOON, "{:?}", start.elapsed());
    busy
}

fn named(command: C, name: &str) -> Message {
    Message::new(command).name(name)
}

fn code(name: &str, code: &str) -> Message {
    named(C::LUNATIK_CMD_DOSTRING, name).attr(A::LUNATIK_A_CODE, code.as_bytes())
}

/// A script that only the end of its time, of its caller or of its state ends.
fn endless(name: &str) -> Message {
    code(
        name,
        "while true do pcall(function() while true do end end) end",
    )
    .u32(A::LUNATIK_A_TIMEOUT, 10_000_000)
}

/// Numbers that look random and are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn new() -> Self {
        let seed = env::var("LUNATIK_TEST_SEED").map_or_else(
            |_| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                u64::from(now.expect("a clock").subsec_nanos())
            },
            |seed| seed.parse().expect("a number"),
        );
        tell!("LUNATIK_TEST_SEED={seed}");
        Self(seed | 1 << 40)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Requests everything again and again, whatever the answers are.
fn hammer(netns: &Netns) -> ! {
    netns.enter();
    for round in 0.. {
        // What is asked for first loads the module.
        let Some(mut raw) = Raw::try_here() else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let name = format!("state{}", round % 3);
        for (_, message) in every_operation(&name) {
            raw.request(&message);
        }
        raw.request(&named(C::LUNATIK_CMD_NEWSTATE, &name));
        raw.request(&named(C::LUNATIK_CMD_GETSTATE, &name).u32(A::LUNATIK_A_FLAGS, 4));
        raw.request(&code(&name, "require('lunatik').send('x')"));
        if round % 8 == 0 {
            // A long reply of which the end waits in the kernel: as long as it does,
            // the module is in use.
            raw.send(&code(&name, "local s = ('x'):rep(60000) return s, s, s"));
        }
    }
    unreachable!()
}

#[test]
fn the_module_unloads_whenever_it_is_asked_to_under_load() {
    const ROUNDS: u32 = 40;
    let _reload = Reload;
    let netns = Netns::new();
    let client = Process::fork(|_| hammer(&netns));
    let runner = Process::fork(|_| {
        netns.enter();
        loop {
            if let Some(mut raw) = Raw::try_here() {
                raw.request(&named(C::LUNATIK_CMD_NEWSTATE, "endless"));
                raw.request(&endless("endless"));
            } else {
                thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let start = Instant::now();
    let (mut busy, mut longest) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        let before = Instant::now();
        busy += unload();
        longest = longest.max(before.elapsed());
        load();
    }
    tell!(
        "{ROUNDS} times in {:?}: busy {busy} times, the longest took {longest:?}",
        start.elapsed()
    );
    client.kill();
    runner.kill();
    // Runs are ended, not waited for: theirs would take 10 s.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    unload();
    load();
    let session = netns.session();
    assert_eq!(session.states().expect("a listing"), []);
    assert_eq!(session.info().expect("info").alloc, 0);
}

/// The kernel's estimate of the memory that can be had, in KiB.
fn available() -> i64 {
    let lines = fs::read_to_string("/proc/meminfo").expect("figures");
    let line = lines
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let figure = line.and_then(|line| line.split_whitespace().next());
    figure.expect("a figure").parse().expect("a number")
}

/// Fills `count` namespaces with all that can be in one, and then waits to be
/// killed: in the last one's script.
fn fill_namespaces(count: usize, tell: impl Fn()) -> ! {
    let mut sockets = Vec::new();
    for n in 1..=count {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may");
        let (mut first, mut second) = (Raw::here(), Raw::here());
        for message in [
            named(C::LUNATIK_CMD_NEWSTATE, "a"),
            named(C::LUNATIK_CMD_NEWSTATE, "e").u32(A::LUNATIK_A_FLAGS, 1),
            code("a", "x = ('x'):rep(100000) print 'x'"),
        ] {
            assert_eq!(first.request(&message).errno, 0);
        }
        // References, a subscriber with data that it has not read, listeners.
        second.join("events").expect("root may");
        second.join("log").expect("root may");
        for flags in [0, 4] {
            let message = named(C::LUNATIK_CMD_GETSTATE, "a").u32(A::LUNATIK_A_FLAGS, flags);
            assert_eq!(second.request(&message).errno, 0);
        }
        let send = code(
            "a",
            "print 'y' return require('lunatik').send(('x'):rep(10000))",
        );
        assert_eq!(first.request(&send).errno, 0);
        // A long reply of which the end waits in the kernel.
        first.send(&code("a", "return x:sub(1, 60000), x:sub(1, 60000)"));
        if n == count {
            tell();
            second.send(&endless("a"));
        }
        // Half of the namespaces end at once.
        if n % 2 == 0 {
            sockets.push((first, second));
        }
    }
    panic!("the script ended");
}

#[test]
fn a_thousand_namespaces_come_and_go_and_leave_nothing() {
    const EACH: usize = 50;
    let before = namespaces();
    let mut free = None;
    let start = Instant::now();
    let mut running = VecDeque::new();
    for round in 0..1000 / EACH {
        // What the first ones needed may be kept for the next.
        if round == 4 {
            running.drain(..).for_each(Process::kill);
            namespaces_end(0, before);
            free = Some(available());
        }
        running.push_back(Process::fork(|parent| {
            fill_namespaces(EACH, || parent.say("running"));
        }));
        if running.len() > 2 {
            let process = running.pop_front().expect("three");
            process.peer().hear("running");
            process.kill();
        }
    }
    running.drain(..).for_each(|process| {
        process.peer().hear("running");
        process.kill();
    });
    namespaces_end(0, before);
    let lost = free.expect("a figure") - available();
    tell!(
        "a thousand namespaces in {:?}: {lost} KiB less available",
        start.elapsed()
    );
    // Their states had 140 MiB.
    assert!(lost < 32 << 10, "{lost} KiB less available");
}

#[test]
fn a_namespace_ends_with_the_last_socket_in_it() {
    let before = namespaces();
    let netns = Netns::new();
    let holder = Process::fork(|parent| {
        // Its process is elsewhere; its socket is in there.
        let mut raw = netns.raw();
        let state = named(C::LUNATIK_CMD_NEWSTATE, "a");
        assert_eq!(raw.request(&state).errno, 0);
        parent.say("open");
        parent.hear("deleted");
        assert_eq!(raw.request(&code("a", "return 1")).errno, 0);
        parent.say("used");
        raw.request(&endless("a"));
    });
    holder.peer().hear("open");
    netns.delete();
    holder.peer().say("deleted");
    holder.peer().hear("used");
    assert!(namespaces() > before);
    let start = Instant::now();
    holder.kill();
    namespaces_end(0, before);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// What may end.
#[derive(Debug, Clone, Copy)]
enum End {
    Creator,
    Subscriber,
    Reference,
    Listener,
    State,
    Namespace,
    Runner,
    Waiter,
    Module,
}

#[track_caller]
fn ask(raw: &mut Option<Raw>, message: &Message) {
    let answer = raw.as_mut().expect("open").request(message);
    assert_eq!(answer.errno, 0, "{answer:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one round after another")]
fn everything_may_end_in_any_order() {
    const ROUNDS: usize = 120;
    let _reload = Reload;
    let mut numbers = Numbers::new();
    let before = namespaces();
    let start = Instant::now();
    for round in 0..ROUNDS {
        let mut order = vec![
            End::Creator,
            End::Subscriber,
            End::Reference,
            End::Listener,
            End::State,
            End::Namespace,
            End::Runner,
            End::Waiter,
        ];
        if round % 8 == 0 {
            order.push(End::Module);
        }
        numbers.shuffle(&mut order);
        // A moment in which what was done before may be under way, or not.
        let pauses: Vec<_> = order.iter().map(|_| numbers.below(4)).collect();
        let script = [
            "while true do end",
            "local s = require('lunatik').send while true do s(('x'):rep(1000)) end",
            "while true do local s = ('x'):rep(500000) end",
            "while true do print(('x'):rep(1000)) end",
            "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        ][numbers.below(5)];
        let flags = [0, 1][numbers.below(2)];

        let origin = Process::fork(|parent| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may");
            for _ in 0..7 {
                parent.give(Raw::here());
            }
            parent.hear("end");
        });
        let socket = || Some(Raw::from(origin.peer().take()));
        let (mut creator, mut subscriber, mut reference) = (socket(), socket(), socket());
        let (mut listener, mut running, mut waiting) = (socket(), socket(), socket());
        let mut closer = socket();
        ask(
            &mut creator,
            &named(C::LUNATIK_CMD_NEWSTATE, "a").u32(A::LUNATIK_A_FLAGS, flags),
        );
        ask(
            &mut subscriber,
            &named(C::LUNATIK_CMD_GETSTATE, "a").u32(A::LUNATIK_A_FLAGS, 4),
        );
        ask(&mut reference, &named(C::LUNATIK_CMD_GETSTATE, "a"));
        for group in ["events", "log"] {
            let listener = listener.as_mut().expect("open");
            listener.join(group).expect("root may");
        }
        let mut processes = [&mut running, &mut waiting].map(|raw| {
            let mut raw = raw.take().expect("open");
            Some(Process::fork(|parent| {
                parent.close_all_but(&[&raw]);
                parent.say("started");
                let message = code("a", script).u32(A::LUNATIK_A_TIMEOUT, 10_000_000);
                let errno = raw.request(&message).errno;
                let ends = [libc::ESHUTDOWN, libc::ENOENT, libc::EINTR];
                assert!(ends.contains(&errno), "{errno}");
            }))
        });
        for process in processes.iter().flatten() {
            process.peer().hear("started");
        }
        let mut origin = Some(origin);
        for (end, pause) in order.iter().zip(&pauses) {
            let moment = Instant::now();
            match end {
                End::Creator => drop(creator.take()),
                End::Subscriber => drop(subscriber.take()),
                End::Reference => drop(reference.take()),
                End::Listener => drop(listener.take()),
                End::State => {
                    let force = named(C::LUNATIK_CMD_CLOSE, "a").u32(A::LUNATIK_A_FLAGS, 2);
                    let errno = closer.take().expect("open").request(&force).errno;
                    // It may have gone with its last reference or with the module.
                    assert!([0, libc::ENOENT].contains(&errno), "{order:?}: {errno}");
                }
                End::Namespace => {
                    if let Some(origin) = origin.take() {
                        origin.kill();
                    }
                }
                End::Runner | End::Waiter => {
                    let index = usize::from(matches!(end, End::Waiter));
                    if let Some(process) = processes[index].take() {
                        process.kill();
                    }
                }
                End::Module => {
                    unload();
                }
            }
            let elapsed = moment.elapsed();
            assert!(
                elapsed < SOON,
                "round {round}, {order:?}: {end:?} took {elapsed:?}"
            );
            thread::sleep(Duration::from_millis((*pause).try_into().expect("small")));
        }
        if round % 8 == 0 {
            load();
        }
    }
    namespaces_end(0, before);
    tell!("{ROUNDS} rounds in {:?}", start.elapsed());
    let netns = Netns::new();
    assert_eq!(integer(&netns.state("a"), "return 6 * 7"), 42);
}
