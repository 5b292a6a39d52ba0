-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Takes all memory, in one string.
-- Ends in: not enough memory
return ("x"):rep(1 << 40)
