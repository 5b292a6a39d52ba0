-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Fills the kernel's memory with what it prints. The log keeps the newest 16 KiB.
-- Ends in: deadline of 1000 ms passed
while true do print(("x"):rep(4000)) end
