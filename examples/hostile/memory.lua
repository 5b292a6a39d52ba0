-- Takes all memory, a table at a time.
-- Ends in: not enough memory
local t = {}
while true do t[#t + 1] = {} end
