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
