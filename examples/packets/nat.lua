-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Changes addresses and ports of packets as their mark says. Who sets the mark, such as a
-- rule of nft, decides which packets those are, and remembers nothing: what comes back needs
-- a mark of its own. ICMP errors are not changed.
local nf = require "netfilter"
local packet = require "packet"

-- What becomes of packets with a mark; what is not said stays. Here one server's port 80 is
-- to be reached at the router's port 8080.
local rules = {
  [7] = {dport = 80, ipv4 = {dst = "10.0.2.2"}, ipv6 = {dst = "fd00:0:0:2::2"}},
  [8] = {sport = 8080, ipv4 = {src = "10.0.1.254"}, ipv6 = {src = "fd00:0:0:1::fe"}},
}

local ip_header, tcp_header, udp_header = packet.ip, packet.tcp, packet.udp

-- The destination is changed before the packet is routed, the source after that: an
-- address of the router itself must not come in from outside.
local function change(address, port)
  return function(pkt)
    local rule = rules[pkt:mark()]
    if not rule then return nf.ACCEPT end
    local ip = ip_header(pkt)
    if not ip then return nf.DROP end
    local addresses = ip.version == 4 and rule.ipv4 or rule.ipv6
    -- A later fragment has no ports.
    if rule[port] and ip.fragment == 0 then
      local header = tcp_header(pkt) or udp_header(pkt)
      if not header then return nf.DROP end
      header[port] = rule[port]
    end
    -- Checksums follow by themselves.
    if addresses and addresses[address] then ip[address] = addresses[address] end
    return nf.ACCEPT
  end
end

nf.register{family = "inet", hook = "prerouting", priority = "dstnat", on_error = "drop",
  change("dst", "dport")}
nf.register{family = "inet", hook = "postrouting", priority = "srcnat", on_error = "drop",
  change("src", "sport")}
