-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Returns more than a reply holds.
-- Ends in: results exceed
local t = {}
for i = 1, 25 do t[i] = ("x"):rep(50000) end
return t
