-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Programs as people write them.

-- Primes
local function sieve(n)
  local composite, primes = {}, {}
  for i = 2, n do
    if not composite[i] then
      primes[#primes + 1] = i
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return primes
end
local primes = sieve(200)
assert(#primes == 46 and primes[46] == 199)

-- Queens
local function queens(n)
  local count, columns, up, down = 0, {}, {}, {}
  local function place(row)
    if row > n then count = count + 1 return end
    for c = 1, n do
      if not (columns[c] or up[row + c] or down[row - c]) then
        columns[c], up[row + c], down[row - c] = true, true, true
        place(row + 1)
        columns[c], up[row + c], down[row - c] = nil, nil, nil
      end
    end
  end
  place(1)
  return count
end
assert(queens(5) == 10)

-- Calculator: a parser by recursive descent
local function evaluate(text)
  local tokens, i = {}, 1
  local place = 1
  while place <= #text do
    local s, e = text:find("^%s*(%d+)", place)
    if not s then s, e = text:find("^%s*([-+*/()])", place) end
    if not s then error("unexpected at " .. place) end
    tokens[#tokens + 1] = text:sub(s, e):match("%S+")
    place = e + 1
  end
  local expression
  local function atom()
    local token = tokens[i]
    i = i + 1
    if token == "(" then
      local v = expression()
      assert(tokens[i] == ")", "expected )")
      i = i + 1
      return v
    elseif token == "-" then
      return -atom()
    end
    return tonumber(token) or error("expected a number, got " .. tostring(token))
  end
  local function term()
    local v = atom()
    while tokens[i] == "*" or tokens[i] == "/" do
      local op = tokens[i]
      i = i + 1
      if op == "*" then v = v * atom() else v = v // atom() end
    end
    return v
  end
  function expression()
    local v = term()
    while tokens[i] == "+" or tokens[i] == "-" do
      local op = tokens[i]
      i = i + 1
      if op == "+" then v = v + term() else v = v - term() end
    end
    return v
  end
  local v = expression()
  assert(i > #tokens, "trailing tokens")
  return v
end
assert(evaluate("1 + 2 * (3 - -4) / 2") == 8 and evaluate("((7))") == 7)
assert(not pcall(evaluate, "1 +") and not pcall(evaluate, "1 2") and not pcall(evaluate, "(1"))

-- Serialization, there and back
local function serialize(value, indent)
  indent = indent or ""
  if type(value) ~= "table" then return ("%q"):format(value) end
  local keys, lines = {}, {"{"}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do
    lines[#lines + 1] = ("%s  [%q] = %s,"):format(indent, k, serialize(value[k], indent .. "  "))
  end
  lines[#lines + 1] = indent .. "}"
  return table.concat(lines, "\n")
end
local config = {name = "fw", ports = {80, 443}, nested = {deep = {true, false}}, text = "a\nb\0c\"", [1] = math.mininteger}
local text = serialize(config)
assert(serialize(load("return " .. text)()) == text)

-- A packet: header fields out of bytes and into them
local packet = string.pack(">BBI2 I2I2 BBI2 c4c4", 0x45, 0, 40, 7, 0, 64, 17, 0, "\10\0\0\1", "\10\0\0\2")
local version, _, length, _, _, ttl, protocol, _, source = string.unpack(">BBI2 I2I2 BBI2 c4c4", packet)
assert(version >> 4 == 4 and version & 15 == 5 and length == 40 and ttl == 64 and protocol == 17)
assert(("%d.%d.%d.%d"):format(source:byte(1, 4)) == "10.0.0.1")
local sum = 0
for i = 1, #packet, 2 do sum = sum + string.unpack(">I2", packet, i) end
while sum > 0xffff do sum = (sum & 0xffff) + (sum >> 16) end
assert(~sum & 0xffff == 0x66bc, ("%x"):format(~sum & 0xffff))

-- Classes, inheritance, memoization, word counts
local Animal = {}
Animal.__index = Animal
function Animal.new(class, name) return setmetatable({name = name}, class) end
function Animal:speak() return self.name .. " says " .. self:sound() end
local Dog = setmetatable({}, {__index = Animal})
Dog.__index = Dog
function Dog:sound() return "woof" end
assert(Dog:new("Rex"):speak() == "Rex says woof")
local memo = setmetatable({}, {__mode = "v"})
local function fib(n)
  if n < 2 then return n end
  local known = memo[n]
  if known then return known end
  memo[n] = fib(n - 1) + fib(n - 2)
  return memo[n]
end
assert(fib(50) == 12586269025)
local counts = {}
for word in ("the quick brown fox jumps over the lazy dog the end"):gmatch("%w+") do
  counts[word] = (counts[word] or 0) + 1
end
assert(counts.the == 3 and counts.fox == 1)
local buffer = {}
for i = 1, 100 do buffer[#buffer + 1] = i % 15 == 0 and "FizzBuzz" or i % 5 == 0 and "Buzz" or i % 3 == 0 and "Fizz" or i end
assert(#table.concat(buffer) == 313, #table.concat(buffer))
