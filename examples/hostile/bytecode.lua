-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Loads what the compiler did not make.
-- Ends in: attempt to load a binary chunk
assert(load("\27Lua\x55\0\x19\x93\r\n\x1a\n"))
