-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Takes all memory, 10 kB at a time.
-- Ends in: not enough memory
local t = {}
while true do t[#t + 1] = ("x"):rep(10000) .. #t end
