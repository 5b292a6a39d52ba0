// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deep recursion of every kind ends in a Lua error, and the state goes on.

use std::time::Duration;

use lunatik::{ErrorKind, State};
use lunatik_tests::{Netns, holds, integer};

/// Room for some ten thousand calls of a Lua function.
const MAX_ALLOC: u32 = 4 << 20;

fn state(netns: &Netns, max_alloc: u32) -> State {
    netns
        .session()
        .new_state("deep")
        .max_alloc(max_alloc)
        .timeout(Duration::from_secs(10))
        .create()
        .expect("a state")
}

/// Runs what recurses without an end: it must be refused so, and leave the
/// state as it was.
#[track_caller]
fn overflows_as(kinds: &[ErrorKind], max_alloc: u32, code: &str) -> String {
    let mut text = String::new();
    let shown: String = code.chars().take(120).collect();
    let netns = Netns::new();
    let state = state(&netns, max_alloc);
    for _ in 0..2 {
        let error = match state.do_string(code) {
            Ok(values) => panic!("{shown}: no error but {values:?}"),
            Err(error) => error,
        };
        assert!(kinds.contains(&error.kind()), "{shown}: {error}");
        let lua = error
            .lua()
            .unwrap_or_else(|| panic!("{shown}: no Lua error in {error}"));
        text = lua.message().into_owned();
        usable(&state, &shown);
    }
    state.close().expect("closes");
    text
}

/// Fails unless ordinary things work.
#[track_caller]
fn usable(state: &State, after: &str) {
    assert_eq!(integer(state, "return 6 * 7"), 42, "after {after}");
    for code in [
        "return select(2, pcall(error, 'x')) == 'x'",
        "return coroutine.wrap(function() return true end)()",
        "return load('return ' .. ('('):rep(10) .. 'true' .. (')'):rep(10))()",
        "return (('x'):gsub('x', function() return tostring(setmetatable({}, {__tostring = function() return 'y' end})) end)) == 'y'",
    ] {
        holds(state, code);
    }
}

/// A script that recurses without an end.
#[track_caller]
fn overflows(code: &str) {
    overflows_in(MAX_ALLOC, code);
}

/// As [`overflows`], in a state of another size.
#[track_caller]
fn overflows_in(max_alloc: u32, code: &str) {
    overflows_as(
        &[ErrorKind::Script, ErrorKind::OutOfMemory],
        max_alloc,
        code,
    );
}

/// A script too nested to compile.
#[track_caller]
fn does_not_compile(code: &str) {
    let kinds = [ErrorKind::Compile, ErrorKind::Script];
    let text = overflows_as(&kinds, MAX_ALLOC, code);
    assert!(
        ["overflow", "too many", "too complex", "limit"]
            .iter()
            .any(|what| text.contains(what)),
        "{text}"
    );
}

/// What may end well, in an error, or at the deadline where unwinding recurses
/// again.
#[track_caller]
fn survives(code: &str) {
    let shown: String = code.chars().take(120).collect();
    let netns = Netns::new();
    let state = state(&netns, MAX_ALLOC);
    for _ in 0..2 {
        if let Err(error) = state.call(code).timeout(Duration::from_secs(1)).run() {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Script | ErrorKind::OutOfMemory | ErrorKind::Deadline
                ),
                "{shown}: {error}"
            );
        }
        usable(&state, &shown);
    }
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nested_parentheses() {
    for depth in [250, 1000, 10_000, 100_000] {
        does_not_compile(&format!("return {}", nested("(", "1", ")", depth)));
    }
    let netns = Netns::new();
    assert_eq!(
        integer(
            &state(&netns, MAX_ALLOC),
            &format!("return {}", nested("(", "1", ")", 30))
        ),
        1
    );
}

