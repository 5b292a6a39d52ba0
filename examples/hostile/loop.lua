-- Runs for ever.
-- Ends in: deadline of 500 ms passed
while true do end
