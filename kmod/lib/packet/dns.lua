-- SPDX-License-Identifier: GPL-2.0-only
-- packet.dns: a message's header and its first question, the only one that is in use.
local require = require
local dnsname = require "packet.dnsname"

-- The name, and where type and class are if they are there.
local function question(b, off, header)
  if b:u16(off + 4) == 0 then return nil end
  local name, at = dnsname(b, header.payload, off)
  if not name or #b - at < 4 then return nil end
  return name, at
end

return require "packet.header"("dns", {
  start = function(b)
    if not b.transport_offset then return 0 end
    local udp, why = require "packet.udp"(b)
    if not udp then return nil, why end
    return udp.payload
  end,

  find = function(b, off)
    if #b - off < 12 then return nil, "truncated" end
    return off + 12
  end,

  u16 = {id = 0, qdcount = 4, ancount = 6, nscount = 8, arcount = 10},
  bits = {response = 0x280, aa = 0x204, tc = 0x202, rd = 0x201, ra = 0x380, ad = 0x320, cd = 0x310},

  get = {
    opcode = function(b, off) return b:u8(off + 2) >> 3 & 15 end,
    rcode = function(b, off) return b:u8(off + 3) & 15 end,
    name = function(b, off, header) return (question(b, off, header)) end,
    type = function(b, off, header)
      local name, at = question(b, off, header)
      return name and b:u16(at)
    end,
    class = function(b, off, header)
      local name, at = question(b, off, header)
      return name and b:u16(at + 2)
    end,
  },

  set = {
    rcode = function(b, off, _, value) b:setu8(off + 3, b:u8(off + 3) & 0xf0 | value & 15) end,
  },
})
