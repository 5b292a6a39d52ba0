-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Recurses through the kernel's stack, which is 16 KiB.
-- Ends in: C stack overflow
local function f() table.sort({1, 2}, f) end
f()
