-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Looks for an address of the kernel; %p is a hash, and any other way is refused.
-- Ends in: number expected, got function
return ("%d"):format(print)
