-- SPDX-License-Identifier: GPL-2.0-only
-- packet.sni: the name of the server that a TLS client asks for.
local require = require

local HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
-- More extensions are nothing but work.
local MOST = 100

local function start(b)
  if not b.transport_offset then return 0 end
  local tcp, why = require "packet.tcp"(b)
  if not tcp then return nil, why end
  return tcp.payload
end

return function(b, off)
  local why
  if not off then
    off, why = start(b)
    if not off then return nil, why end
  end
  -- Record and handshake message, up to the length of the session's id
  local last = #b
  if last - off < 44 then return nil, "truncated" end
  if b:u8(off) ~= HANDSHAKE or b:u8(off + 1) ~= 3 or b:u8(off + 5) ~= CLIENT_HELLO then
    return nil, "not a ClientHello"
  end
  last = math.min(last, off + 5 + b:u16(off + 3))
  local at = off + 44 + b:u8(off + 43)
  if last - at < 2 then return nil, "truncated" end
  at = at + 2 + b:u16(at)
  if last - at < 1 then return nil, "truncated" end
  at = at + 1 + b:u8(at)
  if last - at < 2 then return nil, "truncated" end
  local stop = at + 2 + b:u16(at)
  at = at + 2
  for _ = 1, MOST do
    if at >= stop then return nil, "no server name" end
    if last - at < 4 then return nil, "truncated" end
    local length = b:u16(at + 2)
    if last - at - 4 < length then return nil, "truncated" end
    if b:u16(at) == SERVER_NAME then
      if length < 5 or b:u8(at + 6) ~= HOST_NAME then return nil, "malformed" end
      local n = b:u16(at + 7)
      if n == 0 or n > length - 5 then return nil, "malformed" end
      return b:string(at + 9, n):lower()
    end
    at = at + 4 + length
  end
  return nil, "too many extensions"
end
