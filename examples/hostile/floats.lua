-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Uses the floating-point unit, which is a program's, not the kernel's.
-- Ends in: needs floating point
return 1 / 3
