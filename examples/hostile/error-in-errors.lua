-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Recurses in the handling of its own error.
-- Ends in: error in error handling
local function f(e) error(e) end
local _, e = xpcall(error, f, "x")
error(e, 0)
