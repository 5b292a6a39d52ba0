// SPDX-License-Identifier: MIT OR Apache-2.0
//! However deep a script recurses and whatever it calls down there, the kernel
//! stack keeps a margin. A probe in the kernel tells how far it was used.

use std::{
    fs,
    net::UdpSocket,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lunatik::{Context, Session, State};
use lunatik_tests::{
    Asker, Netns, Packet, Stack,
    bpf::{HOSTILE, MORE, Pins, kfuncs},
    by_kernel, integer, load_probe, lua, run, tell,
};

/// Bytes of kernel stack that are never used.
const MARGIN: u64 = 2048;

/// Ways to recurse: each calls `next` one level deeper.
const WAYS: &[(&str, &str)] = &[
    ("pcall", "return pcall(next)"),
    (
        "pcall, error passed on",
        "local ok, e = pcall(next) if not ok then error(e, 0) end",
    ),
    (
        "xpcall",
        "return xpcall(next, function(e) leaf() return e end)",
    ),
    ("xpcall, next as its handler", "return xpcall(error, next)"),
    ("gsub", "return (('x'):gsub('x', next))"),
    ("sort", "table.sort({3, 2, 1}, next)"),
    ("wrap", "return coroutine.wrap(next)()"),
    ("resume", "return coroutine.resume(coroutine.create(next))"),
    (
        "close of a coroutine",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = next}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
    ),
    ("__index", "return setmetatable({}, {__index = next}).x"),
    ("__add", "return setmetatable({}, {__add = next}) + 1"),
    (
        "__concat",
        "return setmetatable({}, {__concat = next}) .. 'x'",
    ),
    (
        "__eq",
        "return setmetatable({}, {__eq = next}) == setmetatable({}, {})",
    ),
    ("__lt", "return setmetatable({}, {__lt = next}) < 1"),
    ("__len", "return #setmetatable({}, {__len = next})"),
    ("__call", "return (setmetatable({}, {__call = next})())"),
    (
        "__close",
        "local x <close> = setmetatable({}, {__close = next})",
    ),
    (
        "tostring",
        "return tostring(setmetatable({}, {__tostring = next}))",
    ),
    (
        "format",
        "return ('%s'):format(setmetatable({}, {__tostring = next}))",
    ),
    ("print", "print(setmetatable({}, {__tostring = next}))"),
    (
        "concat",
        "return table.concat(setmetatable({}, {__index = next}), '', 1, 1)",
    ),
    ("load", "return load(next)"),
    (
        "require",
        "local n = 'm' .. math.random(1 << 40) package.preload[n] = next require(n)",
    ),
    (
        "pairs",
        "for _ in pairs(setmetatable({}, {__pairs = next})) do end",
    ),
    ("an iterator", "for _ in next do end"),
];

