// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lua as scripts in the kernel have it.

use lunatik::ErrorKind;
use lunatik_tests::{Netns, SOON, holds, integer, lua, lua_error, module_addresses, string};

#[test]
fn numerals_with_a_fraction_or_exponent_do_not_compile() {
    let netns = Netns::new();
    let state = netns.state("a");
    for numeral in [
        "1.5", "1e3", "1E3", ".5", "5.", "0x.8", "0x1p4", "1e-3", "1e+3", "3.0",
    ] {
        let text = lua_error(&state, &format!("return {numeral}"), ErrorKind::Compile);
        assert!(text.contains("malformed number"), "{numeral}: {text}");
    }
    // Too large for an integer, which makes it a float elsewhere.
    for numeral in ["9223372036854775808", "100000000000000000000000"] {
        lua_error(&state, &format!("return {numeral}"), ErrorKind::Compile);
    }
    assert_eq!(integer(&state, "return 0xffffffffffffffff"), -1);
    assert_eq!(integer(&state, "return 0x10000000000000001"), 1);
}

#[test]
fn operators_that_make_floats_raise() {
    let netns = Netns::new();
    let state = netns.state("a");
    for code in [
        "return 1/2",
        "return 2^2",
        "local a, b = 4, 2 return a / b",
        "local a, b = 4, 2 return a ^ b",
        "return '4' / 2",
        "local a = 4 return a / 2",
    ] {
        let text = lua_error(&state, code, ErrorKind::Script);
        // Strings do arithmetic by metamethods, which are no line of a script.
        let somewhere = text.starts_with("dostring:1: ") || code.contains("'4'");
        assert!(somewhere, "{code}: {text}");
        assert!(
            text.contains("'/'") || text.contains("'^'"),
            "{code}: {text}"
        );
        // Scripts can catch it.
        holds(
            &state,
            &format!(
                "local ok, e = pcall(load([==[{code}]==])) return not ok and type(e) == 'string'"
            ),
        );
    }
    for code in [
        "return 7//0",
        "return 7%0",
        "local z = 0 return 7 // z",
        "local z = 0 return 7 % z",
    ] {
        let text = lua_error(&state, code, ErrorKind::Script);
        assert!(
            text.contains("zero") || text.contains("'n%0'"),
            "{code}: {text}"
        );
    }
    assert_eq!(
        integer(&state, "return 7 // 2 + -7 // 2 + 7 % -3"),
        3 - 4 - 2
    );
    assert_eq!(
        integer(
            &state,
            "local m = setmetatable({}, {__div = function() return 3 end, __pow = function() return 4 end}) return m / 1 * (m ^ 1)"
        ),
        12
    );
}

#[test]
fn a_float_operator_that_raises_keeps_the_functions_variables() {
    let netns = Netns::new();
    let state = netns.state("a");
    for operation in ["x / 2", "2 / x", "x ^ 2", "2 ^ x", "x / x", "x ^ x"] {
        // The variable is known to its register only, when a collection comes with the error.
        let code = format!(
            "local closed = 0
            local function f(x)
                local a <close> = setmetatable({{'alive'}}, {{__close = function(t)
                    assert(t[1] == 'alive') closed = closed + 1
                end}})
                return {operation}
            end
            for i = 1, 2000 do
                local ok, message = pcall(f, i)
                assert(not ok and message:find('^float:6: .*floating point'), message)
            end
            return closed == 2000"
        );
        let values = state
            .call(&code)
            .chunk_name("=float")
            .timeout(SOON)
            .run()
            .unwrap_or_else(|e| panic!("{operation}: {e}"));
        assert_eq!(values, [true.into()], "{operation}");
    }
}

