-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Coroutines.

local function numbers(n)
  return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end)
end
local sum = 0
for i in numbers(20) do sum = sum + i end
assert(sum == 210)

-- Values in both directions
local echo = coroutine.create(function(...)
  local values = table.pack(...)
  while true do values = table.pack(coroutine.yield(table.unpack(values, 1, values.n))) end
end)
assert(select("#", coroutine.resume(echo)) == 1)
assert(select(2, coroutine.resume(echo, "a")) == "a" and select("#", coroutine.resume(echo, nil, nil)) == 3)
assert(coroutine.status(echo) == "suspended" and coroutine.isyieldable(echo) and not coroutine.isyieldable())
assert(coroutine.close(echo) and coroutine.status(echo) == "dead")

-- States and errors
local outer
outer = coroutine.create(function()
  assert(coroutine.running() == outer and coroutine.status(outer) == "running")
  local inner = coroutine.create(function() return coroutine.status(outer) end)
  assert(select(2, coroutine.resume(inner)) == "normal" and coroutine.status(inner) == "dead")
  error({code = 7})
end)
local ok, problem = coroutine.resume(outer)
assert(not ok and problem.code == 7 and coroutine.status(outer) == "dead")
assert(not coroutine.resume(outer) and select(2, coroutine.resume(outer)) == "cannot resume dead coroutine")
assert(not pcall(coroutine.wrap(function() error("x") end)) and not pcall(coroutine.create) and not pcall(coroutine.yield))
assert(not coroutine.resume(coroutine.running()))

-- Yields across pcall, metamethods, iterators, sort's refusal
local log = {}
local across = coroutine.wrap(function()
  local ok, message = pcall(function()
    coroutine.yield("in pcall")
    error("after")
  end)
  log[#log + 1] = not ok and message:match("after$")
  local t = setmetatable({}, {__index = function(_, k) return coroutine.yield(k) end, __add = function() return coroutine.yield("add") end})
  log[#log + 1] = t.field
  log[#log + 1] = t + 1
  for v in function(_, i) return coroutine.yield("for") end do log[#log + 1] = v end
  log[#log + 1] = select(2, xpcall(function() return coroutine.yield("x") end, print))
  log[#log + 1] = pcall(table.sort, {3, 2, 1}, function() coroutine.yield() end)
  return "end"
end)
assert(across() == "in pcall" and across() == "field" and across(1) == "add" and across(2) == "for")
assert(across(3) == "for" and across(nil) == "x" and across(4) == "end")
assert(log[1] == "after" and log[2] == 1 and log[3] == 2 and log[4] == 3 and log[5] == 4 and log[6] == false)

-- Variables to be closed
local closed = {}
local function closing(name)
  return setmetatable({}, {__close = function(_, e) closed[#closed + 1] = name .. ":" .. tostring(e) end})
end
local holder = coroutine.create(function()
  local a <close> = closing("a")
  local b <close> = closing("b")
  coroutine.yield()
end)
coroutine.resume(holder)
assert(coroutine.close(holder) and table.concat(closed, " ") == "b:nil a:nil")
holder = coroutine.create(function()
  local c <close> = setmetatable({}, {__close = function() error("in close", 0) end})
  coroutine.yield()
end)
coroutine.resume(holder)
ok, problem = coroutine.close(holder)
assert(not ok and problem == "in close")
closed = {}
pcall(function()
  local a <close> = closing("a")
  local wrapped <close> = coroutine.wrap(function() end) and closing("w")
  error("e", 0)
end)
assert(table.concat(closed, " ") == "w:e a:e")
local slow = coroutine.wrap(function()
  local a <close> = setmetatable({}, {__close = function() coroutine.yield("closing") end})
  return "done"
end)
assert(slow() == "closing" and slow() == "done")
for i = 1, 3 do
  local function iterate() return function(_, k) return k < 2 and k + 1 or nil end, nil, 0, closing("for") end
  for _ in iterate() do if i == 2 then break end end
end
assert(#closed == 5)

-- Many at once, some abandoned
local pipe = numbers(100)
for _ = 1, 5 do
  local source = pipe
  pipe = coroutine.wrap(function() for i in source do if i % 2 == 0 then coroutine.yield(i // 2) end end end)
end
assert(pipe() == 1 and pipe() == 2 and pipe() == 3 and pipe() == nil)
for i = 1, 30 do numbers(i)() end
local function permutations(list, n)
  if n <= 1 then coroutine.yield(table.concat(list)) end
  for i = 1, n do
    list[n], list[i] = list[i], list[n]
    if n > 1 then permutations(list, n - 1) end
    list[n], list[i] = list[i], list[n]
  end
end
local seen = {}
for p in coroutine.wrap(function() permutations({"a", "b", "c"}, 3) end) do seen[p] = true end
assert(seen.abc and seen.cab and seen.cba)