/// What is called at every depth.
const LEAVES: &[(&str, &str)] = &[
    ("nothing", ""),
    (
        "format",
        "return ('%s %d %q %10.5s %x %c %i %-20p %o %5.3d'):format({}, 1 << 62, 'a\\n\\0z', 'abc', -1, 65, 7, {}, 8, 9)",
    ),
    (
        "a long format",
        "return ('%s%s%s%s%q'):format(long, long, long, long, long)",
    ),
    ("an error in format", "return ('%y'):format(1)"),
    (
        "__tostring of a name",
        "return tostring(setmetatable({}, {__name = long}))",
    ),
    ("print", "print('a line', 1, {}, print)"),
    ("print of much", "print(long:sub(1, 4000))"),
    ("warn", "warn('a', 'b')"),
    ("send", "lunatik.send('data')"),
    ("send of much", "lunatik.send(long:sub(1, 60000))"),
    ("rep", "return ('x'):rep(100000)"),
    ("rep of too much", "return ('x'):rep(1 << 40)"),
    (
        "gsub",
        "return (('hello world'):gsub('(o)(.?)', '%2%1')), ('abc'):gsub('%w', {a = 1})",
    ),
    (
        "a pattern",
        "return ('x'):rep(100):find(('(x'):rep(30) .. (')'):rep(30)), ('((a))'):match('%b()')",
    ),
    (
        "pack",
        "return string.unpack('z s4 i8 I3', string.pack('z s4 i8 I3', 'a', 'b', 1, 2))",
    ),
    (
        "concat",
        "return table.concat({1, 2, 3, 'x', long, long}, long:sub(1, 2000))",
    ),
    ("..", "return 1 .. 2 .. long .. 3 .. {} "),
    (
        "sort",
        "local t = {} for i = 1, 50 do t[i] = -i end table.sort(t)",
    ),
    ("unpack", "return table.unpack({}, 1, 1000)"),
    (
        "a table that grows",
        "local t = {} for i = 1, 600 do t[i] = i t['k' .. i] = {} end",
    ),
    (
        "load",
        "return load('local a, b = 1, {x = 2} return function(...) return a + b.x, ... end')()",
    ),
    ("load of an error", "return load('return 1 +')"),
    (
        "load of a nest",
        "return load('return ' .. ('('):rep(20) .. '1' .. (')'):rep(20))",
    ),
    ("require", "return require('none such')"),
    ("a full collection", "collectgarbage()"),
    (
        "steps of collection",
        "for i = 1, 20 do collectgarbage('step', 10) end",
    ),
    (
        "a coroutine",
        "local co = coroutine.wrap(function(...) for i = 1, 3 do coroutine.yield(i) end error('x') end) co() co() co() co()",
    ),
    (
        "close of a coroutine",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() error 'x' end}) coroutine.yield() end) coroutine.resume(co) return coroutine.close(co)",
    ),
    (
        "utf8",
        "return utf8.char(1, 200, 70000), utf8.len(long), utf8.codepoint('abc', 1, 3)",
    ),
    (
        "tonumber",
        "return tonumber('0x7fffffffffffffffff'), tonumber('zz', 36), tonumber('1e5')",
    ),
    (
        "tostring",
        "return tostring(print), tostring({}), tostring(-1 << 63)",
    ),
    (
        "math",
        "return math.random(1 << 40), math.fmod(-1 << 63, -1), math.tointeger('x')",
    ),
    ("an error", "error('text')"),
    ("an error of level 2", "error('text', 2)"),
    (
        "an error that is a table",
        "error(setmetatable({}, {__tostring = function() return long end}))",
    ),
    ("arithmetic on nil", "local t = {} return t.x.y + 1"),
    ("a call of nil", "local t = {} t.x.y.z()"),
    ("a comparison that fails", "return {} < 1"),
    ("a division", "return 1 // 0"),
    ("a float", "return 1 / 2"),
    ("an assertion", "assert(false, {})"),
    ("a bad argument", "return setmetatable(1, 2)"),
    ("pcall of an error", "return pcall(error, 'x')"),
    (
        "xpcall with a traceback of much",
        "return xpcall(error, function(e) return tostring(e) .. ('%s'):format(long) end)",
    ),
    (
        "deep Lua calls",
        "local function f(n) if n > 0 then return 1 + f(n - 1) end return 0 end return f(300)",
    ),
    (
        "a vararg call of much",
        "return select('#', table.unpack({}, 1, 300))",
    ),
    (
        "a __close",
        "local x <close> = setmetatable({}, {__close = function() error('closing') end})",
    ),
    ("a __gc", "setmetatable({}, {__gc = print})"),
    ("goto and loops", "for i = 10, 1, 'x' do end"),
];

