-- SPDX-License-Identifier: GPL-2.0-only
-- Makes the functions that find headers. A header is a table with its buffer and
-- offset; its fields are read when they are asked for, and written when they are set.
--
-- Fields of whole bytes are in u8, u16 and u32, by their offset. Those of one bit are in
-- bits: the offset of its byte, times 256, and the bit. Those of several bits are in
-- parts: a byte each for the offset of their 16 bits, how far right they end, and how many
-- they are. The others have functions in get and set, which are called with buffer, offset,
-- header, and the value to set.
--
-- start(b) tells where such a header is, if nobody says it, and find(b, off, header)
-- where its payload is, maybe with notes for the others in header. In place of that they
-- give nil and the reason why there is no such header.
local setmetatable, error = setmetatable, error
local none = {}

return function(name, spec)
  local u8, u16, u32 = spec.u8 or none, spec.u16 or none, spec.u32 or none
  local bits, get, set = spec.bits or none, spec.get or none, spec.set or none
  local parts = spec.parts or none
  local start, find = spec.start, spec.find
  local meta = {__name = name}

  function meta.__index(header, key)
    local b, off = header.buffer, header.offset
    local at = u16[key]
    if at then return b:u16(off + at) end
    at = u8[key]
    if at then return b:u8(off + at) end
    at = get[key]
    if at then return at(b, off, header) end
    at = u32[key]
    if at then return b:u32(off + at) end
    at = bits[key]
    if at then return b:u8(off + (at >> 8)) & at & 255 ~= 0 end
    at = parts[key]
    if at then return b:u16(off + (at >> 16)) >> (at >> 8 & 255) & (1 << (at & 255)) - 1 end
    error(("%s has no field '%s'"):format(name, key), 2)
  end

  function meta.__newindex(header, key, value)
    local b, off = header.buffer, header.offset
    local at = u16[key]
    if at then return b:setu16(off + at, value) end
    at = u8[key]
    if at then return b:setu8(off + at, value) end
    at = set[key]
    if at then return at(b, off, header, value) end
    at = u32[key]
    if at then return b:setu32(off + at, value) end
    at = bits[key]
    if at then
      off, at = off + (at >> 8), at & 255
      return b:setu8(off, b:u8(off) & ~at | (value and at or 0))
    end
    at = parts[key]
    if at then
      local right, mask = at >> 8 & 255, (1 << (at & 255)) - 1
      if value & ~mask ~= 0 then error(("%d does not fit into %d bits"):format(value, at & 255), 2) end
      off = off + (at >> 16)
      return b:setu16(off, b:u16(off) & ~(mask << right) | value << right)
    end
    error(("%s has no field '%s' that can be set"):format(name, key), 2)
  end

  return function(b, off)
    local payload, why
    if not off then
      off, why = start(b)
      if not off then return nil, why end
    end
    local header = {buffer = b, offset = off, payload = 0}
    payload, why = find(b, off, header)
    if not payload then return nil, why end
    header.payload = payload
    return setmetatable(header, meta)
  end
end
