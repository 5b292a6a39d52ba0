-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The library linux, where the interfaces are those of harness/module.c.
local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and message:find(text, 1, true), message)
end

local linux = require "linux"
assert(linux.time() > 0 and linux.monotonic() <= linux.monotonic() and linux.cpu() == 0)
assert(linux.ifindex "lo" == 1 and linux.ifindex "eth0" == 2 and linux.ifindex "none" == nil and linux.ifindex "lo\0" == nil and linux.ifindex "" == nil)
assert(linux.ifname(1) == "lo" and linux.ifname(2) == "eth0" and linux.ifname(3) == nil and linux.ifname(0) == nil and linux.ifname(-1) == nil)
assert(linux.ifname((1 << 32) + 1) == nil and linux.ifname(math.maxinteger) == nil)
local count = 0
for name, index in pairs(linux.interfaces()) do
  assert(linux.ifindex(name) == index)
  count = count + 1
end
assert(count == 2)
for _ = 1, 50 do
  local r = linux.random(3)
  assert(r >= 1 and r <= 3)
  r = linux.random(-2, 2)
  assert(r >= -2 and r <= 2)
end
assert(linux.random(7, 7) == 7 and linux.random(1) == 1 and linux.random(0) ~= linux.random() )
linux.random(math.mininteger, math.maxinteger)
fails("interval is empty", linux.random, -1)
fails("interval is empty", linux.random, 2, 1)
fails("wrong number of arguments", linux.random, 1, 2, 3)
