// SPDX-License-Identifier: MIT OR Apache-2.0
//! However deep a script recurses and whatever it calls down there, the kernel
//! stack keeps a margin. A probe in the kernel tells how far it was used.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::Command,
    sync::Once,
    time::{Duration, Instant},
};

use lunatik::{Context, Session, State};
use lunatik_tests::{Netns, integer, lua, run};

/// Bytes of kernel stack that are never used.
const MARGIN: u64 = 2048;

/// The probe's file; `tests/probe` is its source.
const PROBE: &str = "/proc/lunatik_stack";

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

/// Loads the probe, which stays: some other test may be using it.
fn load_probe() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        if !Path::new(PROBE).exists() {
            run(Command::new("insmod").arg("/files/lunatik_probe.ko")).success();
        }
    });
}

fn left() -> u64 {
    let text = fs::read_to_string(PROBE).expect("the probe");
    text.trim().parse().expect("a number")
}

fn forget() {
    fs::write(PROBE, "0").expect("the probe");
}

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
            forget();
            for offset in extent.offsets {
                let _ = state.do_string(script(way, leaf, *offset));
            }
            worst = worst.min((left(), leaf_name));
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
        forget();
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
        println!("{:6} bytes left: {open}", left());
        least = least.min(left());
    }
    assert!(least >= MARGIN, "{least} bytes left");
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
    let listener = netns.session();
    let _events = listener.events().expect("events");
    let _log = listener.log_follow().expect("log");
    let session = netns.session();
    let longest = session.info().expect("info").max_softirq_timeout;
    let every = 3 * Extent::of_this_kernel().every;
    let mut least = (u64::MAX, "", "");
    for (number, (way_name, way)) in WAYS.iter().enumerate() {
        let new = session.new_state("deep").context(Context::Softirq);
        let new = new.max_alloc(4 << 20).timeout(longest);
        let state = new.create().expect("a state");
        let _data = state.subscribe().expect("subscribes");
        lua(
            &state,
            "n = 0
             require 'netfilter'.register{family = 'ipv4', hook = 'output', function(pkt)
               n = n + 1
               return deep(pkt)
             end}",
        );
        for (leaf_name, leaf) in LEAVES.iter().skip(number % every).step_by(every) {
            lua(
                &state,
                &format!("function deep(pkt) {} end", script(way, leaf, 0)),
            );
            let left = netns.within(|| {
                let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
                forget();
                socket.send_to(b"data", "10.9.0.2:9").expect("sends");
                left()
            });
            least = least.min((left, way_name, leaf_name));
        }
        assert!(integer(&state, "return n") > 0, "{way_name}");
        state.close_force().expect("closes");
    }
    let (bytes, way, leaf) = least;
    println!("{bytes:6} bytes left: {way}, {leaf}");
    assert!(bytes >= MARGIN, "{bytes} bytes left: {way}, {leaf}");
}
