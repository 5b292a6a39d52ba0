-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Limits how many connections of TCP each source may open: a token bucket for each.
-- With --percpu each CPU has its own buckets, so that a source whose packets come in by
-- several CPUs may have the rate of each. The state's answer to any data is what it did.
local linux = require "linux"
local lunatik = require "lunatik"
local nf = require "netfilter"
local packet = require "packet"

-- SYNs per second, and how many at once
local rate, burst = 5, 10
-- Bytes of an IPv6 address that are one source's; the rest is its own to choose.
local prefix = 8
-- So many sources are told apart. The others share one bucket until there is room.
local most = 4096

local interval = 1000000000 // rate
local TCP = 6
local ip_header = packet.ip

-- When the bucket of each source is full again (ns): all there is to know of it.
local full, count = {}, 0
local passed, dropped = 0, 0

local function allow(source)
  local now = linux.monotonic()
  local at = full[source]
  if not at then
    if count < most then
      count = count + 1
    else
      source = "others"
      at = full[source]
    end
  end
  if not at or at < now then at = now end
  if at + interval - now > burst * interval then return false end
  full[source] = at + interval
  return true
end

-- A full bucket is as good as none.
lunatik.every(1000, function()
  local now = linux.monotonic()
  count = 0
  for source, at in pairs(full) do
    if at <= now then
      full[source] = nil
    else
      count = count + 1
    end
  end
end)

local function judge(pkt)
  local off, protocol = pkt:transport_offset()
  if not off then
    -- Fragments of TCP that begin within its header would change the flags of the first.
    local ip = ip_header(pkt)
    if not ip then return nf.DROP end
    return ip.protocol == TCP and ip.fragment < 20 and nf.DROP or nf.ACCEPT
  end
  if protocol ~= TCP then return nf.ACCEPT end
  if #pkt - off < 20 then return nf.DROP end
  -- SYN without ACK
  if pkt:u8(off + 13) & 0x12 ~= 0x02 then return nf.ACCEPT end
  local ip = ip_header(pkt)
  if not ip then return nf.DROP end
  local source = ip.saddr
  if ip.version == 6 then source = source:sub(1, prefix) end
  if allow(source) then
    passed = passed + 1
    return nf.ACCEPT
  end
  dropped = dropped + 1
  return nf.DROP
end

-- Before connections are tracked
nf.register{family = "inet", hook = "prerouting", priority = "raw", judge}

lunatik.receive(function()
  return ("%d passed, %d dropped, %d sources"):format(passed, dropped, count)
end)
