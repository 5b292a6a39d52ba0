-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Running Lua in a state: values both ways, errors, deadlines.
local lunatik = require "lunatik"

local s <close> = assert(lunatik.newstate{name = "run", ephemeral = true})

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return rawequal(a, b) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

-- As many results as there are.
assert(select("#", s:dostring "") == 0)
assert(select("#", s:dostring "return nil") == 1)
assert(select("#", s:dostring "return nil, nil, nil") == 3)
local one, two, three, four, five = s:dostring "return 1, 'two', nil, true, {3}"
assert(one == 1 and math.type(one) == "integer")
assert(two == "two" and three == nil and four == true and same(five, {3}))
assert(s:dostring "return print":match "^function")

-- Whatever goes in comes out.
local binary = {}
for byte = 0, 255 do binary[#binary + 1] = string.char(byte) end
for _, value in ipairs {
  0, -1, math.mininteger, math.maxinteger, true, false, "", "a\0b", table.concat(binary),
  ("x"):rep(61440), {}, {1, 2, 3}, {x = {y = {z = {}}}}, {[1] = "a", [3] = "c", [true] = false},
  {[-1] = {[""] = "\0"}}, {{{{{{{{"deep"}}}}}}}},
} do
  assert(same(s:dostring("return ...", value), value))
end
assert(select("#", s:dostring("return ...", nil, 1, nil)) == 3)
assert(s:dostring("return ...", 3.0) == 3)

-- What cannot go in is a misuse, or too much.
local function raises(expected, ...)
  local ok, message = pcall(s.dostring, s, "return ...", ...)
  assert(not ok and message:find(expected, 1, true), message)
end
raises("bad argument #2 to 'dostring' (number has no integer representation)", 1.5)
raises("bad argument #2 to 'dostring' (a function cannot cross)", print)
raises("bad argument #3 to 'dostring' (a thread cannot cross)", 1, {coroutine.create(print)})
raises("tables are nested more than 8 deep", {{{{{{{{{"deep"}}}}}}}}})
local cycle = {}
cycle[1] = cycle
raises("a table that contains itself cannot cross", cycle)
assert(select(3, s:dostring("return ...", ("x"):rep(61441))) == "EMSGSIZE")
assert(select(3, s:dostring("--" .. ("x"):rep(1 << 18))) == "EMSGSIZE")
assert(s:dostring("--" .. ("x"):rep((1 << 18) - 20) .. "\nreturn 'long'") == "long")

-- Results too large to be one message.
local many = assert(s:dostring "local t = {} for i = 1, 9 do t[i] = ('x'):rep(50000) end return t")
for i = 1, 9 do assert(many[i] == ("x"):rep(50000)) end
assert(select("#", s:dostring "return table.unpack({}, 1, 200)") == 200)

-- Errors: nil, Lua's message, the code, the traceback.
local none, message, code, traceback = s:dostring "local function f() error('boom') end f()"
assert(none == nil and message == "dostring:1: boom" and code == "EREMOTEIO")
assert(traceback:match "^stack traceback:\n" and traceback:find("in local 'f'", 1, true))
none, message, code, traceback = s:dostring "x ="
assert(none == nil and code == "ENOEXEC" and traceback == nil)
assert(message:find("unexpected symbol near <eof>", 1, true), message)
none, message, code = s:dostring "error('a\\nb\\0c', 0)"
assert(none == nil and message == "a\nb\0c")
for _, script in ipairs {"return 1.5", "return 1/2", "return 7//0"} do
  assert(s:dostring(script) == nil)
end

-- Its own deadline and chunk name.
none, message, code = s:call{code = "while true do end", chunkname = "=endless", timeout = 0.02}
assert(none == nil and code == "ETIME" and message:find("deadline", 1, true), message)
assert(s:call{code = "return select('#', ...), ...", args = {1, nil, 3, n = 3}} == 3)
assert(s:call{code = "return #...", args = {{1, 2}}} == 2)

-- Memory: an error, and the state goes on.
none, message, code = s:dostring "return ('x'):rep(1 << 30)"
assert(none == nil and code == "ENOMEM" and message:find "not enough memory", message)
assert(s:dostring "return 1" == 1)

-- The log.
assert(s:dostring "print('one', 1) print('two\\0')" == nil)
local lines, lost = assert(s:log())
assert(#lines == 2 and lost == 0)
assert(lines[1].text == "one\t1" and lines[1].sequence == 1)
assert(lines[2].text == "two\0" and math.abs(lines[2].time - os.time()) < 60)
assert(#s:log(2) == 1 and #s:log(3) == 0)
