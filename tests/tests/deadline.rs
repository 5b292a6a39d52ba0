// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a script does, its deadline ends it, and the state goes on.

use std::time::{Duration, Instant};

use lunatik::{ErrorKind, State};
use lunatik_tests::{Netns, SOON, integer, lua, refused};

const DEADLINE: Duration = Duration::from_millis(150);

fn state(netns: &Netns) -> State {
    netns
        .session()
        .new_state("a")
        .max_alloc(16 << 20)
        .create()
        .expect("a state")
}

/// Runs what would go on for very long.
#[track_caller]
fn ends(state: &State, code: &str) {
    ends_within(state, code, DEADLINE);
}

#[track_caller]
fn ends_within(state: &State, code: &str, deadline: Duration) {
    let start = Instant::now();
    let result = state.call(code).timeout(deadline).run();
    let elapsed = start.elapsed();
    let shown: String = code.chars().take(160).collect();
    match result {
        Ok(values) => panic!("{shown}: it ended with {values:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Deadline, "{shown}: {error}"),
    }
    assert!(elapsed >= deadline, "{shown}: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(3), "{shown}: {elapsed:?}");
    assert_eq!(integer(state, "return 6 * 7"), 42, "after {shown}");
}

#[test]
fn loops() {
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "while true do end",
        "repeat until false",
        "for i = 1, math.maxinteger do end",
        "::again:: goto again",
        "local function f() return f() end f()",
        "for _ in function() return 1 end do end",
        "local t = setmetatable({}, {__index = function() return 1 end}) for _ in ipairs(t) do end",
        "local x = 0 while true do x = x + #tostring(x) end",
        "while true do local t = {} t[1] = t end",
        "while true do load('return 1') end",
        "while true do math.random(1, 9) end",
        "while true do print('x') end",
        "local l = require 'lunatik' while true do l.send('x') end",
    ] {
        ends(&state, code);
    }
}

#[test]
fn what_catches_errors() {
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(pcall, error) end",
        "local function f() pcall(f) while true do end end while true do pcall(f) end",
        "local function f() while true do pcall(function() while true do end end) end end while true do pcall(f) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
        "while true do pcall(load, function() while true do end end) end",
        "while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
        "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
        "while true do pcall(error, setmetatable({}, {__tostring = function() while true do end end})) end",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
    ] {
        ends(&state, code);
    }
    // The script cannot even tell.
    refused(
        state
            .call("ok = pcall(function() while true do end end) told = 'yes'")
            .timeout(DEADLINE)
            .run(),
        ErrorKind::Deadline,
    );
    assert_eq!(lua(&state, "return told"), [lunatik::Value::Nil]);
}

#[test]
fn what_catches_errors_last() {
    // Nothing comes after what caught the error, but the run has failed.
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "return pcall(function() while true do end end)",
        "return xpcall(function() while true do end end, tostring)",
        "pcall(function() while true do end end)",
        "return load(function() while true do end end)",
        "return coroutine.resume(coroutine.create(function() while true do end end))",
        "return coroutine.close(coroutine.create(print)), pcall(('x'):rep(1).rep, 'x', 1), \
         pcall(function() while true do end end)",
    ] {
        ends(&state, code);
    }
}

#[test]
fn coroutines() {
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.wrap(function() end)() end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "while true do local co = coroutine.wrap(function() pcall(function() while true do end end) coroutine.yield() end) pcall(co) end",
        "coroutine.wrap(function() coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)() end)()",
    ] {
        ends(&state, code);
    }
}

#[test]
fn variables_that_close() {
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "local x <close> = setmetatable({}, {__close = function() while true do end end})",
        "local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
        "while true do local x <close> = setmetatable({}, {__close = function() end}) end",
        "local function f() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end while true do pcall(f) end",
        "for _ in next, {1}, nil, setmetatable({}, {__close = function() while true do end end}) do end",
    ] {
        ends(&state, code);
    }
}

#[test]
fn metamethods_and_callbacks() {
    let netns = Netns::new();
    let state = state(&netns);
    for code in [
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
        "local t = setmetatable({}, {__lt = function() while true do end end}) return t < t",
        "return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
        "return ('x'):gsub('x', function() while true do end end)",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "package.preload.slow = function() while true do end end require 'slow'",
        "local f = load(function() while true do end end) f()",
        "local f = load(function() return ' ' end) f()",
        "return table.concat(setmetatable({}, {__index = function() return '' end, __len = function() return math.maxinteger end}))",
    ] {
        ends(&state, code);
    }
}

#[test]
fn work_inside_one_function() {
    let netns = Netns::new();
    let state = state(&netns);
    lua(&state, "long = ('a'):rep(250000)");
    for code in [
        // Patterns that try everything.
        "return ('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
        "return long:find('.-.-.-b')",
        "return long:find('a*a*a*b')",
        "return long:match('(.-)(.-)(.-)b')",
        "return long:gsub('a-b', '')",
        "for _ in long:gmatch('a*a*b') do end",
        "return ('('):rep(250000):find('%b()')",
        "return long:find('[^b]-[^b]-b')",
        // Tables.
        "table.move({}, 1, math.maxinteger - 1, 2)",
        "table.move(setmetatable({}, {__index = function() return nil end}), 1, 1 << 40, 1)",
        "table.insert(setmetatable({}, {__len = function() return 1 << 40 end}), 1, 'x')",
        "table.remove(setmetatable({}, {__len = function() return 1 << 40 end}), 1)",
        "return table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1 << 40)",
        "local t = {} for i = 1, 100000 do t[i] = -i end while true do table.sort(t) end",
        // The plainest of all.
        "while true do long:rep(10) end",
        "while true do long:upper() long:reverse() long:byte(1, 100) end",
        "while true do table.concat({long, long}) end",
        "while true do utf8.len(long) end",
        "while true do collectgarbage() end",
        "while true do long:format(1) end",
        "while true do select('#', table.unpack({}, 1, 200)) end",
    ] {
        ends(&state, code);
    }
}

