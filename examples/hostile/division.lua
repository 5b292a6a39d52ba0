-- Divides by zero.
-- Ends in: attempt to divide by zero
return 1 // 0