#[test]
fn no_way_leads_to_a_float() {
    let netns = Netns::new();
    let state = netns.state("a");
    for code in [
        "return tonumber('1.5') == nil",
        "return tonumber('1e3') == nil",
        "return tonumber('0x1p4') == nil",
        "return tonumber('9223372036854775808') == nil",
        "return tonumber('inf') == nil and tonumber('nan') == nil",
        "return tonumber('  10  ') == 10 and tonumber('0x10') == 16 and tonumber('10', 2) == 2",
        "return math.type(1) == 'integer' and math.type('1') == nil",
        "return '10' + 1 == 11",
        "return not pcall(function() return '1.5' + 1 end)",
        "return math.tointeger('8') == 8 or math.tointeger('8') == nil",
        "return math.maxinteger + 1 == math.mininteger",
        "return 1 << 64 == 0 and 1 << 63 == math.mininteger",
        "return 10 == 10 and 1 < 2 and 2 <= 2 and not (1 < 1)",
        "return #tostring(math.mininteger) == 20",
        "local n = 0 for i = 1, 10, 3 do n = n + i end return n == 22",
        "local n = 0 for i = math.maxinteger - 1, math.maxinteger do n = n + 1 end return n == 2",
    ] {
        holds(&state, code);
    }
    for code in [
        "return string.format('%f', 1)",
        "return string.format('%e', 1)",
        "return string.format('%g', 1)",
        "return string.format('%a', 1)",
        "return string.pack('d', 1)",
        "return string.pack('f', 1)",
        "return string.pack('n', 1)",
        "return string.unpack('d', ('\\0'):rep(8))",
        "return string.unpack('f', ('\\0'):rep(8))",
        "return string.unpack('n', ('\\0'):rep(8))",
        "return math.random()",
        "for i = 1, 2, 0 do end",
    ] {
        lua_error(&state, code, ErrorKind::Script);
    }
    for code in [
        "return math.pi",
        "return math.huge",
        "return math.sqrt",
        "return math.sin",
        "return math.log",
        "return math.exp",
    ] {
        assert_eq!(lua(&state, code), [lunatik::Value::Nil], "{code}");
    }
    assert_eq!(
        string(
            &state,
            "return string.format('%d %5d %-5d| %x %X %o %c %q %s %i', 1, 2, 3, 255, 255, 8, 65, 'q', 's', 9)"
        ),
        "1     2 3    | ff FF 10 A \"q\" s 9"
    );
    // A precision without digits is 0, of which the kernel's own printf knows nothing.
    holds(
        &state,
        "return string.format('%.s', ('x'):rep(5000)) == '' and string.format('%5.s|', 'abc') == '     |'",
    );
    holds(
        &state,
        "return string.unpack('<i8', string.pack('<i8', math.mininteger)) == math.mininteger",
    );
}

#[test]
fn libraries_are_those_that_make_sense() {
    let netns = Netns::new();
    let state = netns.state("a");
    for name in [
        "assert",
        "collectgarbage",
        "error",
        "getmetatable",
        "ipairs",
        "load",
        "next",
        "pairs",
        "pcall",
        "print",
        "rawequal",
        "rawget",
        "rawlen",
        "rawset",
        "require",
        "select",
        "setmetatable",
        "tonumber",
        "tostring",
        "type",
        "warn",
        "xpcall",
        "coroutine.wrap",
        "coroutine.close",
        "string.format",
        "string.rep",
        "string.pack",
        "table.move",
        "table.sort",
        "utf8.char",
        "utf8.codes",
        "math.abs",
        "math.random",
        "math.tointeger",
        "math.ult",
        "math.fmod",
        "package.loaded",
        "package.preload",
    ] {
        holds(&state, &format!("return {name} ~= nil"));
    }
    for name in [
        "dofile",
        "loadfile",
        "loadstring",
        "unpack",
        "io",
        "os",
        "debug",
        "string.dump",
        "package.loadlib",
        "package.path",
        "package.cpath",
        "package.searchers",
    ] {
        holds(&state, &format!("return {name} == nil"));
    }
    assert!(string(&state, "return _VERSION").starts_with("Lua 5.5"));
    assert_eq!(
        integer(
            &state,
            "return math.max(3, -1, 7) + math.min(3, -1, 7) + math.abs(-5)"
        ),
        11
    );
    assert_eq!(integer(&state, "return math.fmod(-7, 3)"), -1);
    holds(
        &state,
        "for i = 1, 1000 do local r = math.random(3, 9) if r < 3 or r > 9 then return r end end return true",
    );
    holds(
        &state,
        "math.randomseed(7) local a = math.random(0) math.randomseed(7) return a == math.random(0)",
    );
    assert_eq!(
        string(&state, "return utf8.char(228, 8364, 128512)"),
        "ä€😀"
    );
    assert_eq!(
        string(&state, "return ('hello'):upper():rep(2, '-')"),
        "HELLO-HELLO"
    );
    assert_eq!(
        string(
            &state,
            "return (('key = value'):gsub('(%w+) = (%w+)', '%2 = %1'))"
        ),
        "value = key"
    );
}

