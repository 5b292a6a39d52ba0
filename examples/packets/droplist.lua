-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Drops what comes from the addresses in a map of eBPF, as soon as the device has it, and
-- counts that there. Whoever has the map changes the list: bpftool, other eBPF programs,
-- other states. The argument is the path of the map.
local bpf = require "bpf"
local xdp = require "xdp"

local path = ... or "/sys/fs/bpf/droplist"
-- A key is an address of IPv6; one of IPv4 comes after this. In a per-CPU map each CPU
-- counts for itself.
local mapped = ("\0"):rep(10) .. "\xff\xff"
local list = bpf.map(path, "c16", "=I8")

local IPV4, IPV6 = 0x0800, 0x86dd

xdp.register(function(pkt)
  local type, off = pkt:protocol(), pkt:network_offset()
  local source
  if type == IPV4 and #pkt - off >= 20 then
    source = mapped .. pkt:string(off + 12, 4)
  elseif type == IPV6 and #pkt - off >= 40 then
    source = pkt:string(off + 8, 16)
  else
    return xdp.PASS
  end
  local count = list:lookup(source)
  if not count then return xdp.PASS end
  -- It does not come back if someone has just removed it.
  list:update(source, count + 1, "exist")
  return xdp.DROP
end)
