-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Divides by zero.
-- Ends in: attempt to divide by zero
return 1 // 0