#[test]
fn nested_source_of_other_kinds() {
    for code in [
        format!("return {}", nested("{", "", "}", 10_000)),
        format!("return {}1", "- ".repeat(20_000)),
        format!("return {}true", "not ".repeat(20_000)),
        nested("do ", "", " end", 20_000),
        nested("if x then ", "", " end", 10_000),
        nested("while x do ", "", " end", 10_000),
        format!(
            "local f = {}",
            nested("function() return ", "1", " end", 5000)
        ),
        format!("return {}1{}", "f(".repeat(10_000), ")".repeat(10_000)),
        format!("return {}1", "2 ^ ".repeat(20_000)),
        format!("return {}'x'", "'x' .. ".repeat(20_000)),
        format!("x {}= 1", nested("[a", "", "]", 10_000)),
    ] {
        does_not_compile(&code);
    }
}

#[test]
fn recursion_of_lua_functions() {
    overflows("local function f() return 1 + f() end return f()");
    overflows("local function f(...) return f(1, ...) + 1 end return f()");
    overflows("local a, b function a() return b() + 1 end function b() return a() + 1 end a()");
    survives(
        "local function f() local ok, e = pcall(error, 'x') return 1 + f() end return pcall(f)",
    );
    // Tail calls need no stack.
    let netns = Netns::new();
    assert_eq!(
        integer(
            &state(&netns, MAX_ALLOC),
            "local function f(n) if n == 0 then return 1 end return f(n - 1) end return f(100000)"
        ),
        1
    );
}

#[test]
fn recursion_through_pcall() {
    survives("local function f() return pcall(f) end return f()");
    survives(
        "local function f() local ok, e = pcall(f) if not ok then error(e, 0) end return 1 end return f()",
    );
    survives("local function f() return xpcall(f, function(e) return e end) end return f()");
    survives("local function f() return xpcall(f, f) end return f()");
    survives("return xpcall(error, function(e) error(e) end)");
    survives("local function h() local x = h() return x end return xpcall(error, h)");
    survives("local function f() return select(2, pcall(f)) + 1 end return f()");
}

#[test]
fn recursion_through_gsub() {
    overflows("local function f() return ('x'):gsub('x', f) end return f()");
    overflows("local function f(s) return s:gsub('.', f) .. 1 end return f 'ab'");
}

#[test]
fn recursion_through_sort() {
    overflows("local function f() table.sort({3, 2, 1}, f) end f()");
}

#[test]
fn recursion_through_coroutines() {
    overflows("local function f() return coroutine.wrap(f)() end return f()");
    overflows(
        "local function f() local co = coroutine.create(f) local ok, e = coroutine.resume(co) error(e, 0) end return f()",
    );
    survives("local function f() return coroutine.resume(coroutine.create(f)) end return f()");
    overflows(
        "local function f() local co = coroutine.wrap(function() f() coroutine.yield() end) co() return 1 end return f()",
    );
}

#[test]
fn recursion_through_metamethods() {
    overflows(
        "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(x) return tostring(x) end return tostring(t)",
    );
    overflows(
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1] + 1",
    );
    overflows(
        "local t = setmetatable({}, {__newindex = function(t, k, v) t[k + 1] = v end}) t[1] = 1",
    );
    overflows(
        "local t t = setmetatable({}, {__add = function(a, b) return a + b + 1 end}) return t + 1",
    );
    overflows(
        "local t t = setmetatable({}, {__concat = function(a, b) return a .. b .. 'x' end}) return t .. 'x'",
    );
    overflows(
        "local t = setmetatable({}, {__eq = function(a, b) return not (a == b) end}) return t == setmetatable({}, getmetatable(t))",
    );
    overflows(
        "local t = setmetatable({}, {__lt = function(a, b) return not (a < b) end}) return t < t",
    );
    overflows("local t = setmetatable({}, {__len = function(t) return #t + 1 end}) return #t");
    overflows(
        "local t t = setmetatable({}, {__call = function(self) return self() + 1 end}) return t()",
    );
    overflows(
        "local t = setmetatable({}, {__pairs = function(t) return pairs(t), 1 end}) for k in pairs(t) do end",
    );
    overflows(
        "local t = {} for i = 1, 10000 do t = setmetatable({}, {__index = t}) end return t.x + 1",
    );
    overflows("local t = {} setmetatable(t, {__index = t}) return t.x");
    overflows("local t = {} for i = 1, 10000 do t = setmetatable({}, {__call = t}) end t()");
}