#[test]
fn one_call_that_is_long() {
    // Each would go on for long after the deadline, and is called once.
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("a")
        .max_alloc(64 << 20)
        .create()
        .expect("a state");
    lua(
        &state,
        "long = 'x' for i = 1, 23 do long = long .. long end",
    );
    lua(
        &state,
        "spaces, quoted = (' '):rep(8 << 20), ('\\1'):rep(4 << 20)",
    );
    for code in [
        "return ('x'):rep(20 << 20)",
        "return ('x'):rep(10 << 20, 'y')",
        "return ('%q'):format(quoted)",
        "return utf8.len(long)",
        "return string.pack(spaces)",
        "return string.packsize(spaces)",
        "return string.unpack(spaces, '')",
        "return load('--' .. long)",
        "return load('return \"' .. long .. '\"')",
        "return load(function() return long end)",
        "return load(long)",
        "return long:gsub('', '')",
    ] {
        ends_within(&state, code, Duration::from_millis(5));
    }
}

#[test]
fn names_of_functions_are_not_searched_for_ever() {
    // A traceback names functions by what package.loaded holds.
    let netns = Netns::new();
    let state = netns
        .session()
        .new_state("a")
        .max_alloc(32 << 20)
        .create()
        .expect("a state");
    state
        .call("for i = 1, 300 do local t = {} for j = 1, 1000 do t['k' .. j] = i end package.loaded['m' .. i] = t end")
        .timeout(SOON)
        .run()
        .expect("it is filled");
    ends(&state, "while true do end");
    ends(
        &state,
        "local function f(n) if n > 0 then return 1 + f(n - 1) end while true do end end f(100)",
    );
    let start = Instant::now();
    refused(
        state.do_string(
            "local function f(n) if n > 0 then return 1 + f(n - 1) end error('x') end f(100)",
        ),
        ErrorKind::Script,
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_strings_tostring_is_not_called_for_the_report() {
    let netns = Netns::new();
    let state = state(&netns);
    lua(
        &state,
        "getmetatable('').__tostring = function() while true do end end",
    );
    let error = refused(
        state.call("while true do end").timeout(DEADLINE).run(),
        ErrorKind::Deadline,
    );
    let text = error.lua().expect("a Lua error").message().into_owned();
    assert!(text.ends_with("deadline of 150 ms passed"), "{text}");
    let error = refused(state.do_string("error('plain', 0)"), ErrorKind::Script);
    assert_eq!(error.lua().expect("a Lua error").message(), "plain");
}

#[test]
fn a_plain_search_of_a_long_text() {
    // 125 KB in 250 KB that never match, but almost everywhere.
    let netns = Netns::new();
    let state = state(&netns);
    lua(
        &state,
        "text, wanted = ('a'):rep(250000), ('a'):rep(125000) .. 'b'",
    );
    ends(&state, "while true do text:find(wanted, 1, true) end");
}

#[test]
fn compiling_counts() {
    let netns = Netns::new();
    let state = state(&netns);
    ends(
        &state,
        "local n = 0 local f = load(function() n = n + 1 return n == 1 and 'local x = 1' or '; x = 1' end) f()",
    );
    ends(
        &state,
        "local code = ('x = 1 '):rep(10000) while true do load(code) end",
    );
}

#[test]
fn receivers_have_the_same() {
    let netns = Netns::new();
    let state = state(&netns);
    lua(
        &state,
        "require('lunatik').receive(function() while true do pcall(function() while true do end end) end end)",
    );
    let start = Instant::now();
    refused(state.send_data_within("x", DEADLINE), ErrorKind::Deadline);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn the_states_own_deadline_holds() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("a")
        .timeout(Duration::from_millis(50))
        .create()
        .expect("a state");
    let start = Instant::now();
    refused(state.do_string("while true do end"), ErrorKind::Deadline);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    // A request may set a longer one.
    let values = state
        .call("local n = 0 for i = 1, 300 do n = n + 1 end return n")
        .timeout(Duration::from_secs(5))
        .run()
        .expect("runs");
    assert_eq!(values, [300.into()]);
    // The shortest that there is.
    for _ in 0..20 {
        let _ = state
            .call("return 1")
            .timeout(Duration::from_micros(1))
            .run();
    }
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn others_go_on_meanwhile() {
    let netns = Netns::new();
    let busy = state(&netns);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                refused(
                    busy.session()
                        .state("a")
                        .call("while true do end")
                        .timeout(Duration::from_secs(1))
                        .run(),
                    ErrorKind::Deadline,
                )
            });
        }
        let other = netns.state("b");
        for n in 0..100_i64 {
            let values = other.call("return ...").arg(n).run().expect("runs");
            assert_eq!(values, [n.into()]);
        }
    });
}
