-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Drops what goes to some ports of TCP and UDP, over IPv4 and IPv6.
local nf = require "netfilter"
local packet = require "packet"

-- The ports, by IP's number of the protocol
local TCP, UDP = 6, 17
local closed = {
  [TCP] = {[23] = true, [445] = true},
  [UDP] = {[69] = true, [1900] = true},
}
-- To this machine, and through it. "output" would be what it sends itself.
local hooks = {"input", "forward"}

local function judge(pkt)
  local off, protocol = pkt:transport_offset()
  if off then
    local ports = closed[protocol]
    if not ports then return nf.ACCEPT end
    -- The smallest of first fragments has the ports. What has none is up to no good.
    if #pkt - off < 4 or ports[pkt:u16(off + 2)] then return nf.DROP end
    return nf.ACCEPT
  end
  -- Later fragments have no ports; without the first one nobody can make use of them.
  -- Anything else without a transport header hides it.
  local ip = packet.ip(pkt)
  return ip and ip.fragment > 0 and nf.ACCEPT or nf.DROP
end

for _, hook in ipairs(hooks) do
  nf.register{family = "inet", hook = hook, priority = "filter", on_error = "drop", judge}
end