/// The script that goes down `way` after `offset` levels of another way, first to
/// see how far that goes, then to do `leaf` at the last few levels.
fn script(way: &str, leaf: &str, offset: usize) -> String {
    format!(
        "lunatik, long = lunatik or require 'lunatik', long or ('0123456789'):rep(400)
        local n, from, deepest, next = 0, 1000, 0
        local function act() {leaf} end
        function leaf() if n >= from then act() end end
        local function bare() n = n + 1 if n > 300 then error('done', 0) end leaf() {way} end
        local function guarded() n = n + 1 if n > 300 then error('done', 0) end
            if n >= from then pcall(act) end {way} end
        local function shift(k)
            if k == 0 then return next() end
            return setmetatable({{}}, {{__index = function() return shift(k - 1) end}}).x
        end
        local function down(f)
            n, next = 0, f
            pcall(shift, {offset})
            deepest = n > deepest and n or deepest
        end
        down(bare)
        from = deepest - 3
        down(guarded)
        coroutine.wrap(function() down(bare) end)()
        n, next = 0, bare
        return shift({offset})"
    )
}

fn state(session: &Session, name: &str, max_alloc: u32) -> State {
    session
        .new_state(name)
        .max_alloc(max_alloc)
        .timeout(Duration::from_secs(10))
        .create()
        .expect("a state")
}

/// How much is tried.
struct Extent {
    /// Levels of another way before the one that is tried: frames come to lie otherwise.
    offsets: &'static [usize],
    /// Each way is tried with one leaf of so many, each with others.
    every: usize,
}

impl Extent {
    /// A kernel with checkers takes ten times as long.
    fn of_this_kernel() -> Self {
        let version = fs::read_to_string("/proc/version").expect("a version");
        let (offsets, every): (&[usize], _) = if version.contains("debug") {
            (&[0], 4)
        } else {
            (&[0, 1, 2], 1)
        };
        Self { offsets, every }
    }
}

/// The least margin over all ways and leaves; fails below `MARGIN`.
fn all(max_alloc: u32) {
    let extent = Extent::of_this_kernel();
    load_probe();
    let netns = Netns::new();
    // Someone listens, so that the deepest paths into the kernel are taken.
    let listener = netns.session();
    let _events = listener.events().expect("events");
    let _log = listener.log_follow().expect("log");
    let mut least = Vec::new();
    for (number, (way_name, way)) in WAYS.iter().enumerate() {
        let begin = Instant::now();
        let session = netns.session();
        let state = state(&session, "deep", max_alloc);
        let _data = state.subscribe().expect("subscribes");
        let mut worst = (u64::MAX, "");
        for (leaf_name, leaf) in LEAVES
            .iter()
            .skip(number % extent.every)
            .step_by(extent.every)
        {
            Stack::Thread.forget();
            for offset in extent.offsets {
                let _ = state.do_string(script(way, leaf, *offset));
            }
            worst = worst.min((Stack::Thread.left(), leaf_name));
        }
        assert_eq!(integer(&state, "return 42"), 42, "after {way_name}");
        state.close_force().expect("closes");
        println!(
            "{:6} bytes left: {way_name}, {} ({:?})",
            worst.0,
            worst.1,
            begin.elapsed()
        );
        least.push((worst.0, *way_name, worst.1));
    }
    let (bytes, way, leaf) = least.into_iter().min().expect("some");
    assert!(bytes >= MARGIN, "{bytes} bytes left: {way}, {leaf}");
}

#[test]
fn with_memory_enough() {
    all(16 << 20);
}

#[test]
fn with_memory_short() {
    all(160 << 10);
}