#[test]
fn there_are_no_finalizers() {
    let netns = Netns::new();
    let state = netns.state("a");
    let text = lua_error(
        &state,
        "setmetatable({}, {__gc = function() x = 1 end})",
        ErrorKind::Script,
    );
    assert!(text.contains("__gc"), "{text}");
    // Added later it has no effect.
    holds(
        &state,
        "local m = {} setmetatable({}, m) m.__gc = function() gone = true end \
         collectgarbage() collectgarbage() return gone == nil",
    );
    // Garbage is collected all the same.
    holds(
        &state,
        "for i = 1, 1000 do local s = ('x'):rep(10000) .. i end return collectgarbage('count') < 1024",
    );
}

#[test]
fn variables_can_be_closed() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(
        string(
            &state,
            "local log = '' do local a <close> = setmetatable({}, {__close = function() log = log .. 'a' end}) \
             local b <close> = setmetatable({}, {__close = function() log = log .. 'b' end}) log = log .. '-' end return log",
        ),
        "-ba"
    );
    // On errors too.
    holds(
        &state,
        "closed = false pcall(function() local x <close> = setmetatable({}, {__close = function() closed = true end}) error 'x' end) return closed",
    );
    lua_error(&state, "local x <const> = 1 x = 2", ErrorKind::Compile);
    lua_error(&state, "local x <close> = 1", ErrorKind::Script);
    // A run that ends in the middle closes as well.
    lua_error(
        &state,
        "ended = nil local x <close> = setmetatable({}, {__close = function() ended = 'yes' end}) error 'x'",
        ErrorKind::Script,
    );
    assert_eq!(string(&state, "return ended"), "yes");
}

#[test]
fn load_takes_text_only() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(integer(&state, "return load('return ... + 1')(41)"), 42);
    assert_eq!(
        integer(
            &state,
            "local parts, i = {'return ', '6', '*', '7'}, 0 return load(function() i = i + 1 return parts[i] end)()"
        ),
        42
    );
    assert_eq!(
        integer(&state, "return load('return x', 'n', 't', {x = 5})()"),
        5
    );
    for mode in ["", ", 'n', 'b'", ", 'n', 'bt'", ", 'n', 't'"] {
        holds(
            &state,
            &format!(
                "local f, e = load('\\27Lua\\x55\\0\\x19\\x93\\r\\n\\x1a\\n'{mode}) return f == nil and e:find('binary', 1, true) ~= nil"
            ),
        );
    }
    holds(
        &state,
        "local f, e = load('x =') return f == nil and e:find('near <eof>', 1, true) ~= nil",
    );
    holds(
        &state,
        "local f = load('return 1', 'n', 'b') return f == nil",
    );
    for chunk in ["\u{1b}Lua", "\u{1b}", "\u{1b}LuaT\0\u{19}"] {
        lua_error(&state, chunk, ErrorKind::Compile);
    }
}

