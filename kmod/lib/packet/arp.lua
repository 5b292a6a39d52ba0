-- SPDX-License-Identifier: GPL-2.0-only
-- packet.arp: ARP for IPv4 over Ethernet. The fields have the names of RFC 826.
local address = require "packet.address"
local ntop = address.ntop

return require "packet.header"("arp", {
  start = require "packet.locate".network,

  find = function(b, off)
    if #b - off < 28 then return nil, "truncated" end
    if b:u32(off) ~= 0x10800 or b:u16(off + 4) ~= 0x604 then
      return nil, "not ARP of IPv4 over Ethernet"
    end
    return off + 28
  end,

  u16 = {op = 6},

  get = {
    sha = function(b, off) return ntop(b:string(off + 8, 6)) end,
    spa = function(b, off) return ntop(b:u32(off + 14)) end,
    tha = function(b, off) return ntop(b:string(off + 18, 6)) end,
    tpa = function(b, off) return ntop(b:u32(off + 24)) end,
  },
})
