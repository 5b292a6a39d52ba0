// SPDX-License-Identifier: MIT OR Apache-2.0
//! References, subscribers, states, namespaces and the module, which may end in any
//! order and at any moment. It runs alone, because it unloads the module and counts
//! what the kernel has.

use std::{
    array,
    collections::VecDeque,
    env,
    fs::{self, File},
    os::fd::{AsFd, AsRawFd},
    process::Command,
    sync::LazyLock,
    thread,
    time::{Duration, Instant, SystemTime},
};

use lunatik_sys::{lunatik_attr as A, lunatik_cmd as C};
use lunatik_tests::{
    Cgroup, Message, Netns, Peer, Process, Raw, SOON, eventually, every_operation, integer,
    namespaces, namespaces_end, run, sleeper, tell,
};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module},
    libc,
    sched::{CloneFlags, unshare},
    sys::socket::{MsgFlags, recv},
};

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        load();
    }
}

/// How soon "at once" must be: far less than the deadline of what runs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Loads the module, without the cost of a modprobe for each time.
fn load() {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let output = run(Command::new("modinfo").args(["-n", "lunatik"]));
        output.success().trim().to_owned()
    });
    let file = File::open(&*PATH).expect("the module's file");
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        // Somebody's first request may have loaded it.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => panic!("cannot load: {error}"),
    }
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

fn flags(message: Message, flags: u32) -> Message {
    message.u32(A::LUNATIK_A_FLAGS, flags)
}

fn subscribe(name: &str) -> Message {
    flags(named(C::LUNATIK_CMD_GETSTATE, name), 4)
}

fn close(name: &str) -> Message {
    flags(named(C::LUNATIK_CMD_CLOSE, name), 2)
}

/// A request that may take the longest time.
fn patient(message: Message) -> Message {
    message.u32(A::LUNATIK_A_TIMEOUT, 10_000_000)
}

/// A script that only the end of its time, of its caller or of its state ends.
fn endless(name: &str) -> Message {
    patient(code(
        name,
        "while true do pcall(function() while true do end end) end",
    ))
}

/// Sends a request and tells the parent what errno came of it.
fn report(parent: &Peer, raw: &mut Raw, message: &Message) {
    parent.say("started");
    parent.say(&raw.request(message).errno.to_string());
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
        // A long reply, read to its end: until then it is a dump, for which the
        // kernel keeps the module.
        raw.request(&code(&name, "local s = ('x'):rep(60000) return s, s, s"));
    }
    unreachable!()
}

#[test]
fn the_module_unloads_whenever_it_is_asked_to_under_load() {
    const ROUNDS: u32 = 100;
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
        let mut raw = netns.raw();
        assert_eq!(raw.request(&named(C::LUNATIK_CMD_NEWSTATE, "a")).errno, 0);
        let answer = raw.request(&patient(code("a", "return 1")));
        assert_eq!(answer.errno, 0, "{answer:?}");
    }
    tell!(
        "{ROUNDS} times in {:?}: busy {busy} times, the longest took {longest:?}",
        start.elapsed()
    );
    client.kill();
    runner.kill();
    // Runs are ended, not waited for: theirs would take 10 s.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    unload();
    load();
    let session = netns.session();
    assert_eq!(session.states().expect("a listing"), []);
    assert_eq!(session.info().expect("info").alloc, 0);
}

#[test]
fn a_reply_that_nobody_reads_keeps_the_module() {
    let _reload = Reload;
    let netns = Netns::new();
    let mut raw = netns.raw();
    assert_eq!(raw.request(&named(C::LUNATIK_CMD_NEWSTATE, "a")).errno, 0);
    raw.send(&code("a", "local s = ('x'):rep(60000) return s, s, s"));
    for _ in 0..3 {
        let result = delete_module(c"lunatik", DeleteModuleFlags::O_NONBLOCK);
        assert_eq!(result, Err(Errno::EWOULDBLOCK));
    }
    // It is in use, not on its way out.
    let mut other = netns.raw();
    assert_eq!(other.request(&code("a", "return 1")).errno, 0);
    drop(raw);
    unload();
}

/// Makes the kernel wait for RCU the quick way while this lives: 6.1 waits for each
/// namespace that ends, which takes longer than all else here. Where there is one
/// CPU it never waits, and has no such setting.
struct Expedited;

impl Expedited {
    fn new() -> Self {
        Self::set("1");
        Self
    }

