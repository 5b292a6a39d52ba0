-- SPDX-License-Identifier: GPL-2.0-only
-- packet.eth: Ethernet with its VLAN tags, which belong to the header.
local address = require "packet.address"
local ntop, pton = address.ntop, address.pton

local tags = {[0x8100] = true, [0x88a8] = true, [0x9100] = true}
local MOST = 8

local function mac(text)
  local bytes = pton(text)
  if type(bytes) ~= "string" or #bytes ~= 6 then error("not a MAC address: " .. text, 3) end
  return bytes
end

local function whole(bytes)
  if type(bytes) ~= "string" or #bytes ~= 6 then error("a MAC address is 6 bytes", 3) end
  return bytes
end

-- The VLAN in the tag at this offset, if there is one.
local function vlan(b, at)
  if tags[b:u16(at)] then return b:u16(at + 2) & 0xfff end
end

return require "packet.header"("eth", {
  start = require "packet.locate".mac,

  find = function(b, off)
    local size, at = #b, off + 14
    if size < at then return nil, "truncated" end
    for _ = 1, MOST do
      if not tags[b:u16(at - 2)] then return at end
      at = at + 4
      if size < at then return nil, "truncated" end
    end
    return nil, "too many VLAN tags"
  end,

  get = {
    daddr = function(b, off) return b:string(off, 6) end,
    saddr = function(b, off) return b:string(off + 6, 6) end,
    dst = function(b, off) return ntop(b:string(off, 6)) end,
    src = function(b, off) return ntop(b:string(off + 6, 6)) end,
    type = function(b, _, header) return b:u16(header.payload - 2) end,
    vlan = function(b, off) return vlan(b, off + 12) end,
    inner_vlan = function(b, off) return vlan(b, off + 12) and vlan(b, off + 16) end,
  },

  set = {
    daddr = function(b, off, _, bytes) b:setstring(off, whole(bytes)) end,
    saddr = function(b, off, _, bytes) b:setstring(off + 6, whole(bytes)) end,
    dst = function(b, off, _, text) b:setstring(off, mac(text)) end,
    src = function(b, off, _, text) b:setstring(off + 6, mac(text)) end,
    type = function(b, _, header, value) b:setu16(header.payload - 2, value) end,
  },
})
