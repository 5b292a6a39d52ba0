-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Runs in the kernel: answers data that is sent to the state, and logs it.
local lunatik = require "lunatik"

local greeted = 0

lunatik.receive(function(name)
  greeted = greeted + 1
  print("greeted", name)
  return ("Hello %s, you are number %d"):format(name, greeted)
end)
