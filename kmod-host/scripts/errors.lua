-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Errors, and code that is made when it runs.

-- What error() takes
local function caught(...) return select(2, pcall(error, ...)) end
assert(caught("x") == "x" and caught(nil) == nil or caught(nil) ~= nil)
local object = {}
assert(caught(object) == object and caught("level", 0) == "level")
local function at(level) error("here", level) end
assert(select(2, pcall(at, 1)):find(":%d+: here$") and select(2, pcall(at, 0)) == "here")
assert(select(2, pcall(assert, false)) == "assertion failed!" and select(2, pcall(assert, nil, "why")) == "why")
assert(select("#", assert(1, 2, 3)) == 3 and not pcall(assert))

-- Handlers, and errors in them
assert(select(2, xpcall(error, function(m) return m .. "!" end, "x")) == "x!")
assert(select(2, xpcall(function(...) return select("#", ...) end, print, 1, 2)) == 2)
local depth = 0
local ok = xpcall(error, function(m) depth = depth + 1 error(m) end, "again")
assert(not ok and depth >= 1)
assert(not pcall(string.rep, "x", 1 << 40))

-- Names in messages
local function message_of(code, ...)
  local f = assert(load(code, "=code"))
  local ok, m = pcall(f, ...)
  assert(not ok, code)
  return m
end
assert(message_of("local x; x.y.z = 1"):find("local 'x'"))
assert(message_of("undefined.field = 1"):find("global 'undefined'"))
assert(message_of("local t = {} t.a.b = 1"):find("field 'a'"))
assert(message_of("local t = {} t:method()"):find("method 'method'"))
assert(message_of("return ('x')()"):find("call"))
assert(message_of("return 1 + {}"):find("arithmetic"))
assert(message_of("return 'a' < 1"):find("compare"))
assert(message_of("return 1 // 0"):find("zero"))
assert(message_of("return 1 | 'x'"):find("bitwise") or message_of("return 1 | 'x'"):find("convert"))
assert(message_of("for i = 1, 'x' do end"):find("'for' limit"))
assert(message_of("for i = 1, 2, 0 do end"):find("'for' step is zero"))
assert(message_of("string.rep()"):find("bad argument #1 to 'rep'"))
assert(message_of("('x'):rep({})"):find("bad argument #1 to 'rep'"))
assert(message_of("local x <close> = 1"):find("closable"))

-- What does not compile
for _, bad in ipairs {
  "x =", "x", "return return", "for", "if x then", "goto nowhere", "break", "local x <const> = 1 x = 2", "::a:: ::a::",
  "'unfinished", "[[unfinished", "--[[unfinished", "'\\q'", "'\\300'", "'\\x1'", "'\\u{110000000}'", "'\\u{'", "x = }", "f(",
  "1.5", "x = 1e5", "local function f(... , a) end", "a.b:c = 1", "return ...,", "local x <unknown> = 1", "x = = 1", "@",
  "local a <close>, b <close> = 1, 2", "for a.b = 1, 2 do end", "function f.a:b.c() end", "return '" .. ("\n"), "x = 'a\nb'",
} do
  local f, m = load(bad, "=bad")
  assert(f == nil and type(m) == "string" and m:find("^bad:%d+:"), bad)
end
assert(load(("("):rep(150) .. "1" .. (")"):rep(150)) == nil)
local deep, why = load("return " .. ("("):rep(500) .. "1" .. (")"):rep(500))
assert(deep == nil and why)
local many = {}
for i = 1, 201 do many[i] = "local v" .. i end
assert(not load(table.concat(many, "\n")))

-- load
assert(load("return ...", "n", "t")(5) == 5 and load("return x", "n", "t", {x = 6})() == 6)
assert(not load("return 1", "n", "b") and not load("\27Lua") and load("# no comment") == nil)
local pieces = {"return ", "1", nil}
local i = 0
assert(load(function() i = i + 1 return pieces[i] end)() == 1)
assert(not load(function() error("reader") end) and not load(function() return {} end))
assert(load(function() return nil end)() == nil)
local env = setmetatable({}, {__index = _G})
load("y = 1 function z() return y end", "n", "t", env)()
assert(env.y == 1 and env.z() == 1 and rawget(_G, "y") == nil)

-- The base library
assert(type(nil) == "nil" and type(print) == "function" and not pcall(type) and _VERSION == "Lua 5.5")
assert(select("#") == 0 and not pcall(select, 0) and not pcall(select, -5, 1))
assert(rawequal("a", "a") and rawget({5}, 1) == 5 and rawset({}, 1, 2)[1] == 2 and not pcall(rawlen, 5))
assert(tostring(nil) == "nil" and tostring(true) == "true" and tostring(-0) == "0" and tostring({}):find("^table: "))
assert(math.type(collectgarbage("count")) == "integer" and collectgarbage("isrunning"))
collectgarbage("stop")
assert(not collectgarbage("isrunning"))
collectgarbage("restart")
collectgarbage("step")
assert(not pcall(collectgarbage, "nonsense"))
