// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that go wrong more often than others, as Lua has them.

use std::fmt::Write as _;

use crate::random::Random;

/// None that looks like an address of the kernel.
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "-2",
    "7",
    "10",
    "63",
    "64",
    "65",
    "100",
    "127",
    "128",
    "255",
    "256",
    "257",
    "1000",
    "4095",
    "4096",
    "65535",
    "65536",
    "1000000",
    "-1000000",
    "0x7fffffff",
    "0x80000000",
    "0xffffffff",
    "1 << 32",
    "1 << 53",
    "1 << 62",
    "-(1 << 62)",
    "math.maxinteger",
    "math.mininteger",
    "math.maxinteger - 1",
    "math.mininteger + 1",
    "0x10ffff",
    "0x110000",
    "0xd800",
];

/// What goes wrong together, as the least divided by -1.
const EXTREMES: &[&str] = &["math.mininteger", "math.maxinteger", "-1", "0", "1"];

const SMALL: &[&str] = &["0", "1", "2", "3", "4", "5", "8", "16", "20", "-1", "-3"];

/// Short ones first; the long ones cost time.
const STRINGS: &[&str] = &[
    "''",
    "'x'",
    "'abc'",
    "'\\0'",
    "'a\\0b'",
    "'\\xff\\xfe'",
    "'\\u{10FFFF}'",
    "'\\u{7FFFFFFF}'",
    "'\\xc3'",
    "'10'",
    "'-0x10'",
    "' 12 '",
    "'1e5'",
    "'9223372036854775808'",
    "'nan'",
    "'__index'",
    "'%'",
    "'\\n'",
    "'\\27Lua'",
    "'\\27LuaU\\0\\x19\\x93\\r\\n\\x1a\\n'",
    "'k'",
    "'*t'",
    "('ab'):rep(50)",
    "('x'):rep(1000)",
    "('\\0'):rep(300)",
    "('a,'):rep(500)",
    "('x'):rep(20000)",
    "('('):rep(300)",
    "('x'):rep(100000)",
];

const TABLES: &[&str] = &[
    "{}",
    "{1, 2, 3}",
    "{3, 1, 2, n = 3}",
    "{nil, nil, 3}",
    "{x = 1, y = 'z', [true] = {}}",
    "{[0] = 0, [-1] = 1, [math.maxinteger] = 2}",
    "{'a', 'b', 'c', 'd', 'e'}",
    "{{}, {{}}, {{{}}}}",
    "(function() local t = {} t.t = t t[t] = t return t end)()",
    "(function() local t = {} for i = 1, 200 do t[i] = i * 7 % 31 end return t end)()",
    "setmetatable({}, {__index = function(t, k) return k end})",
    "setmetatable({}, {__index = function() error('index') end})",
    "setmetatable({}, {__index = coroutine.yield})",
    "setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v) end})",
    "setmetatable({}, {__newindex = error, __len = function() return 5 end})",
    "setmetatable({}, {__len = function() return math.maxinteger end})",
    "setmetatable({}, {__len = function() return -1 end})",
    "setmetatable({}, {__len = function() return 'many' end})",
    "setmetatable({}, {__tostring = function() return 'named' end})",
    "setmetatable({}, {__tostring = function() return 1 end})",
    "setmetatable({}, {__tostring = error})",
    "setmetatable({}, {__name = 'Type'})",
    "setmetatable({}, {__name = ('N'):rep(3000)})",
    "setmetatable({}, {__metatable = false})",
    "setmetatable({}, {__pairs = function(t) return next, t, nil end})",
    "setmetatable({}, {__pairs = function() error({}) end})",
    "setmetatable({}, {__call = function(self, ...) return ... end})",
    "setmetatable({}, {__close = function() end})",
    "setmetatable({}, {__close = function() error('close') end})",
    "setmetatable({}, {__eq = function() return true end, __lt = function() return true end, __le = error})",
    "setmetatable({}, {__concat = function(a, b) return 'joined' end, __unm = function() return 1 end})",
    "setmetatable({}, {__add = function() return 1 end, __div = function() return 2 end, __pow = error})",
    "setmetatable({}, {__idiv = coroutine.yield, __mod = function(a) return a end, __bnot = function() return 0 end})",
    "setmetatable({1, 2}, {__mode = 'kv'})",
    "setmetatable({}, {__mode = 'k', __index = string})",
    "_G",
    "package.loaded",
];

