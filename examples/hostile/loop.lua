-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Runs for ever.
-- Ends in: deadline of 1000 ms passed
while true do end
