-- SPDX-License-Identifier: GPL-2.0-only
-- packet.tcp: the header and its options.
local transport = require "packet.locate".transport

-- Where an option's value is, if it has one of this length.
local function option(b, off, header, kind, length)
  local at, last = off + 20, header.payload
  while at < last do
    local this = b:u8(at)
    if this == 0 then return nil end
    if this == 1 then
      at = at + 1
    else
      if last - at < 2 then return nil end
      local size = b:u8(at + 1)
      if size < 2 or size > last - at then return nil end
      if this == kind then return size == length + 2 and at + 2 or nil end
      at = at + size
    end
  end
end

return require "packet.header"("tcp", {
  start = function(b) return transport(b, 6) end,

  find = function(b, off)
    local size = #b - off
    if size < 20 then return nil, "truncated" end
    local length = (b:u8(off + 12) >> 4) * 4
    if length < 20 then return nil, "malformed" end
    if size < length then return nil, "truncated" end
    return off + length
  end,

  u8 = {flags = 13},
  u16 = {sport = 0, dport = 2, window = 14, checksum = 16, urgent = 18},
  u32 = {seq = 4, ack_seq = 8},
  bits = {
    fin = 0xd01, syn = 0xd02, rst = 0xd04, psh = 0xd08, ack = 0xd10, urg = 0xd20, ece = 0xd40,
    cwr = 0xd80,
  },

  get = {
    header_length = function(_, off, header) return header.payload - off end,
    mss = function(b, off, header)
      local at = option(b, off, header, 2, 2)
      return at and b:u16(at)
    end,
    wscale = function(b, off, header)
      local at = option(b, off, header, 3, 1)
      return at and b:u8(at)
    end,
    sack_permitted = function(b, off, header) return option(b, off, header, 4, 0) ~= nil end,
    tsval = function(b, off, header)
      local at = option(b, off, header, 8, 8)
      return at and b:u32(at)
    end,
    tsecr = function(b, off, header)
      local at = option(b, off, header, 8, 8)
      return at and b:u32(at + 4)
    end,
  },

  set = {
    mss = function(b, off, header, value)
      local at = option(b, off, header, 2, 2)
      if not at then error("no MSS option that can be set", 2) end
      b:setu16(at, value)
    end,
  },
})
