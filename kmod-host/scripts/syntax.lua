-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Statements and expressions.

-- Assignment is done in order of evaluation, not of writing.
local a, b, c = 1, 2
assert(a == 1 and b == 2 and c == nil)
a, b = b, a
assert(a == 2 and b == 1)
local t = {1, 2, 3, [10] = "ten", x = {y = {z = "deep"}}; "four"}
assert(#t == 4 and t[4] == "four" and t.x.y.z == "deep" and t[10] == "ten")
do local i = 1; i, t[i] = i + 1, 20; assert(i == 2 and t[1] == 20) end

-- Control
local n = 0
for i = 10, 1, -3 do n = n * 10 + i end
assert(n == 10741)
n = 0
for _, v in ipairs {5, 6, nil, 7} do n = n + v end
assert(n == 11)
while true do n = n + 1; if n > 20 then break end end
repeat local done = n > 30; n = n + 1 until done
assert(n == 32)
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then goto continue end
    n = n + i * j
    ::continue::
  end
end
assert(n == 56)
do
  local k = 0
  ::top:: k = k + 1
  if k < 5 then goto top end
  assert(k == 5)
end

-- Operators and their precedence
assert(2 + 3 * 4 - 10 // 3 == 11)
assert(-2 * -3 == 6 and not nil == true and - - 2 == 2)
assert("a" .. 1 + 2 .. "b" == "a3b")
assert(1 << 2 + 1 == 8 and 5 & 3 | 8 ~ 1 == 9)
assert(~0 == -1 and 1 << 63 == math.mininteger and 1 >> 1 == 0 and 1 << -1 == 0)
assert((1 < 2) == true and (2 <= 2) and not (1 > 2) and 3 >= 2 and 1 ~= 2)
assert((nil or "x") == "x" and (false and "x") == false and (1 and 2) == 2)
assert("a" < "b" and "a" < "aa" and "Z" < "a" and "" < "\0" and not ("b" < "a"))
assert(#"abc" == 3 and #"\0\0" == 2)
assert(7 // 2 == 3 and -7 // 2 == -4 and 7 // -2 == -4 and -7 // -2 == 3)
assert(7 % 3 == 1 and -7 % 3 == 2 and 7 % -3 == -2 and -7 % -3 == -1)
assert(math.mininteger // -1 == math.mininteger and math.mininteger % -1 == 0)

-- Strings
assert("\65\066\x43\u{44}\z
        E" == "ABCDE")
assert([[
line]] == "line" and [==[]]]==] == "]]")
assert('\'"' == "'\"" and "\a\b\f\n\r\t\v\\" == "\7\8\12\10\13\9\11\92")

-- Functions, closures, varargs, tail calls
local function count(...) return select("#", ...), ... end
assert(count() == 0 and count(nil, nil) == 2)
assert(select(-1, 1, 2, 3) == 3 and (select(2, "a", "b", "c")) == "b")
local function pass(...) return ... end
assert((pass(1, 2, 3)) == 1)
local packed = table.pack(pass(1, nil, 3))
assert(packed.n == 3 and packed[2] == nil)
local function down(i) if i == 0 then return "bottom" end return down(i - 1) end
assert(down(20000) == "bottom")
local makers = {}
for i = 1, 3 do local n = i; makers[i] = function() n = n + 1; return n end end
assert(makers[1]() == 2 and makers[1]() == 3 and makers[2]() == 3)
local function counter()
  local value = 0
  return function() value = value + 1; return value end, function() return value end
end
local increment, get = counter()
increment() increment()
assert(get() == 2)
local object = {value = 3}
function object:add(k) self.value = self.value + k; return self end
function object.new() return setmetatable({}, {__index = object}) end
assert(object:add(2):add(1).value == 6 and object.new():add(4).value == 10)
do
  local function variadic(first, ...)
    local rest = {...}
    return first, #rest, ...
  end
  local x, y, z = variadic("f", 10, 20)
  assert(x == "f" and y == 2 and z == 10)
end

-- Attributes
do
  local fixed <const> = 42
  local order = {}
  do
    local one <close> = setmetatable({}, {__close = function() order[#order + 1] = 1 end})
    local two <close> = setmetatable({}, {__close = function() order[#order + 1] = 2 end})
    local none <close> = nil
  end
  assert(fixed == 42 and table.concat(order, ",") == "2,1")
end

-- More locals and constants than fit an instruction
local source = {}
for i = 1, 190 do source[#source + 1] = "local v" .. i .. " = " .. i end
source[#source + 1] = "return v1 + v190"
assert(load(table.concat(source, "\n"))() == 191)
source = {"local t = {"}
for i = 1, 300 do source[#source + 1] = "'s" .. i .. "'," end
source[#source + 1] = "} return t[300], #t"
local last, size = load(table.concat(source))()
assert(last == "s300" and size == 300)