const FUNCTIONS: &[&str] = &[
    "function() end",
    "function(...) return ... end",
    "function(a, b) return a, b end",
    "function() return nil end",
    "function(a, b) return true end",
    "function(a, b) return a < b end",
    "function(a, b) return b < a end",
    "function() error('called') end",
    "function() error({}) end",
    "function() error() end",
    "function(...) coroutine.yield(...) end",
    "function(...) return coroutine.yield(...) end",
    "function(x) return tostring(x) end",
    "function() return function() end end",
    "function() return ('x'):rep(1000) end",
    "(function() local n = 0 return function() n = n + 1 if n < 20 then return n end end end)()",
    "(function() local n = 0 return function() n = n + 1 if n < 9 then return 'return ' end end end)()",
    "(function() local d, f = 0 f = function(n) d = d + 1 return d < 50 and f(n) end return f end)()",
    "(function() local f f = function(n) return 1 + f(n) end return f end)()",
    "print",
    "error",
    "pcall",
    "tostring",
    "next",
    "rawget",
    "setmetatable",
    "string.rep",
    "coroutine.yield",
    "coroutine.wrap(function() end)",
    "coroutine.wrap(function(...) while true do coroutine.yield(...) end end)",
    "coroutine.wrap(function() error('in a coroutine') end)",
    "load('return ...')",
];

/// Arguments of `data.new`.
const HEADERS: &[&str] = &[
    "20",
    "0",
    "1500",
    "'\\x45\\0\\0\\x28' .. ('\\x06'):rep(40)",
    "'\\x60\\0\\0\\0\\0\\x10\\0' .. ('\\0'):rep(300)",
    "'\\x60\\0\\0\\0\\0\\x10\\44' .. ('\\44\\0\\0\\0'):rep(100)",
    "('\\x81\\0'):rep(40)",
    "('\\xc0\\0'):rep(40)",
    "('\\1a'):rep(400)",
    "'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\xc0\\x0c\\0\\1\\0\\1'",
    "'\\x16\\3\\1\\1\\0\\1\\0\\0\\xfc\\3\\3' .. ('\\0'):rep(256)",
    "'\\4\\xd2\\1\\xbb\\0\\0\\0\\1\\0\\0\\0\\0\\xf0\\2' .. ('\\2'):rep(50)",
];

const COROUTINES: &[&str] = &[
    "coroutine.create(function() end)",
    "coroutine.create(function(...) coroutine.yield(...) end)",
    "coroutine.create(function() error({}) end)",
    "coroutine.running()",
    "(function() local c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c) return c end)()",
    "(function() local c = coroutine.create(function() end) coroutine.resume(c) return c end)()",
    "(function() local c = coroutine.create(error) coroutine.resume(c) return c end)()",
    "(function() local c c = coroutine.create(function() return coroutine.resume(c) end) return c end)()",
    "(function() local c c = coroutine.create(function() return coroutine.close(c) end) return c end)()",
    "(function() local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() coroutine.yield('closing') end}) coroutine.yield() end) coroutine.resume(c) return c end)()",
    "(function() local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() error('closing') end}) coroutine.yield() end) coroutine.resume(c) return c end)()",
];

/// Pieces of patterns.
const PATTERN: &[&str] = &[
    ".", "%a", "%d", "%s", "%w", "%p", "%x", "%c", "%z", "%g", "[a-z]", "[^x]", "[]]", "[^]",
    "[%a_]", "[a-", "(", ")", "()", "(.-)", "(.*)", "%1", "%2", "%b()", "%bxy", "%f[%w]", "%f",
    "^", "$", "-", "*", "+", "?", "x", "a", "ab", ",", "%", "%%", "[", "]", ".-", ".*", "x*",
    "(x*)*", "\\0", "\\xff",
];

const FORMAT: &[&str] = &[
    "%d", "%i", "%s", "%q", "%x", "%X", "%o", "%c", "%u", "%p", "%%", "%5d", "%-10s", "%+.3d",
    "%010d", "%.0s", "%99.99s", "%#x", "% d", "%.99d", "%100d", "%.20s", "%e", "%f", "%g", "%a",
    "%n", "%ld", "%*d", "%", "%5", "%-", "%.", "%q5", "%-5q", "text", "\\0",
];

