-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Catches the error that would end it, and goes on.
-- Ends in: deadline of 1000 ms passed
local function forever() while true do end end
while true do
	pcall(forever)
	xpcall(forever, forever)
	coroutine.wrap(pcall)(forever)
end
