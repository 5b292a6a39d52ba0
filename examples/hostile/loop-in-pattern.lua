-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Runs for ever inside one call of the string library.
-- Ends in: deadline of 1000 ms passed
return ("a"):rep(30000):find((".-"):rep(20) .. "b")
