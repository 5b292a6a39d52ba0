-- SPDX-License-Identifier: GPL-2.0-only
-- packet.ipv4
local address = require "packet.address"
local ntop, pton = address.ntop, address.pton

local function ipv4(text)
  local value = pton(text)
  if math.type(value) ~= "integer" then error("not an IPv4 address: " .. text, 3) end
  return value
end

return require "packet.header"("ipv4", {
  start = require "packet.locate".network,

  find = function(b, off)
    local size = #b - off
    if size < 20 then return nil, "truncated" end
    local first, total = b:u8(off), b:u16(off + 2)
    if first >> 4 ~= 4 then return nil, "not IPv4" end
    local length = (first & 15) * 4
    -- A total of 0 is that of a packet of more than 64 KiB.
    if length < 20 or total ~= 0 and total < length then return nil, "malformed" end
    if size < length then return nil, "truncated" end
    return off + length
  end,

  u8 = {tos = 1, ttl = 8, protocol = 9},
  u16 = {length = 2, id = 4, checksum = 10},
  u32 = {saddr = 12, daddr = 16},
  bits = {df = 0x640, mf = 0x620},
  parts = {dscp = 0x0206, ecn = 0x0002},

  get = {
    src = function(b, off) return ntop(b:u32(off + 12)) end,
    dst = function(b, off) return ntop(b:u32(off + 16)) end,
    version = function() return 4 end,
    header_length = function(_, off, header) return header.payload - off end,
    fragment = function(b, off) return (b:u16(off + 6) & 0x1fff) * 8 end,
    options = function(b, off, header) return b:string(off + 20, header.payload - off - 20) end,
    payload_length = function(b, off, header)
      local total, rest = b:u16(off + 2), #b - header.payload
      return total == 0 and rest or math.min(total - (header.payload - off), rest)
    end,
  },

  set = {
    src = function(b, off, _, text) b:setu32(off + 12, ipv4(text)) end,
    dst = function(b, off, _, text) b:setu32(off + 16, ipv4(text)) end,
  },
})
