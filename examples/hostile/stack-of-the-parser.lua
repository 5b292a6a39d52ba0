-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Nests source, for which the parser recurses.
-- Ends in: overflow
return assert(load("return " .. ("("):rep(10000) .. "1" .. (")"):rep(10000)))
