-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Answers, on a router, that some names do not exist, and no name below them either,
-- whichever server is asked. The list is changed while it works by sending
-- "add NAME", "remove NAME" or "list" to the state.
local lunatik = require "lunatik"
local nf = require "netfilter"
local packet = require "packet"

local blocked = {["ads.example"] = true, ["tracker.example"] = true}
-- What clients are told: 3 is NXDOMAIN, 5 is REFUSED. nil is silence.
local rcode = 3
local port = 53
-- Messages in one segment of TCP; with more of them it is dropped.
local most = 32

local TCP, UDP = 6, 17
local dnsname, ip_header, udp_header, tcp_header, dns_header =
  packet.dnsname, packet.ip, packet.udp, packet.tcp, packet.dns

-- Each dot counts as the end of a label, even if it is in one.
local function is_blocked(name)
  while name do
    if blocked[name] then return true end
    name = name:match "^[^.]*%.(.+)$"
  end
  return false
end

-- The name that a message asks for, and where its question ends
local function question(pkt, dns)
  if not dns or dns.qdcount ~= 1 then return nil end
  local name, at = dnsname(pkt, dns.payload, dns.offset)
  if not name or #pkt - at < 4 then return nil end
  return name, at + 4
end

-- Makes the packet its own answer, which is routed back to where it came from.
local function answer(pkt, ip, udp, dns, stop)
  pkt:trim(stop)
  dns.response, dns.aa, dns.ra, dns.rcode = true, false, true, rcode
  dns.ancount, dns.nscount, dns.arcount = 0, 0, 0
  udp.sport, udp.dport = udp.dport, udp.sport
  ip.src, ip.dst = ip.dst, ip.src
  return nf.ACCEPT
end

local function judge_udp(pkt)
  local ip, udp = ip_header(pkt), udp_header(pkt)
  -- Questions are small, and nobody needs to send several as one that is to be cut.
  if not ip or not udp or ip.mf or pkt:gso_size() then return nf.DROP end
  local dns = dns_header(pkt, udp.payload)
  -- Servers do not answer answers, and neither do we.
  if dns and dns.response then return nf.ACCEPT end
  local name, stop = question(pkt, dns)
  -- What cannot be read here shall not be answered by a server that can.
  if not name then return nf.DROP end
  if not is_blocked(name) then return nf.ACCEPT end
  if not rcode then return nf.DROP end
  return answer(pkt, ip, udp, dns, stop)
end

-- Each message in a segment is looked at. One that is cut in two is not found: close the
-- port for TCP (ports.lua) if that matters.
local function judge_tcp(pkt)
  local tcp = tcp_header(pkt)
  if not tcp then return nf.DROP end
  local at = tcp.payload
  for _ = 1, most do
    if #pkt - at <= 2 then return nf.ACCEPT end
    local name = question(pkt, dns_header(pkt, at + 2))
    if name and is_blocked(name) then return nf.DROP end
    at = at + 2 + pkt:u16(at)
  end
  return nf.DROP
end

nf.register{family = "inet", hook = "prerouting", priority = "raw", on_error = "drop",
  function(pkt)
    local off, protocol = pkt:transport_offset()
    if not off then
      -- A later fragment, which is nothing without the first, or a header that hides
      local ip = ip_header(pkt)
      return ip and ip.fragment > 0 and nf.ACCEPT or nf.DROP
    end
    if protocol ~= UDP and protocol ~= TCP then return nf.ACCEPT end
    if #pkt - off < 4 then return nf.DROP end
    if pkt:u16(off + 2) ~= port then return nf.ACCEPT end
    return (protocol == UDP and judge_udp or judge_tcp)(pkt)
  end}

lunatik.receive(function(data)
  local verb, name = data:lower():match "^(%a+)%s*(%S-)%.?%s*$"
  if verb == "list" then
    local names = {}
    for one in pairs(blocked) do names[#names + 1] = one end
    table.sort(names)
    return table.concat(names, "\n")
  end
  if verb ~= "add" and verb ~= "remove" or name == "" then
    error("add NAME, remove NAME or list", 0)
  end
  blocked[name] = verb == "add" or nil
end)
