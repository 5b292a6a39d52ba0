-- Takes all memory, a kilobyte at a time.
-- Ends in: not enough memory
local t = {}
while true do t[#t + 1] = ("x"):rep(1000) .. #t end
