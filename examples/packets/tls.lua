-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Ends connections of TLS to servers with some names, which the client's first message
-- has in clear. That message may come in any number of segments: they are put together
-- from the SYN on. To the server the last of them is a reset; the client hears nothing.
-- Where the name is encrypted (ECH) the outer one counts.
local data = require "data"
local lunatik = require "lunatik"
local nf = require "netfilter"
local packet = require "packet"

-- These, and what is below them
local blocked = {["bad.example"] = true}
local port = 443
local hooks = {"input", "forward"}
-- Connections of which the first message is awaited. Of others only the first segment is
-- looked at.
local most = 512
-- For so long (seconds)
local patience = 5
-- Bytes of such a message, and of all those that have come in part. More than that is
-- dropped.
local longest, held = 4096, 256 * 1024

local TCP = 6
-- The flags RST and ACK
local RST = 0x14
local ip_header, tcp_header, sni = packet.ip, packet.tcp, packet.sni

-- Connections by addresses and ports: what came, and the number of the byte that comes
-- next. After a while they are in `older`, and then forgotten.
local function generation()
  return {flows = {}, count = 0, bytes = 0}
end
local newer, older = generation(), generation()

lunatik.every(patience * 1000, function()
  newer, older = generation(), newer
end)

local function find(flow)
  return newer.flows[flow] or older.flows[flow]
end

local function forget(flow)
  local connection = find(flow)
  if not connection then return end
  local where = connection.where
  where.count, where.bytes = where.count - 1, where.bytes - #connection.bytes
  where.flows[flow] = nil
end

local function remember(flow, seq)
  forget(flow)
  if newer.count >= most then return end
  newer.count = newer.count + 1
  newer.flows[flow] = {where = newer, seq = seq & 0xffffffff, bytes = ""}
end

local function is_blocked(name)
  while name do
    if blocked[name] then return true end
    name = name:match "^[^.]*%.(.+)$"
  end
  return false
end

-- Whether the message is in several records, which is no client's habit
local function is_split(bytes)
  return #bytes >= 5 and #bytes - 5 >= (">I2"):unpack(bytes, 4)
end

local function judge(pkt)
  local off, protocol = pkt:transport_offset()
  if not off then
    -- A later fragment, which is nothing without the first, or a header that hides
    local ip = ip_header(pkt)
    return ip and ip.fragment > 0 and nf.ACCEPT or nf.DROP
  end
  if protocol ~= TCP or #pkt - off < 4 or pkt:u16(off + 2) ~= port then return nf.ACCEPT end
  local ip, tcp = ip_header(pkt), tcp_header(pkt)
  -- TCP avoids fragments. They could hide the message.
  if not ip or not tcp or ip.mf then return nf.DROP end

  local flow = (ip.version == 4 and pkt:string(ip.offset + 12, 8) or
    pkt:string(ip.offset + 8, 32)) .. pkt:string(off, 4)
  local seq = tcp.seq
  if tcp.syn then
    seq = seq + 1
    remember(flow, seq)
  end
  local length = ip.payload_length - tcp.header_length
  if length <= 0 then return nf.ACCEPT end

  local connection = find(flow)
  if not connection then
    local name = sni(pkt, tcp.payload)
    if name and is_blocked(name) then tcp.flags = RST end
    return nf.ACCEPT
  end
  local known = connection.seq - seq & 0xffffffff
  -- What is too early comes again, after what is missing.
  if known >= 0x80000000 then return nf.DROP end
  if known >= length then return nf.ACCEPT end
  local more = pkt:string(tcp.payload + known, math.min(length - known, longest))
  local bytes = connection.bytes .. more
  local name, why = sni(data.new(bytes), 0)
  if name and is_blocked(name) then
    tcp.seq, tcp.flags = connection.seq, RST
    return nf.ACCEPT
  end
  if name or why == "not a ClientHello" or why == "no server name" then
    forget(flow)
    return nf.ACCEPT
  end
  if why ~= "truncated" or is_split(bytes) or #bytes > longest or
    newer.bytes + older.bytes + #more > held then
    return nf.DROP
  end
  local where = connection.where
  where.bytes = where.bytes + #more
  connection.seq, connection.bytes = seq + length & 0xffffffff, bytes
  return nf.ACCEPT
end

for _, hook in ipairs(hooks) do
  nf.register{family = "inet", hook = hook, priority = "filter", on_error = "drop", judge}
end
