-- SPDX-License-Identifier: MIT OR Apache-2.0
-- A misuse raises a string that says where and what, before anything is asked
-- of the kernel.
local lunatik = require "lunatik"

local function raises(expected, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "raises nothing: " .. expected)
  assert(type(message) == "string", type(message))
  assert(message == expected or message:find(": " .. expected, 1, true), message)
end

assert(lunatik._VERSION:match "^lunatik %d")

raises("bad argument #1 to 'newstate' (string expected, got no value)", lunatik.newstate)
raises("bad argument #1 to 'newstate' (string expected, got nil)", lunatik.newstate, nil)
raises("bad argument #1 to 'newstate' (string expected, got function)", lunatik.newstate, print)
raises("bad argument #2 to 'newstate' (number expected, got table)", lunatik.newstate, "a", {})
raises("bad argument #2 to 'newstate' (number has no integer representation)",
  lunatik.newstate, "a", 1.5)
raises("bad argument #1 to 'getstate' (string expected, got no value)", lunatik.getstate)
raises("bad argument #1 to 'session' (table expected, got string)", lunatik.session, "blue")

-- Options.
for expected, options in pairs {
  ["bad option 'name' to 'newstate' (string expected, got no value)"] = {},
  ["bad option 'name' to 'newstate' (string expected, got boolean)"] = {name = true},
  ["bad argument #1 to 'newstate' (unknown option 'max')"] = {name = "a", max = 1},
  ["bad argument #1 to 'newstate' (unknown option 'number')"] = {"a"},
  ["bad option 'maxalloc' to 'newstate' (number expected, got string)"] =
    {name = "a", maxalloc = "1M"},
  ["bad option 'timeout' to 'newstate' (number expected, got string)"] =
    {name = "a", timeout = "1s"},
  ["bad option 'timeout' to 'newstate' (not a time in seconds)"] = {name = "a", timeout = -1},
  ["bad option 'ephemeral' to 'newstate' (boolean expected, got number)"] =
    {name = "a", ephemeral = 1},
  ["bad option 'context' to 'newstate' (string expected, got boolean)"] =
    {name = "a", context = true},
  ["bad option 'context' to 'newstate' (unknown context 'irq')"] = {name = "a", context = "irq"},
  ["bad option 'percpu' to 'newstate' (boolean expected, got string)"] =
    {name = "a", context = "softirq", percpu = "yes"},
  ["bad option 'pid' to 'newstate' ('netns' is given too)"] =
    {name = "a", netns = "blue", pid = 1},
  ["bad option 'pid' to 'newstate' (not a process id)"] = {name = "a", pid = -1},
} do
  raises(expected, lunatik.newstate, options)
end

-- The message begins with the caller's place.
local line
local ok, message = pcall(function()
  line = debug.getinfo(1, "l").currentline + 1
  lunatik.newstate()
end)
assert(not ok)
assert(message:match "misuse.lua:(%d+): " == tostring(line), message)
