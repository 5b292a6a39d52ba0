-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Counts packets and bytes, and sends the sums to whoever receives them, every second.
-- What the kernel has merged, or will segment, is one packet. With --percpu each CPU has
-- sums and sends them.
local linux = require "linux"
local lunatik = require "lunatik"
local nf = require "netfilter"

local interval = 1000   -- ms
local hooks = {"input", "output", "forward"}
-- IP's numbers; any others count as one.
local names = {[1] = "icmp", [6] = "tcp", [17] = "udp", [58] = "icmp6"}

local sums = {}

local function count(hook)
  local packets, bytes = {}, {}
  sums[hook] = {packets = packets, bytes = bytes}
  for _, name in pairs(names) do packets[name], bytes[name] = 0, 0 end
  packets.other, bytes.other = 0, 0
  return function(pkt)
    local _, protocol = pkt:transport_offset()
    local name = names[protocol] or "other"
    packets[name] = packets[name] + 1
    bytes[name] = bytes[name] + #pkt
  end
end

for _, hook in ipairs(hooks) do
  nf.register{family = "inet", hook = hook, priority = "raw", count(hook)}
end

lunatik.every(interval, function()
  local lines = {}
  for _, hook in ipairs(hooks) do
    for name, packets in pairs(sums[hook].packets) do
      if packets > 0 then
        lines[#lines + 1] = ("%s %s packets=%d bytes=%d"):format(hook, name, packets,
          sums[hook].bytes[name])
      end
    end
  end
  table.sort(lines)
  local cpu = lunatik.cpu and " cpu=" .. lunatik.cpu or ""
  lunatik.send(("time=%d%s\n"):format(linux.time() // 1000000000, cpu) .. table.concat(lines, "\n"))
end)
