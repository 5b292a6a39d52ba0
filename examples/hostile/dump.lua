-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Wants the bytes of a function, to change them.
-- Ends in: attempt to call a nil value (field 'dump')
return string.dump(function() end)
