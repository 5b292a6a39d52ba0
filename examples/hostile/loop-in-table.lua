-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Runs for ever inside one call of the table library.
-- Ends in: deadline of 1000 ms passed
return table.move({}, 1, math.maxinteger - 1, 2)
