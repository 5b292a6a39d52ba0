-- SPDX-License-Identifier: GPL-2.0-only
-- packet.udp
local transport = require "packet.locate".transport

return require "packet.header"("udp", {
  start = function(b) return transport(b, 17) end,

  find = function(b, off)
    if #b - off < 8 then return nil, "truncated" end
    local length = b:u16(off + 4)
    -- 0 is that of a packet of more than 64 KiB.
    if length ~= 0 and length < 8 then return nil, "malformed" end
    return off + 8
  end,

  u16 = {sport = 0, dport = 2, length = 4, checksum = 6},

  get = {
    payload_length = function(b, off, header)
      local length, rest = b:u16(off + 4), #b - header.payload
      return length == 0 and rest or math.min(length - 8, rest)
    end,
  },
})
