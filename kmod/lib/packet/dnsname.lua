-- SPDX-License-Identifier: GPL-2.0-only
-- packet.dnsname: the name at off in the DNS message that begins at message, and what
-- comes after it.
local concat = table.concat

local function code(c)
  return ("\\%03d"):format(c:byte())
end

-- As it is written, in lower case.
local function text(label)
  return (label:lower():gsub("[.\\]", "\\%0"):gsub("[^!-~]", code))
end

return function(b, off, message)
  local size, labels, length = #b, {}, 1
  local at, after, piece = off, nil, off
  while true do
    if at >= size then return nil, "truncated" end
    local n = b:u8(at)
    if n == 0 then break end
    if n >= 0xc0 then
      if size - at < 2 then return nil, "truncated" end
      after = after or at + 2
      at = message + (b:u16(at) & 0x3fff)
      -- The rest of a name comes before it, so that there is an end to them.
      if at >= piece then return nil, "malformed" end
      piece = at
    else
      length = length + 1 + n
      if n > 63 or length > 255 then return nil, "malformed" end
      if size - at <= n then return nil, "truncated" end
      labels[#labels + 1] = text(b:string(at + 1, n))
      at = at + 1 + n
    end
  end
  if #labels == 0 then labels[1] = "." end
  return concat(labels, "."), after or at + 1
end
