-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Recurses without an end, in Lua, which takes memory only.
-- Ends in: not enough memory
local function f() return 1 + f() end
return f()
