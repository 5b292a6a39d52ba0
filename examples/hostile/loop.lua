-- Runs for ever.
-- Ends in: deadline of 1000 ms passed
while true do end
