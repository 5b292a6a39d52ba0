-- SPDX-License-Identifier: GPL-2.0-only
-- Where headers are in a packet. A data buffer has them where its user says, or at 0.
local require = require
local locate = {}

function locate.mac(b)
  if not b.mac_offset then return 0 end
  local off = b:mac_offset()
  if not off then return nil, "no Ethernet header" end
  return off
end

-- Where only the Ethernet header is known, as in XDP, the next one comes after it.
function locate.network(b)
  if not b.network_offset then return 0 end
  local off = b:network_offset()
  if off then return off end
  local eth, why = require "packet.eth"(b)
  if not eth then return nil, why end
  return eth.payload
end

-- Most extension headers have their length in units of 8 bytes, without the first;
-- one has it in units of 4, without the first two. A fragment's is always 8.
local extension = {[0] = 8, [43] = 8, [44] = 0, [51] = 4, [60] = 8}
-- More of them are nothing but work.
local MOST = 16

-- What comes after IPv6's header and its extensions, and what that is; of a fragment also
-- its offset, whether there are more, and its identification.
function locate.extensions(b, off)
  local size = #b
  local protocol, at = b:u8(off + 6), off + 40
  local fragment, more, id = 0, false, nil
  for _ = 1, MOST do
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

-- In a packet the header of a protocol is only there where IP says so, and only the first
-- of several fragments has it.
function locate.transport(b, protocol)
  if not b.network_offset then return 0 end
  local off, why = locate.network(b)
  if not off then return nil, why end
  local left = #b - off
  if left < 20 then return nil, "truncated" end
  local first = b:u8(off)
  local at, found, fragment
  if first >> 4 == 4 then
    at, found, fragment = off + (first & 15) * 4, b:u8(off + 9), b:u16(off + 6) & 0x1fff
    if first & 15 < 5 then return nil, "malformed" end
  elseif first >> 4 == 6 then
    if left < 40 then return nil, "truncated" end
    at, found, fragment = locate.extensions(b, off)
    if not at then return nil, found end
  else
    return nil, "neither IPv4 nor IPv6"
  end
  if found ~= protocol then return nil, "another protocol" end
  if fragment ~= 0 then return nil, "not the first fragment" end
  return at
end

return locate
