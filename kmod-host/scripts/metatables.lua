-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Metamethods of each kind.

local meta = {}
local function new(value) return setmetatable({value = value}, meta) end
local function value(x) return type(x) == "table" and x.value or x end
local arithmetic = {
  __add = function(a, b) return a + b end, __sub = function(a, b) return a - b end,
  __mul = function(a, b) return a * b end, __idiv = function(a, b) return a // b end,
  __mod = function(a, b) return a % b end, __band = function(a, b) return a & b end,
  __bor = function(a, b) return a | b end, __bxor = function(a, b) return a ~ b end,
  __shl = function(a, b) return a << b end, __shr = function(a, b) return a >> b end,
  __div = function(a, b) return a * 1000 + b end, __pow = function(a, b) return a * 10000 + b end,
}
for event, f in pairs(arithmetic) do
  meta[event] = function(a, b) return new(f(value(a), value(b))) end
end
meta.__unm = function(a) return new(-a.value) end
meta.__bnot = function(a) return new(~a.value) end
meta.__concat = function(a, b) return value(a) .. "&" .. value(b) end
meta.__len = function(a) return a.value end
meta.__eq = function(a, b) return a.value == b.value end
meta.__lt = function(a, b) return value(a) < value(b) end
meta.__le = function(a, b) return value(a) <= value(b) end
meta.__call = function(self, ...) return self.value, ... end
meta.__tostring = function(a) return "<" .. a.value .. ">" end
meta.__name = "number"

local six, four = new(6), new(4)
assert((six + four).value == 10 and (six - 1).value == 5 and (2 * four).value == 8)
assert((six // four).value == 1 and (six % four).value == 2 and (-six).value == -6 and (~six).value == -7)
assert((six & four).value == 4 and (six | 1).value == 7 and (six ~ four).value == 2)
assert((six << 1).value == 12 and (1 << four).value == 16 and (six >> 1).value == 3)
assert((six / four).value == 6004 and (six / 2).value == 6002 and (2 / six).value == 2006)
assert((six ^ four).value == 60004 and (six ^ 2).value == 60002)
assert(six .. four == "6&4" and "a" .. six == "a&6" and six .. 1 .. 2 == "6&12" and #six == 6)
assert(six == new(6) and six ~= four and not rawequal(six, new(6)) and four < six and six <= new(6) and six > 5 and 7 >= six)
assert(six(1, 2) == 6 and select(3, six(1, 2)) == 2 and tostring(six) == "<6>" and ("%s"):format(six) == "<6>")

-- index and newindex, chains of them
local base = {greet = function() return "hello" end}
local middle = setmetatable({}, {__index = base})
local top = setmetatable({}, {__index = middle})
assert(top.greet() == "hello" and top.none == nil and rawget(top, "greet") == nil)
local store = {}
local shadow = setmetatable({}, {__newindex = store})
shadow.x = 1
assert(store.x == 1 and rawget(shadow, "x") == nil)
rawset(shadow, "x", 2)
shadow.x = 3
assert(rawget(shadow, "x") == 3 and store.x == 1)
local loop = {}
setmetatable(loop, {__index = loop})
assert(not pcall(function() return setmetatable(loop, {__index = loop}).y end) or true)
local default = setmetatable({}, {__index = function(t, k) local v = k .. "!" t[k] = v return v end})
assert(default.a == "a!" and rawget(default, "a") == "a!")

-- Protection and iteration
local guarded = setmetatable({}, {__metatable = "locked"})
assert(getmetatable(guarded) == "locked" and not pcall(setmetatable, guarded, {}))
assert(getmetatable("").__index == string and getmetatable(1) == nil)
local ordered = setmetatable({}, {__pairs = function()
  local i = 0
  return function() i = i + 1 if i <= 3 then return i, i * i end end
end})
local sum = 0
for _, v in pairs(ordered) do sum = sum + v end
assert(sum == 14)
assert(not pcall(setmetatable, {}, {__gc = function() end}) and not pcall(setmetatable, 1, {}))

-- Weak tables
local weak = setmetatable({}, {__mode = "k"})
local keep = {}
weak[keep] = "kept"
for i = 1, 20 do weak[{}] = i end
collectgarbage()
local left = 0
for _ in pairs(weak) do left = left + 1 end
assert(left == 1 and weak[keep] == "kept")
local cache = setmetatable({}, {__mode = "v"})
cache.a, cache.b = {}, keep
collectgarbage()
assert(cache.a == nil and cache.b == keep)
local ephemeral = setmetatable({}, {__mode = "k"})
do
  local first, second = {}, {}
  ephemeral[first], ephemeral[second] = second, first
end
collectgarbage()
assert(next(ephemeral) == nil)

-- Errors in them
for _, broken in ipairs {
  function() return {} + 1 end, function() return {} .. "x" end, function() return #nil end,
  function() return {} < {} end, function() return 1 < "x" end, function() local x; return x.y end,
  function() local x; x.y = 1 end, function() local x = 5; x() end, function() return -{} end,
  function() return 1 & {} end, function() return six() < nil end,
} do
  local ok, message = pcall(broken)
  assert(not ok and type(message) == "string")
end
