-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Runs in user space: `lua5.4 greet.lua`. Makes a state, lets it answer and closes it.
local lunatik = require "lunatik"

local s <close> = assert(lunatik.newstate{name = "hello", maxalloc = 256 << 10, ephemeral = true})
local answer, t = s:dostring "return 6 * 7, {x = 2}"
print(answer, t.x)

s:dostring [[
  require("lunatik").receive(function(data) return data:reverse() end)
]]
print(s:senddata "lunatik")

local none, message, code = s:dostring "return nothing.at.all"
print(none, message, code)
