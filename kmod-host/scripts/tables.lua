-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Tables, and the library `table`.

-- Growth in both parts, holes, removal while walking
local t = {}
for i = 1, 100 do t[i] = i end
for i = -50, 0 do t[i] = i end
for i = 1, 50 do t["k" .. i] = i end
t[true], t[false], t[print], t[t] = 1, 2, 3, 4
local count, sum = 0, 0
for k, v in pairs(t) do
  count = count + 1
  sum = sum + v
  t[k] = nil
end
assert(count == 100 + 51 + 50 + 4 and next(t) == nil and sum == 5050 - 1275 + 1275 + 10)
t = {n = 1}
assert(not pcall(next, t, "no key") and next(t) == "n" and next(t, "n") == nil)
assert(not pcall(function() t[nil] = 1 end) and t[nil] == nil and not pcall(rawset, t, nil, 1))
t[math.mininteger], t[math.maxinteger] = "min", "max"
assert(t[math.mininteger] == "min" and t[math.maxinteger] == "max")
assert(#{1, 2, 3} == 3 and #{} == 0 and #{n = 1} == 0 and rawlen {1, 2} == 2 and rawequal(t, t))

-- insert, remove
t = {}
table.insert(t, "b")
table.insert(t, 1, "a")
table.insert(t, #t + 1, "c")
assert(table.concat(t) == "abc" and table.remove(t, 1) == "a" and table.remove(t) == "c" and #t == 1)
assert(table.remove(t) == "b" and table.remove(t) == nil and #t == 0)
assert(not pcall(table.insert, t, 5, 1) and not pcall(table.insert, t) and not pcall(table.insert, t, 1, 2, 3))

-- concat, pack, unpack, move
assert(table.concat({1, 2, 3}, ", ") == "1, 2, 3" and table.concat({}, "x") == "" and table.concat({1, 2, 3}, "", 2, 3) == "23")
assert(not pcall(table.concat, {1, {}, 3}) and table.concat({"a"}, "x", 1, 1) == "a")
assert(table.concat({[math.maxinteger] = "end"}, "", math.maxinteger, math.maxinteger) == "end")
assert(select("#", table.unpack({}, 1, 3)) == 3 and (table.unpack({1, 2}, 2)) == 2 and table.unpack({1}, 2, 1) == nil)
assert(not pcall(table.unpack, {}, 1, math.maxinteger) and not pcall(table.unpack, {}, math.mininteger, math.maxinteger))
assert(table.pack().n == 0 and table.pack(nil, nil).n == 2)
t = table.move({1, 2, 3}, 1, 3, 2)
assert(t[1] == 1 and t[2] == 1 and t[4] == 3)
t = table.move({1, 2, 3}, 2, 3, 1)
assert(t[1] == 2 and t[2] == 3 and t[3] == 3)
t = table.move({1, 2, 3}, 1, 0, 5)
assert(#t == 3 and not pcall(table.move, {}, 1, math.maxinteger, 2) and not pcall(table.move, {}, math.mininteger, 0, 1))
t = table.create(10, 5)
assert(next(t) == nil and not pcall(table.create, -1))

-- sort
local function sorted(list, less)
  for i = 2, #list do
    if less(list[i], list[i - 1]) then return false end
  end
  return true
end
local function ascending(a, b) return a < b end
for size = 0, 40 do
  local list = {}
  for i = 1, size do list[i] = (i * 7919) % 31 end
  table.sort(list)
  assert(sorted(list, ascending))
  table.sort(list, function(a, b) return a > b end)
  assert(sorted(list, function(a, b) return a > b end))
end
local names = {"delta", "alpha", "charlie", "bravo"}
table.sort(names)
assert(table.concat(names, " ") == "alpha bravo charlie delta")
assert(not pcall(table.sort, {1, "x", 2}) and not pcall(table.sort, {3, 1, 2}, error))
pcall(table.sort, {3, 1, 2, 5, 4, 9, 8, 7, 6}, function() return true end)

-- With metamethods
local log = {}
local proxy = setmetatable({}, {
  __index = function(_, k) return k <= 3 and k * 10 or nil end,
  __newindex = function(_, k, v) log[#log + 1] = k .. "=" .. tostring(v) end,
  __len = function() return 3 end,
})
assert(table.concat(proxy, ",") == "10,20,30" and select("#", table.unpack(proxy)) == 3)
table.insert(proxy, "x")
assert(log[1] == "4=x" and #proxy == 3)
assert(table.remove(proxy) == 30 and log[2] == "3=nil")

-- A queue, and a matrix
local queue = {first = 1, last = 0}
for i = 1, 200 do
  queue.last = queue.last + 1
  queue[queue.last] = i
  if i % 3 == 0 then
    queue[queue.first] = nil
    queue.first = queue.first + 1
  end
end
assert(queue.last - queue.first + 1 == 200 - 66 and queue[queue.first] == 67)
local identity = {}
for i = 1, 8 do
  identity[i] = {}
  for j = 1, 8 do identity[i][j] = i == j and 1 or 0 end
end
local trace = 0
for i, row in ipairs(identity) do trace = trace + row[i] end
assert(trace == 8)
