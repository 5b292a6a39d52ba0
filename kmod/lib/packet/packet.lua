-- SPDX-License-Identifier: GPL-2.0-only
-- The library `packet`: each of its functions is loaded when it is first asked for.
local require = require
local address = require "packet.address"

local parts = {
  eth = true, arp = true, ip = true, ipv4 = true, ipv6 = true, tcp = true, udp = true,
  icmp = true, icmp6 = true, dns = true, dnsname = true, sni = true,
}

return setmetatable({ntop = address.ntop, pton = address.pton}, {
  __index = function(packet, name)
    if not parts[name] then return nil end
    local part = require("packet." .. name)
    packet[name] = part
    return part
  end,
})