    fn set(value: &str) {
        let _ = fs::write("/sys/kernel/rcu_expedited", value);
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        Self::set("0");
    }
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
            flags(named(C::LUNATIK_CMD_NEWSTATE, "e"), 1),
            code("a", "x = ('x'):rep(100000) print 'x'"),
        ] {
            assert_eq!(first.request(&message).errno, 0);
        }
        // References, a subscriber with data that it has not read, listeners.
        second.join("events").expect("root may");
        second.join("log").expect("root may");
        for message in [named(C::LUNATIK_CMD_GETSTATE, "a"), subscribe("a")] {
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
    let _expedited = Expedited::new();
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
        // Those that are full run scripts, which slow the others down.
        if running.len() > 1 {
            let process = running.pop_front().expect("two");
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
    const ROUNDS: usize = 80;
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
        let ephemeral = numbers.below(2) == 1;
        let settled = numbers.below(2) == 1;

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
            &flags(named(C::LUNATIK_CMD_NEWSTATE, "a"), ephemeral.into()),
        );
        ask(&mut subscriber, &subscribe("a"));
        ask(&mut reference, &named(C::LUNATIK_CMD_GETSTATE, "a"));
        for group in ["events", "log"] {
            let listener = listener.as_mut().expect("open");
            listener.join(group).expect("root may");
        }
        let mut processes = [&mut running, &mut waiting].map(|raw| {
            let mut raw = raw.take().expect("open");
            Some(Process::fork(|parent| {
                parent.close_all_but(&[&raw]);
                report(parent, &mut raw, &patient(code("a", script)));
            }))
        });
        for process in processes.iter().flatten() {
            process.peer().hear("started");
        }
        // One waits: the other one runs.
        if settled {
            sleeper(processes.iter().flatten().map(Process::pid));
        }
        let mut ended = false;
        let mut origin = Some(origin);
        for (end, pause) in order.iter().zip(&pauses) {
            let moment = Instant::now();
            match end {
                End::Creator => drop(creator.take()),
                End::Subscriber => drop(subscriber.take()),
                End::Reference => drop(reference.take()),
                End::Listener => drop(listener.take()),
                End::State => {
                    let errno = closer.take().expect("open").request(&close("a")).errno;
                    let expected = if ended { libc::ENOENT } else { 0 };
                    assert_eq!(errno, expected, "round {round}, {order:?}");
                    ended = true;
                }
                End::Namespace => {
                    if let Some(origin) = origin.take() {
                        origin.kill();
                    }
                }
                End::Runner | End::Waiter => {
                    let index = usize::from(matches!(end, End::Waiter));
                    let process = processes[index].take().expect("not ended");
                    if ended {
                        let errno = process.peer().line();
                        let late = !settled && errno == libc::ENOENT.to_string();
                        assert!(
                            late || errno == libc::ESHUTDOWN.to_string(),
                            "round {round}, {order:?}: {end:?} got {errno}"
                        );
                        process.join();
                    } else {
                        process.kill();
                    }
                }
                End::Module => {
                    unload();
                    ended = true;
                }
            }
            ended |= ephemeral
                && [&creator, &subscriber, &reference]
                    .iter()
                    .all(|raw| raw.is_none());
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

#[test]
fn force_ends_all_who_run_wait_and_send() {
    for script in [
        "while true do end",
        "local s = require('lunatik').send while true do s(('x'):rep(1000)) end",
        "while true do print(('x'):rep(1000)) end",
        "while true do local s = ('x'):rep(300000) end",
        "while true do pcall(error) end",
        "local t = setmetatable({}, {__close = function() while true do end end}) \
         while true do local x <close> = t end",
    ] {
        let netns = Netns::new();
        let (mut creator, mut closer) = (netns.raw(), netns.raw());
        let sockets: [Raw; 3] = array::from_fn(|_| netns.raw());
        for message in [
            named(C::LUNATIK_CMD_NEWSTATE, "a"),
            code("a", "require('lunatik').receive(print)"),
        ] {
            assert_eq!(creator.request(&message).errno, 0);
        }
        let mut subscriber = netns.raw();
        assert_eq!(subscriber.request(&subscribe("a")).errno, 0);
        let data = named(C::LUNATIK_CMD_SENDDATA, "a").attr(A::LUNATIK_A_DATA, b"x");
        let messages = [
            code("a", script),
            code("a", "print 'my turn'"),
            data.clone(),
        ];
        let mut sockets = sockets.into_iter();
        let mut processes = Vec::new();
        for message in messages.map(patient) {
            let mut raw = sockets.next().expect("three");
            let process = Process::fork(|parent| {
                report(parent, &mut raw, &message);
                parent.hear("again");
                report(parent, &mut raw, &message);
            });
            process.peer().hear("started");
            if processes.is_empty() {
                // Until it runs: others would wait.
                eventually("it runs", || {
                    let errno = closer
                        .request(&code("a", "").u32(A::LUNATIK_A_TIMEOUT, 50_000))
                        .errno;
                    errno == libc::ETIME
                });
            } else {
                sleeper([process.pid()]);
            }
            processes.push(process);
        }
        let start = Instant::now();
        assert_eq!(closer.request(&close("a")).errno, 0);
        assert!(start.elapsed() < AT_ONCE, "{script}: {:?}", start.elapsed());
        for process in &processes {
            assert_eq!(
                process.peer().line(),
                libc::ESHUTDOWN.to_string(),
                "{script}"
            );
        }
        assert!(start.elapsed() < AT_ONCE, "{script}: {:?}", start.elapsed());
        for process in processes {
            process.peer().say("again");
            process.peer().hear("started");
            process.peer().hear(&libc::ENOENT.to_string());
            process.join();
        }
        for message in [
            code("a", ""),
            data,
            named(C::LUNATIK_CMD_GETSTATE, "a"),
            named(C::LUNATIK_CMD_PUTSTATE, "a"),
            close("a"),
        ] {
            assert_eq!(creator.request(&message).errno, libc::ENOENT);
        }
        assert_eq!(netns.session().info().expect("info").alloc, 0);
    }
}

#[test]
fn subscribers_die_while_they_are_sent_to() {
    const COUNT: usize = 100;
    let netns = Netns::new();
    let mut numbers = Numbers::new();
    let mut raw = netns.raw();
    assert_eq!(raw.request(&named(C::LUNATIK_CMD_NEWSTATE, "a")).errno, 0);
    let runner = Process::fork(|parent| {
        let mut raw = netns.raw();
        let message = patient(code(
            "a",
            "local s = require('lunatik').send while true do s(('x'):rep(2000)) end",
        ));
        parent.say("started");
        let errno = loop {
            let errno = raw.request(&message).errno;
            if errno != libc::ETIME {
                break errno;
            }
        };
        parent.say(&errno.to_string());
    });
    runner.peer().hear("started");
    let start = Instant::now();
    let mut alive = VecDeque::new();
    for n in 0..COUNT {
        let reads = n % 3 > 0;
        alive.push_back(Process::fork(|parent| {
            netns.enter();
            let mut sockets: [_; 3] = array::from_fn(|_| Raw::here());
            parent.say("there");
            for raw in &mut sockets {
                // The answer may get lost among the data.
                raw.send(&subscribe("a"));
            }
            parent.say("subscribed");
            let mut buffer = [0; 4096];
            // One in three lets the kernel fill its buffer.
            if reads {
                loop {
                    for raw in &sockets {
                        let _ = recv(raw.as_fd().as_raw_fd(), &mut buffer, MsgFlags::empty());
                    }
                }
            }
            thread::sleep(SOON);
        }));
        if alive.len() > 8 {
            let process = alive
                .swap_remove_back(numbers.below(8))
                .expect("one of them");
            process.peer().hear("there");
            // Half of them are known to have subscribed.
            if n % 2 == 0 {
                process.peer().hear("subscribed");
            }
            process.kill();
        }
    }
    for process in alive {
        process.kill();
    }
    tell!(
        "{COUNT} processes with 3 subscribers each in {:?}",
        start.elapsed()
    );
    let session = netns.session();
    let states = session.states().expect("a listing");
    assert_eq!(states[0].subscribers, 0, "{states:?}");
    assert_eq!(states[0].references, 1, "{states:?}");
    assert_eq!(raw.request(&close("a")).errno, 0);
    runner.peer().hear(&libc::ESHUTDOWN.to_string());
    runner.join();
    assert_eq!(session.info().expect("info").alloc, 0);
}

#[test]
fn a_state_has_1024_subscribers_and_no_more() {
    const EACH: usize = 512;
    let netns = Netns::new();
    let state = netns.state("a");
    let send = "return require('lunatik').send('x')";
    // More descriptors than one process may have.
    let holders = [(); 2].map(|()| {
        Process::fork(|parent| {
            netns.enter();
            let mut sockets: Vec<_> = (0..EACH).map(|_| Raw::here()).collect();
            for raw in &mut sockets {
                let answer = raw.request(&subscribe("a"));
                assert_eq!(answer.errno, 0, "{answer:?}");
            }
            parent.say("subscribed");
            parent.hear("read");
            for raw in &mut sockets {
                let message = raw.receive(SOON).expect("a message");
                assert_eq!(message.text(A::LUNATIK_A_DATA).as_deref(), Some("x"));
            }
            sockets.pop();
            parent.say("read");
            parent.hear("end");
        })
    });
    for holder in &holders {
        holder.peer().hear("subscribed");
    }
    let mut raw = netns.raw();
    let answer = raw.request(&subscribe("a"));
    assert_eq!(answer.errno, libc::EDQUOT, "{answer:?}");
    let text = answer.text.expect("a text");
    assert!(
        text.contains("1024") && text.contains("subscribers"),
        "{text}"
    );
    // It may still have the state, and the others go on.
    let reference = named(C::LUNATIK_CMD_GETSTATE, "a");
    assert_eq!(raw.request(&reference).errno, 0);
    assert_eq!(raw.request(&subscribe("a")).errno, libc::EDQUOT);
    assert_eq!(integer(&state, send), 1024);
    for holder in &holders {
        holder.peer().say("read");
        holder.peer().hear("read");
    }
    // Two have gone.
    assert_eq!(integer(&state, send), 1022);
    assert_eq!(raw.request(&subscribe("a")).errno, 0);
    let mut other = netns.raw();
    assert_eq!(other.request(&subscribe("a")).errno, 0);
    assert_eq!(netns.raw().request(&subscribe("a")).errno, libc::EDQUOT);
    assert_eq!(integer(&state, send), 1024);
    for holder in holders {
        holder.kill();
    }
    assert_eq!(integer(&state, send), 2);
}

/// What ends a script that sleeps in an allocation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Awaken {
    Close,
    Kill,
    Namespace,
    Module,
    Deadline,
}

/// The kernel puts who is over its cgroup's `memory.high` to sleep for up to 2 s
/// at each allocation, and only a kill wakes it.
#[test]
fn a_script_asleep_in_an_allocation_ends() {
    let Some(cgroup) = Cgroup::new("lunatik-sleep") else {
        return;
    };
    cgroup.write("memory.high", "4M");
    let _reload = Reload;
    let before = namespaces();
    for awaken in [
        Awaken::Close,
        Awaken::Kill,
        Awaken::Namespace,
        Awaken::Module,
        Awaken::Deadline,
    ] {
        let netns = Netns::new();
        let mut raw = netns.raw();
        let state = named(C::LUNATIK_CMD_NEWSTATE, "a").u32(A::LUNATIK_A_MAX_ALLOC, 32 << 20);
        assert_eq!(raw.request(&state).errno, 0);
        let timeout = if awaken == Awaken::Deadline {
            3_000_000
        } else {
            10_000_000
        };
        let script = "t = {} for i = 1, 1 << 40 do t[i % 200] = ('x'):rep(100000 + i % 100) end";
        let message = code("a", script).u32(A::LUNATIK_A_TIMEOUT, timeout);
        let mut socket = netns.raw();
        let runner = Process::fork(|parent| {
            parent.close_all_but(&[&socket]);
            cgroup.enter();
            report(parent, &mut socket, &message);
        });
        drop(socket);
        runner.peer().hear("started");
        sleeper([runner.pid()]);
        let start = Instant::now();
        let expected = match awaken {
            Awaken::Close => {
                assert_eq!(raw.request(&close("a")).errno, 0);
                assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
                assert_eq!(raw.request(&code("a", "")).errno, libc::ENOENT);
                libc::ESHUTDOWN
            }
            Awaken::Kill => {
                runner.kill();
                assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
                assert_eq!(raw.request(&code("a", "t = nil return 1")).errno, 0);
                tell!("{awaken:?}: {:?}", start.elapsed());
                continue;
            }
            Awaken::Namespace => {
                drop(raw);
                netns.delete();
                runner.kill();
                namespaces_end(0, before);
                tell!("{awaken:?}: {:?}", start.elapsed());
                continue;
            }
            Awaken::Module => {
                unload();
                libc::ESHUTDOWN
            }
            Awaken::Deadline => libc::ETIME,
        };
        runner.peer().hear(&expected.to_string());
        runner.join();
        assert!(start.elapsed() < SOON, "{awaken:?}: {:?}", start.elapsed());
        tell!("{awaken:?}: {:?}", start.elapsed());
        if awaken == Awaken::Module {
            load();
        }
    }
}
