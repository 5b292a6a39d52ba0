-- Recurses through the kernel's stack, which is 16 KiB.
-- Ends in: C stack overflow
local function f() return (("x"):gsub("x", f)) end
return f()
