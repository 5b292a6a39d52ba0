-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Would run for ever when its garbage is collected.
-- Ends in: finalizers (__gc) are not available in the kernel
setmetatable({}, {__gc = function() while true do end end})