/// The parser recurses for each level of its source.
#[test]
fn in_the_parser() {
    load_probe();
    let netns = Netns::new();
    let state = state(&netns.session(), "deep", 16 << 20);
    let mut least = u64::MAX;
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("{", "", "}"),
        ("{{}, ", "", "}"),
        ("- ", "1", ""),
        ("not ", "1", ""),
        ("1 .. ", "1", ""),
        ("1 ^ ", "1", ""),
        ("f(", "1", ")"),
        ("function() return ", "1", " end"),
        (
            "function() local a <close>, b <const> = 1, ",
            "1",
            " return a end",
        ),
        ("t[", "1", "]"),
        (
            "(function(...) for i = 1, 2 do while x do repeat if y then return ",
            "1",
            " end until z end end end)()",
        ),
    ] {
        Stack::Thread.forget();
        for depth in 1..90 {
            for broken in ["", " 1.5", " =", " 'x"] {
                let code = format!(
                    "return {}{middle}{broken}{}",
                    open.repeat(depth),
                    close.repeat(depth)
                );
                let _ = state.do_string(&code);
            }
        }
        println!("{:6} bytes left: {open}", Stack::Thread.left());
        least = least.min(Stack::Thread.left());
    }
    assert!(least >= MARGIN, "{least} bytes left");
}

/// What happens to a script that goes down with a packet in hand, on whichever stack:
/// each way with some of the leaves. `prepare` registers the function `deep` of the
/// state, `pass` has it called, and the result is what it leaves of the stack.
fn with_packets(
    netns: &Netns,
    leaves: &[(&str, &str)],
    every: usize,
    prepare: impl Fn(&State),
    mut pass: impl FnMut(&State) -> u64,
) {
    let listener = netns.session();
    let _events = listener.events().expect("events");
    let _log = listener.log_follow().expect("log");
    let session = netns.session();
    let longest = session.info().expect("info").max_softirq_timeout;
    let mut least = (u64::MAX, "", "");
    for (number, (way_name, way)) in WAYS.iter().enumerate() {
        let new = session.new_state("deep").context(Context::Softirq);
        let new = new.max_alloc(4 << 20).timeout(longest);
        let state = new.create().expect("a state");
        let _data = state.subscribe().expect("subscribes");
        lua(&state, "n = 0");
        prepare(&state);
        for (leaf_name, leaf) in leaves.iter().skip(number % every).step_by(every) {
            lua(
                &state,
                &format!("function deep(pkt) n = n + 1 {} end", script(way, leaf, 0)),
            );
            least = least.min((pass(&state), way_name, leaf_name));
        }
        assert!(integer(&state, "return n") > 0, "{way_name}");
        state.close_force().expect("closes");
    }
    let (bytes, way, leaf) = least;
    println!("{bytes:6} bytes left: {way}, {leaf}");
    assert!(bytes >= MARGIN, "{bytes} bytes left: {way}, {leaf}");
}

fn on_hook(hook: &str) -> impl Fn(&State) {
    let code = format!(
        "require 'netfilter'.register{{family = 'ipv4', hook = '{hook}', function(pkt) return deep(pkt) end}}"
    );
    move |state| drop(lua(state, &code))
}

fn send(netns: &Netns, to: &str, stack: Stack) -> u64 {
    // The stacks of interrupts are everybody's.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    netns.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        stack.forget();
        socket.send_to(b"data", to).expect("sends");
        stack.left()
    })
}

/// A packet that a task sends meets a script on what is left of the task's stack then,
/// where nothing may sleep.
#[test]
fn in_a_hook() {
    load_probe();
    let netns = Netns::new();
    for line in [
        "link add dummy0 type dummy",
        "addr add 10.9.0.1/24 dev dummy0",
        "link set dummy0 up",
    ] {
        run(netns.command("ip").args(line.split(' '))).success();
    }
    let every = 3 * Extent::of_this_kernel().every;
    with_packets(&netns, LEAVES, every, on_hook("output"), |_| {
        send(&netns, "10.9.0.2:9", Stack::Thread)
    });
}

/// One that comes in meets it on the stack of interrupts.
#[test]
fn in_a_softirq() {
    if by_kernel(false, true) {
        tell!("skipped: user-mode Linux has other stacks for interrupts");
        return;
    }
    load_probe();
    let netns = Netns::new();
    run(netns.command("ip").args(["link", "set", "lo", "up"])).success();
    let every = 3 * Extent::of_this_kernel().every;
    with_packets(&netns, LEAVES, every, on_hook("input"), |_| {
        send(&netns, "127.0.0.1:9", Stack::Interrupts)
    });
}

