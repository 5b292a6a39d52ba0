-- SPDX-License-Identifier: GPL-2.0-only
-- Where headers are in a packet. A data buffer has them where its user says, or at 0.
local locate = {}

function locate.mac(b)
  if not b.mac_offset then return 0 end
  local off = b:mac_offset()
  if not off then return nil, "no Ethernet header" end
  return off
end

function locate.network(b)
  if not b.network_offset then return 0 end
  local off = b:network_offset()
  if not off then return nil, "no network header" end
  return off
end

-- The header of a protocol is only there where IP says so, and only the first of several
-- fragments has it.
function locate.transport(b, protocol)
  if not b.transport_offset then return 0 end
  local off, found = b:transport_offset()
  if not off then return nil, "no transport header" end
  if found ~= protocol then return nil, "another protocol" end
  return off
end

return locate
