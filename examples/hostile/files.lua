-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Reads a file of the host.
-- Ends in: module 'io' not found
return require("io").open("/etc/shadow")
