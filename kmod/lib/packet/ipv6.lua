-- SPDX-License-Identifier: GPL-2.0-only
-- packet.ipv6: the header and its extensions, up to what they carry.
local address = require "packet.address"
local locate = require "packet.locate"
local ntop, pton = address.ntop, address.pton

local function ipv6(text)
  local bytes = pton(text)
  if type(bytes) ~= "string" or #bytes ~= 16 then error("not an IPv6 address: " .. text, 3) end
  return bytes
end

return require "packet.header"("ipv6", {
  start = locate.network,

  find = function(b, off, header)
    if #b - off < 40 then return nil, "truncated" end
    if b:u8(off) >> 4 ~= 6 then return nil, "not IPv6" end
    local payload, protocol, fragment, more, id = locate.extensions(b, off)
    if not payload then return nil, protocol end
    header[1], header[2], header[3], header[4] = protocol, fragment, more, id
    return payload
  end,

  u8 = {next_header = 6, ttl = 7, hop_limit = 7},

  get = {
    saddr = function(b, off) return b:string(off + 8, 16) end,
    daddr = function(b, off) return b:string(off + 24, 16) end,
    src = function(b, off) return ntop(b:string(off + 8, 16)) end,
    dst = function(b, off) return ntop(b:string(off + 24, 16)) end,
    version = function() return 6 end,
    header_length = function(_, off, header) return header.payload - off end,
    tos = function(b, off) return b:u16(off) >> 4 & 255 end,
    dscp = function(b, off) return b:u16(off) >> 6 & 63 end,
    ecn = function(b, off) return b:u16(off) >> 4 & 3 end,
    flow = function(b, off) return b:u32(off) & 0xfffff end,
    length = function(b, off) return b:u16(off + 4) + 40 end,
    protocol = function(_, _, header) return header[1] end,
    fragment = function(_, _, header) return header[2] end,
    mf = function(_, _, header) return header[3] end,
    id = function(_, _, header) return rawget(header, 4) end,
    payload_length = function(b, off, header)
      local total, rest = b:u16(off + 4), #b - header.payload
      -- 0 is that of a packet of more than 64 KiB.
      return total == 0 and rest or math.max(0, math.min(total + 40 - (header.payload - off), rest))
    end,
  },

  set = {
    src = function(b, off, _, text) b:setstring(off + 8, ipv6(text)) end,
    dst = function(b, off, _, text) b:setstring(off + 24, ipv6(text)) end,
    tos = function(b, off, _, value) b:setu16(off, b:u16(off) & 0xf00f | (value & 255) << 4) end,
  },
})
