-- SPDX-License-Identifier: GPL-2.0-only
-- packet.ip: IPv4 or IPv6, whichever it is.
local network = require "packet.locate".network
-- Before there is a packet that waits for them
local ipv4, ipv6 = require "packet.ipv4", require "packet.ipv6"

return function(b, off)
  local why
  if not off then
    off, why = network(b)
    if not off then return nil, why end
  end
  if #b - off < 20 then return nil, "truncated" end
  local version = b:u8(off) >> 4
  if version == 4 then return ipv4(b, off) end
  if version == 6 then return ipv6(b, off) end
  return nil, "neither IPv4 nor IPv6"
end
