-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Goes on in what is called when it ends.
-- Ends in: deadline of 1000 ms passed
local t = setmetatable({}, {__close = function() while true do end end})
local x <close> = t
while true do end
