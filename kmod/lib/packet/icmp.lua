-- SPDX-License-Identifier: GPL-2.0-only
-- packet.icmp, and packet.icmp6 by that name
local six = ... == "packet.icmp6"
local transport = require "packet.locate".transport

return require "packet.header"(six and "icmp6" or "icmp", {
  start = function(b) return transport(b, six and 58 or 1) end,

  find = function(b, off)
    if #b - off < 8 then return nil, "truncated" end
    return off + 8
  end,

  u8 = {type = 0, code = 1},
  -- id and sequence are those of an echo.
  u16 = {checksum = 2, id = 4, sequence = 6},
  u32 = {rest = 4},
})
