-- Takes all memory, in one string.
-- Ends in: not enough memory
return ("x"):rep(1 << 40)