#[test]
fn require_finds_what_is_built_in_and_what_is_registered() {
    let netns = Netns::new();
    let state = netns.state("a");
    for code in [
        "return require 'lunatik' == require 'lunatik'",
        "return require 'string' == string",
        "package.preload.own = function(name) return {name = name} end return require('own').name == 'own'",
        "return require('own') == package.loaded.own",
        "package.preload.none = function() end return require 'none' == true",
        "package.preload.bad = function() error 'no' end local ok, e = pcall(require, 'bad') return not ok and e:find 'no' ~= nil",
    ] {
        holds(&state, code);
    }
    let text = lua_error(&state, "require 'nosuch'", ErrorKind::Script);
    assert!(text.contains("module 'nosuch' not found"), "{text}");
    lua_error(&state, "require '/etc/passwd'", ErrorKind::Script);
    lua_error(&state, "require()", ErrorKind::Script);
}

#[test]
fn print_and_warn_are_lines_of_the_log() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(
        lua(
            &state,
            "print(1, 'two', nil, true) print() warn('careful', '!') warn('@off') warn('silent')"
        ),
        []
    );
    let log = state.log(None).expect("a log");
    let lines: Vec<_> = log
        .lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text))
        .collect();
    assert_eq!(lines, ["1\ttwo\tnil\ttrue", "", "warning: careful!"]);
}

#[test]
fn addresses_of_the_kernel_are_never_shown() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut seen = Vec::new();
    for code in [
        "return tostring({})",
        "return tostring(print)",
        "return tostring(function() end)",
        "return tostring(coroutine.create(print))",
        "return string.format('x: %p', {})",
        "return string.format('x: %p', print)",
        "return string.format('x: %p', 'a string that is long enough not to be interned at all')",
    ] {
        let text = string(&state, code);
        let (_, address) = text
            .split_once(": ")
            .unwrap_or_else(|| panic!("{code}: {text}"));
        let digits = address.trim_start_matches("0x");
        let number =
            u64::from_str_radix(digits, 16).unwrap_or_else(|e| panic!("{code}: {text}: {e}"));
        // Kernel memory is in the upper half; a hashed pointer has 32 bits.
        assert!(u32::try_from(number).is_ok(), "{code}: {text}");
        // Not so the memory of user-mode Linux, but we know where `print` is.
        assert!(!module_addresses().contains(&number), "{code}: {text}");
        seen.push(number);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 3, "{seen:x?}");
    // The same thing is the same text, for scripts use it as a key.
    holds(
        &state,
        "local t = {} return tostring(t) == tostring(t) and tostring(t) ~= tostring({})",
    );
    // Functions in tracebacks and values that cross are no exception.
    let values = lua(&state, "return print, {}, coroutine.create(print)");
    let text = format!("{values:?}").to_lowercase();
    assert!(
        !text.contains("ffff8") && !text.contains("ffffc") && !text.contains("ffffff"),
        "{text}"
    );
}

#[test]
fn coroutines_work() {
    let netns = Netns::new();
    let state = netns.state("a");
    assert_eq!(
        integer(
            &state,
            "local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end \
             local s = 0 for i in gen(100) do s = s + i end return s",
        ),
        5050
    );
    for code in [
        "local co = coroutine.create(function() error 'x' end) local ok, e = coroutine.resume(co) return not ok and coroutine.status(co) == 'dead' and e:find 'x' ~= nil",
        "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return coroutine.close(co)",
        "local ok, e = pcall(coroutine.wrap(function() return pcall(coroutine.yield, 1) end)) return ok and e == 1",
        "return select(2, coroutine.running())",
    ] {
        holds(&state, code);
    }
    // One may outlive the run that made it.
    lua(
        &state,
        "co = coroutine.wrap(function() for i = 1, 9 do coroutine.yield(i) end end)",
    );
    assert_eq!(integer(&state, "return co() + co()"), 3);
    assert_eq!(integer(&state, "return co()"), 3);
    // There is nobody to yield to outside.
    lua_error(&state, "coroutine.yield(1)", ErrorKind::Script);
}

#[test]
fn states_share_nothing() {
    let netns = Netns::new();
    let (first, second) = (netns.state("a"), netns.state("b"));
    lua(
        &first,
        "string.upper = nil x = 1 getmetatable('').__index = nil package.loaded.math = nil",
    );
    assert_eq!(string(&second, "return ('a'):upper()"), "A");
    holds(&second, "return x == nil and require 'math' == math");
}