/// The programs of `HOSTILE` as leaves.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "programs",
        "for i = 1, #programs do pcall(programs[i], pkt) end",
    ),
    ("tail calls", "tails(pkt)"),
    ("a program that sends", "send(pkt)"),
];

/// Puts devices upon each other, as many as the kernel allows: what the uppermost, `d7`,
/// sends goes through all of them.
fn build_tower(netns: &Netns) {
    let ip = |line: String| {
        run(netns.command("ip").args(line.split(' '))).success();
    };
    ip("link set lo up".into());
    ip("link add d0 type dummy".into());
    for level in 1..8 {
        let vlan = format!("vlan id {level}");
        let other = by_kernel("macvlan", &vlan);
        let kind = if level % 2 == 0 { other } else { &vlan };
        ip(format!("link add d{level} link d{} type {kind}", level - 1));
    }
    for level in 0..8 {
        ip(format!("link set d{level} up"));
    }
}

/// A namespace with all that, and programs.
fn tower() -> (Netns, Pins, String) {
    load_probe();
    let netns = Netns::new();
    build_tower(&netns);
    let pins = Pins::new();
    pins.load(HOSTILE);
    pins.link("xdp_next", "xdp_tails");
    pins.link("tc_next", "tc_tails");
    let list = |names: &[&str]| -> String {
        let one = |name: &&str| format!("bpf.prog '{}', ", pins.path(name));
        names.iter().map(one).collect()
    };
    let code = format!(
        "bpf = require 'bpf'
         xdp = {{{}}}
         tc = {{{}}}
         local top = require 'linux'.ifindex 'd7'
         function send(pkt) pkt:mark(top) tc[2](pkt) end",
        list(&["xdp_tails", "xdp_head", "xdp_write", "xdp_away"]),
        list(&[
            "tc_tails", "tc_clone", "tc_store", "tc_proto", "tc_vlan", "tc_pull"
        ]),
    );
    (netns, pins, code)
}

/// Programs that a script calls at its deepest have stacks of their own, and so has what
/// they call in the kernel.
#[test]
fn below_programs() {
    let (netns, pins, code) = tower();
    if by_kernel(true, false) {
        pins.load(MORE);
    }
    for xdp in [true, false] {
        let asker = Asker::new(&pins, xdp);
        let kind = if xdp { "xdp" } else { "tc" };
        let leaves = if xdp { &PROGRAMS[..2] } else { PROGRAMS };
        with_packets(
            &netns,
            leaves,
            1,
            |state| {
                lua(
                    state,
                    &format!(
                        "{code} programs, tails = {kind}, {kind}[1]
                         require '{kind}'.register(function(pkt) return deep(pkt) end)"
                    ),
                );
            },
            |state| {
                let id = state.snapshot().expect("a description").id;
                let mut bytes = vec![0; 200];
                bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
                let packet = Packet {
                    bytes: &bytes,
                    linear: 200,
                    cloned: false,
                };
                if by_kernel(true, false) {
                    pins.set("asked", id);
                }
                netns.within(|| {
                    Stack::Thread.forget();
                    asker.pass(id, &packet).expect("a call");
                    Stack::Thread.left()
                })
            },
        );
    }
}

#[test]
fn below_programs_in_a_softirq() {
    if !kfuncs() {
        return;
    }
    let (netns, _pins, code) = tower();
    with_packets(
        &netns,
        PROGRAMS,
        1,
        |state| {
            lua(
                state,
                &format!(
                    "{code} programs, tails = tc, tc[1]
                     require 'tc'.register(function(pkt) return deep(pkt) end)"
                ),
            );
            netns
                .ctl(&["tc", "attach", "deep", "--dev", "lo", "ingress"])
                .success();
        },
        |_| send(&netns, "127.0.0.1:9", Stack::Interrupts),
    );
}
