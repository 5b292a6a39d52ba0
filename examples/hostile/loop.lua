-- Runs for ever.
-- Ends in: deadline of 200 ms passed
while true do end
