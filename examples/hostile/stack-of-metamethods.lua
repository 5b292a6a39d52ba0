-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Recurses through a metamethod.
-- Ends in: C stack overflow
local t = setmetatable({}, {})
getmetatable(t).__tostring = function(x) return tostring(x) end
return tostring(t)
