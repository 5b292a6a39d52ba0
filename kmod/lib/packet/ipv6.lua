-- SPDX-License-Identifier: GPL-2.0-only
-- packet.ipv6: the header and its extensions, up to what they carry.
local address = require "packet.address"
local ntop, pton = address.ntop, address.pton

-- Most extension headers have their length in units of 8 bytes, without the first;
-- one has it in units of 4, without the first two. A fragment's is always 8.
local extension = {[0] = 8, [43] = 8, [44] = 0, [51] = 4, [60] = 8}
-- More of them are nothing but work.
local MOST = 8

-- What comes after the header and its extensions, and what that is; of a fragment also
-- its offset, whether there are more, and its identification.
local function follow(b, off)
  local size = #b
  local protocol, at = b:u8(off + 6), off + 40
  local fragment, more, id = 0, false, nil
  for _ = 0, MOST do
    local unit = extension[protocol]
    if not unit or fragment ~= 0 then return at, protocol, fragment, more, id end
    if size - at < 8 then return nil, "truncated" end
    local length = 8
    if unit == 0 then
      local word = b:u16(at + 2)
      fragment, more, id = word & 0xfff8, word & 1 ~= 0, b:u32(at + 4)
    else
      length = unit == 8 and (b:u8(at + 1) + 1) * 8 or (b:u8(at + 1) + 2) * 4
      if size - at < length then return nil, "truncated" end
    end
    protocol, at = b:u8(at), at + length
  end
  return nil, "too many extension headers"
end

local function ipv6(text)
  local bytes = pton(text)
  if type(bytes) ~= "string" or #bytes ~= 16 then error("not an IPv6 address: " .. text, 3) end
  return bytes
end

local function whole(bytes)
  if type(bytes) ~= "string" or #bytes ~= 16 then error("an IPv6 address is 16 bytes", 3) end
  return bytes
end

return require "packet.header"("ipv6", {
  start = require "packet.locate".network,

  find = function(b, off, header)
    if #b - off < 40 then return nil, "truncated" end
    if b:u8(off) >> 4 ~= 6 then return nil, "not IPv6" end
    local payload, protocol, fragment, more, id = follow(b, off)
    if not payload then return nil, protocol end
    header[1], header[2], header[3], header[4] = protocol, fragment, more, id
    return payload
  end,

  u8 = {next_header = 6, ttl = 7, hop_limit = 7},
  parts = {tos = 0x0408, dscp = 0x0606, ecn = 0x0402},

  get = {
    saddr = function(b, off) return b:string(off + 8, 16) end,
    daddr = function(b, off) return b:string(off + 24, 16) end,
    src = function(b, off) return ntop(b:string(off + 8, 16)) end,
    dst = function(b, off) return ntop(b:string(off + 24, 16)) end,
    version = function() return 6 end,
    header_length = function(_, off, header) return header.payload - off end,
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
    saddr = function(b, off, _, bytes) b:setstring(off + 8, whole(bytes)) end,
    daddr = function(b, off, _, bytes) b:setstring(off + 24, whole(bytes)) end,
    src = function(b, off, _, text) b:setstring(off + 8, ipv6(text)) end,
    dst = function(b, off, _, text) b:setstring(off + 24, ipv6(text)) end,
  },
})
