-- SPDX-License-Identifier: MIT OR Apache-2.0
-- A failure returns nil, a message without the code, and the code.
local lunatik = require "lunatik"

local function fails(code, message, ...)
  local first, second, third = ...
  assert(select("#", ...) == 3 and first == nil)
  assert(second == message, second)
  assert(third == code, third)
end

fails("ENOENT", "no network namespace no such", lunatik.session{netns = "no such"})
fails("ENOENT", "no network namespace /no/such", lunatik.newstate{name = "a", netns = "/no/such"})
fails("EINVAL", "no network namespace ..", lunatik.getstate{name = "a", netns = ".."})
fails("ERANGE", "MAX_ALLOC must be 0 to 4294967295 bytes", lunatik.newstate("a", -1))
fails("ERANGE", "MAX_ALLOC must be 0 to 4294967295 bytes", lunatik.newstate("a", 1 << 32))
fails("EINVAL", "STATE_NAME must be printable ASCII", lunatik.newstate "\xff")

if lunatik.status() then
  print "skipped what needs the module not to be there: it is"
else
  local missing = "the lunatik module is not loaded"
  fails("ENOPKG", missing, lunatik.status())
  fails("ENOPKG", missing, lunatik.list())
  fails("ENOPKG", missing, lunatik.session())
  fails("ENOPKG", missing, lunatik.newstate "a")
  fails("ENOPKG", missing, lunatik.getstate{name = "a"})
end
