-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Breaks what all strings share. It is this state's own.
-- Ends in: attempt to index a string value
getmetatable("").__index = nil
return ("x").rep