#[test]
fn recursion_through_load_and_require() {
    // Each young collection looks at all of the stack, and each level compiles.
    overflows_in(
        1 << 20,
        "local s s = 'return load(s)() + 1' _G.s = s return load(s)()",
    );
    survives("function f() return load(function() return f() end) end return f()");
    overflows(
        "package.preload.r = function() package.loaded.r = nil return require 'r' end return require 'r'",
    );
    overflows(
        "local code = 'return ' .. ('('):rep(10000) .. '1' .. (')'):rep(10000) return assert(load(code))()",
    );
    survives(
        "local function f() return load('return ' .. ('('):rep(150) .. '1' .. (')'):rep(150))() + f() end return f()",
    );
}

#[test]
fn recursion_through_close() {
    survives(
        "local function f() local x <close> = setmetatable({}, {__close = f}) return 1 end return f()",
    );
    survives(
        "local function f() local x <close> = setmetatable({}, {__close = function() f() end}) error 'x' end return pcall(f)",
    );
}

#[test]
fn patterns_that_nest() {
    overflows("return ('x'):rep(1000):find(('(x'):rep(40) .. (')'):rep(40))");
    overflows("return ('a'):rep(300000):match(('a?'):rep(300000) .. 'b')");
    survives("return ('a'):rep(2000):match('.-b')");
    survives("return ('x'):rep(100000):find(('x-'):rep(5000) .. 'y')");
    survives("return ('('):rep(2000):match('%b()')");
}

#[test]
fn formats_and_errors_of_depth() {
    overflows(
        "local function f(n) error(setmetatable({}, {__tostring = function() return f() end})) end f()",
    );
    overflows(
        "local e = setmetatable({}, {}) getmetatable(e).__tostring = function() return tostring(e) end error(e)",
    );
    survives(
        "local function f() local ok, e = pcall(string.format, '%s', setmetatable({}, {__tostring = f})) return e end return f()",
    );
    overflows(
        "return table.concat(setmetatable({}, {__index = function(t, i) return table.concat(t, '', i + 1, i + 2) end}), '', 1, 2)",
    );
    overflows("return table.unpack({}, 1, 10000000)");
    overflows("return string.rep('x', 100, ('y'):rep(1 << 30))");
}

/// Where a kernel stack begins is random: each run gets to its end in another call.
#[test]
fn the_end_of_the_stack_is_one_error_wherever_it_is_met() {
    const OVERFLOW: &str = "C stack overflow";
    let netns = Netns::new();
    let state = state(&netns, MAX_ALLOC);
    for (code, told) in [
        (
            "local function f() return (('x'):gsub('x', f)) end return f()",
            OVERFLOW,
        ),
        (
            "local function f() table.sort({3, 2, 1}, f) end f()",
            OVERFLOW,
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(x) return ('%s'):format(x) end return tostring(t)",
            OVERFLOW,
        ),
        (
            "local t t = setmetatable({}, {__concat = function(a, b) return a .. b end}) return t .. 1",
            OVERFLOW,
        ),
        (
            "local function f() return coroutine.wrap(f)() end return f()",
            OVERFLOW,
        ),
        (
            "local function f(e) error(e) end local _, e = xpcall(error, f, 'x') error(e, 0)",
            "error in error handling",
        ),
    ] {
        for _ in 0..50 {
            let error = state.do_string(code).expect_err(code);
            assert_eq!(error.kind(), ErrorKind::Script, "{code}: {error}");
            let message = error.lua().expect("a Lua error").message();
            assert!(message.ends_with(told), "{code}: {message}");
        }
    }
}

#[test]
fn recursion_while_memory_is_short() {
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("small")
        .max_alloc(lunatik::limits::MAX_ALLOC_MIN)
        .create()
        .expect("a state");
    for code in [
        "local function f() return 1 + f() end return f()",
        "local function f() return pcall(f) end return f()",
        "local function f() return coroutine.wrap(f)() end return f()",
        "local t = {} for i = 1, 1000000 do t = {t} end",
    ] {
        let _ = state.do_string(code);
        assert_eq!(integer(&state, "return 42"), 42, "after {code}");
    }
}
