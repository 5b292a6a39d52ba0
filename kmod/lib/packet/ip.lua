-- SPDX-License-Identifier: GPL-2.0-only
-- packet.ip: IPv4 or IPv6, whichever it is.
local require = require
local network = require "packet.locate".network

return function(b, off)
  local why
  if not off then
    off, why = network(b)
    if not off then return nil, why end
  end
  if #b - off < 20 then return nil, "truncated" end
  local version = b:u8(off) >> 4
  if version == 4 then return require "packet.ipv4"(b, off) end
  if version == 6 then return require "packet.ipv6"(b, off) end
  return nil, "neither IPv4 nor IPv6"
end
