-- Recurses without an end, in Lua, which takes memory only.
-- Ends in: not enough memory
local function f() return 1 + f() end
return f()
