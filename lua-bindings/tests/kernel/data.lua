-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Data to a state and from it.
local lunatik = require "lunatik"

local s = assert(lunatik.newstate { name = "data", timeout = 10 })

local none, message, code = s:senddata "ping"
assert(none == nil and code == "ENOTCONN" and message == "the state has no receiver")

assert(s:dostring [[
  local lunatik = require "lunatik"
  function echo(data) return data end
  lunatik.receive(function(data) return echo(data) end)
]] == nil)
assert(s:senddata "ping" == "ping")
assert(s:senddata "" == "")
assert(s:senddata "a\0b" == "a\0b")
local large = ("x"):rep(61440)
assert(s:senddata(large) == large)
assert(select(3, s:senddata(large .. "x")) == "EMSGSIZE")
s:dostring "function echo() end"
assert(s:senddata "ping" == true)
s:dostring "function echo() error('boom') end"
none, message, code = s:senddata "ping"
assert(none == nil and code == "EREMOTEIO" and message:find("boom", 1, true))
s:dostring "function echo() while true do end end"
assert(select(3, s:senddata("ping", 0.02)) == "ETIME")

-- Many messages in few system calls.
s:dostring [[
  function echo(data)
    if data == "fail" then error("as asked", 0) end
    if data == "loop" then while true do end end
    if data ~= "none" then return data end
  end
]]
local answers, failures = s:sendall {"a", "", "none", "a\0b", 12}
assert(#answers == 5 and failures == nil)
assert(answers[1] == "a" and answers[2] == "" and answers[3] == true)
assert(answers[4] == "a\0b" and answers[5] == "12")
answers, failures = s:sendall({"a", "fail", large .. "x", "loop", "b"}, 0.5)
assert(answers[1] == "a" and answers[5] == "b" and #answers == 5)
assert(answers[2] == false and answers[3] == false and answers[4] == false)
assert(failures[1] == nil and failures[5] == nil)
assert(failures[2].message == "as asked" and failures[2].code == "EREMOTEIO")
assert(failures[2].traceback:find "^stack traceback:")
assert(failures[3].code == "EMSGSIZE" and failures[3].traceback == nil)
assert(failures[4].code == "ETIME")
local many = {}
for i = 1, 1000 do many[i] = "message " .. i end
answers, failures = s:sendall(many)
assert(#answers == 1000 and not failures)
for i = 1, 1000 do assert(answers[i] == many[i]) end
answers, failures = s:sendall {}
assert(#answers == 0 and not failures)
for expected, arguments in pairs {
  ["bad argument #1 to 'sendall' (table expected, got no value)"] = {n = 0},
  ["bad argument #1 to 'sendall' (table expected, got string)"] = {n = 1, "a"},
  ["bad argument #1 to 'sendall' (element 2: string expected, got table)"] = {n = 1, {"a", {}}},
  ["bad argument #2 to 'sendall' (not a time in seconds)"] = {n = 2, {"a"}, -1},
} do
  local ok, raised = pcall(s.sendall, s, table.unpack(arguments, 1, arguments.n))
  assert(not ok and raised:find(expected, 1, true), raised)
end

-- What the state sends.
assert(s:getfd() == nil)
assert(s:subscribe() == true)
assert(math.type(s:getfd()) == "integer")
none, message, code = s:receive(0)
assert(none == nil and message == "timeout" and code == "ETIMEDOUT")
s:dostring "lunatik = require 'lunatik' for i = 1, 3 do lunatik.send('message\\0' .. i) end"
for i = 1, 3 do
  local data, sequence, lost = s:receive()
  assert(data == "message\0" .. i and sequence == i and lost == 0)
end
assert(select(3, s:receive(0.01)) == "ETIMEDOUT")
assert(not pcall(s.receive, s, -1))

-- Messages that a slow reader lost are told of at once, and counted by the next
-- that comes.
assert(select("#", s:dostring "for i = 1, 260 do lunatik.send(('x'):rep(60000)) end") == 0)
assert(select(3, s:receive(0)) == "ENOBUFS")
local received = 0
while s:receive(0) do received = received + 1 end
assert(received > 0 and received < 260)
assert(s:dostring "return lunatik.send('last')" == 1)
local data, sequence, lost = s:receive(1)
assert(data == "last" and sequence == 264 and lost == 260 - received)

-- Unsubscribed, nothing waits.
assert(s:unsubscribe() == true)
assert(s:getfd() == nil)
assert(s:dostring "return lunatik.send('nobody')" == 0)

-- A subscription is no obstacle to closing, and ends with the state.
assert(s:subscribe())
assert(s:close())
assert(not pcall(s.sendall, s, {"a"}))
