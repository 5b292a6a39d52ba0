-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The libraries math, utf8, lunatik, and what the module adds to the base.

-- math
assert(math.maxinteger == 0x7fffffffffffffff and math.mininteger == -math.maxinteger - 1)
assert(math.abs(-5) == 5 and math.abs(math.mininteger) == math.mininteger and math.floor(7) == 7 and math.ceil(-7) == -7)
assert(math.max(1, 9, -3) == 9 and math.min(1, 9, -3) == -3 and not pcall(math.max) and not pcall(math.min, "x"))
assert(math.fmod(-7, 3) == -1 and math.fmod(7, -3) == 1 and math.fmod(math.mininteger, -1) == 0 and not pcall(math.fmod, 1, 0))
assert(math.tointeger("8") == 8 and math.tointeger({}) == nil and math.tointeger("x") == nil and not pcall(math.tointeger))
assert(math.type(1) == "integer" and math.type("1") == nil and not pcall(math.type))
assert(math.ult(1, -1) and not math.ult(-1, 1) and math.pi == nil and math.huge == nil and math.sqrt == nil)
math.randomseed(42)
local first = {math.random(0), math.random(1, 6), math.random(100)}
math.randomseed(42)
assert(first[1] == math.random(0) and first[2] == math.random(1, 6) and first[3] == math.random(100))
assert(math.random(5, 5) == 5 and not pcall(math.random, 0, -1) and not pcall(math.random) and not pcall(math.random, 1, 2, 3))
for _ = 1, 50 do
  local r = math.random(-3, 3)
  assert(r >= -3 and r <= 3)
end
math.random(math.mininteger, math.maxinteger)

-- utf8
assert(utf8.char(228, 8364, 128512) == "ä€😀" and utf8.char() == "" and utf8.len("ä€😀") == 3 and utf8.len("") == 0)
assert(utf8.codepoint("ä€", 1, -1) == 228 and select(2, utf8.codepoint("ä€", 1, -1)) == 8364)
assert(utf8.offset("ä€😀", 3) == 6 and utf8.offset("ä€😀", -1) == 6 and utf8.offset("abc", 5) == nil and utf8.offset("aä", 0, 3) == 2)
assert(select(2, utf8.len("a\xff")) == 2 and select(2, utf8.len("\xed\xa0\x80")) == 1 and utf8.len("\xed\xa0\x80", 1, -1, true) == 1)
assert(not pcall(utf8.codepoint, "\xff") and not pcall(utf8.char, -1) and not pcall(utf8.char, 0x80000000))
assert(not pcall(utf8.len, "abc", 5) and not pcall(utf8.offset, "ä", 1, 2) and not pcall(utf8.codes, "\x80"))
local points = {}
for place, code in utf8.codes("aä€") do points[#points + 1] = place .. ":" .. code end
assert(table.concat(points, " ") == "1:97 2:228 4:8364")
for _, bad in ipairs {"\xc0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "a\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80"} do
  assert(not utf8.len(bad) and not pcall(function() for _ in utf8.codes(bad) do end end))
end
assert(("aä€😀"):gsub(utf8.charpattern, "x") == "xxxx")

-- require, package
local lunatik = require "lunatik"
assert(lunatik == package.loaded.lunatik and require "string" == string and lunatik.name == "host")
assert(lunatik.netns > 0 and lunatik.send("data") == 1 and not pcall(lunatik.send, ("x"):rep(61441)) and not pcall(lunatik.send))
lunatik.receive(function(data) return data end)
lunatik.receive(nil)
assert(not pcall(lunatik.receive, 1) and not pcall(lunatik.receive))
package.loaded.own, package.loaded.none = nil, nil
package.preload.own = function(name) return {name = name} end
package.preload.none = function() end
package.preload.bad = function() error("bad module") end
assert(require("own").name == "own" and require "own" == require "own" and require "none" == true)
assert(not pcall(require, "bad") and not pcall(require, "missing") and select(2, pcall(require, "missing")):find("not found"))
assert(dofile == nil and loadfile == nil and string.dump == nil and io == nil and os == nil and debug == nil)

-- print and warn
for i = 1, 30 do print("line", i, nil, true, {}) end
print()
print(("x"):rep(4096))
assert(not pcall(print, ("x"):rep(4097)))
assert(not pcall(print, setmetatable({}, {__tostring = function() return {} end})))
warn("a ", "warning")
warn("@off")
warn("unheard")
warn("@on")
assert(not pcall(warn) and not pcall(warn, {}) and not pcall(warn, "a", {}))

-- No number that is none
assert(not pcall(function() return 1 / 2 end) and not pcall(function() return 2 ^ 2 end))
assert(not pcall(function() local a, b = 4, 2 return a / b end) and not pcall(function() local a = 4 return a / 2 end))
assert(not pcall(function() local a, b = 4, 2 return a ^ b end) and not pcall(function() return "4" / 2 end))
assert(not pcall(function() return 7 // 0 end) and not pcall(function() return 7 % 0 end))