const PACK: &[&str] = &[
    "b",
    "B",
    "h",
    "H",
    "i",
    "I",
    "l",
    "L",
    "j",
    "J",
    "T",
    "f",
    "d",
    "n",
    "i1",
    "i2",
    "i3",
    "i7",
    "i8",
    "i16",
    "i17",
    "i0",
    "I5",
    "I16",
    "s",
    "s1",
    "s2",
    "s4",
    "s8",
    "s16",
    "s17",
    "z",
    "x",
    "X",
    "Xi4",
    "Xi8",
    "X",
    "!",
    "!1",
    "!2",
    "!8",
    "!16",
    "!17",
    "<",
    ">",
    "=",
    " ",
    "c0",
    "c1",
    "c5",
    "c1000",
    "c2147483647",
    "c99999999999",
    "i2147483648",
    "?",
    "_",
];

const CHUNK: &[&str] = &[
    "return 1",
    "return ...",
    "local x = 1",
    "x =",
    "return function() end",
    "for i = 1, 3 do end",
    "goto l ::l::",
    "break",
    "return 1 // 0",
    "return 1.5",
    "return 1e3",
    "error('loaded')",
    "coroutine.yield(1)",
    "local x <const> = 1 x = 2",
    "local x <close> = 1",
    "global x x = 1",
    "return _ENV",
    "_ENV = nil return x",
    "return (function(...) return select('#', ...) end)(...)",
    "--[==[",
    "return [[",
    "return '\\q'",
    "return 0x",
    "return 99999999999999999999",
    "\\27Lua",
    "\\27LuaU\\0garbage",
    "#!shebang",
    "\\0",
];

pub(super) fn integer(random: &mut Random) -> String {
    match random.below(12) {
        0 => (random.bits() >> random.within(17, 60)).to_string(),
        1..4 => random.pick(EXTREMES).to_owned(),
        _ => random.pick(INTEGERS).to_owned(),
    }
}

pub(super) fn small(random: &mut Random) -> String {
    random.pick(SMALL).to_owned()
}

pub(super) fn string(random: &mut Random) -> String {
    match random.below(12) {
        0 => {
            let length = random.below(20);
            quote(&random.bytes(length))
        }
        // The last ones are long.
        1 => random.pick(STRINGS).to_owned(),
        _ => random.pick(&STRINGS[..STRINGS.len() - 5]).to_owned(),
    }
}

pub(super) fn table(random: &mut Random) -> String {
    random.pick(TABLES).to_owned()
}

/// In parentheses, for it may be called.
pub(super) fn function(random: &mut Random) -> String {
    format!("({})", random.pick(FUNCTIONS))
}

/// Headers that are none, or nearly some, and what they are in.
pub(super) fn buffer(random: &mut Random) -> String {
    let bytes = match random.below(3) {
        0 => {
            let length = random.below(80);
            quote(&random.bytes(length))
        }
        1 => string(random),
        _ => random.pick(HEADERS).to_owned(),
    };
    format!("require 'data'.new({bytes})")
}

pub(super) fn coroutine(random: &mut Random) -> String {
    random.pick(COROUTINES).to_owned()
}

fn pieces(random: &mut Random, from: &[&str], most: usize) -> String {
    let count = random.within(1, most);
    let pieces: String = (0..count).map(|_| random.pick(from)).collect();
    format!("'{pieces}'")
}

pub(super) fn pattern(random: &mut Random) -> String {
    match random.below(30) {
        0 => "('.-'):rep(20) .. 'b'".to_owned(),
        1 => "('(x*)'):rep(30)".to_owned(),
        2 => "('('):rep(40)".to_owned(),
        3 => "('x?'):rep(100) .. ('x'):rep(100)".to_owned(),
        _ => pieces(random, PATTERN, 5),
    }
}

pub(super) fn format(random: &mut Random) -> String {
    pieces(random, FORMAT, 4)
}

pub(super) fn pack(random: &mut Random) -> String {
    pieces(random, PACK, 5)
}

/// Source of a chunk, as a string.
pub(super) fn chunk(random: &mut Random) -> String {
    match random.below(10) {
        0 => "('('):rep(200)".to_owned(),
        1 => "'return ' .. ('{'):rep(100) .. ('}'):rep(100)".to_owned(),
        2 => "('local x = 1 '):rep(300)".to_owned(),
        3 => "'return ' .. ('not '):rep(5000) .. '1'".to_owned(),
        4 => {
            let length = random.below(60);
            quote(&random.bytes(length))
        }
        _ => format!("\"{}\"", random.pick(CHUNK)),
    }
}

fn quote(bytes: &[u8]) -> String {
    let mut text = "'".to_owned();
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
    text + "'"
}
