-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Makes Lua functions of the module's own: these cannot raise a string, so for a
-- misuse they return `misuse` and the message, to be raised where they were called.
local raw, misuse = ...

-- Lua 5.1 counts a tail call as a level of its own.
local caller = _VERSION == "Lua 5.1" and not rawget(_G, "jit") and 3 or 2

local function result(...)
  -- No metamethod can make anything else equal to it: it is a light userdata.
  if (...) == misuse then error((select(2, ...)), caller) end
  return ...
end

local function all(functions)
  local checked = {}
  for name, f in pairs(functions) do
    checked[name] = function(...) return result(f(...)) end
  end
  return checked
end

local function object(methods, field)
  return function(self, key)
    local method = methods[key]
    if method == nil and field then return field(self, key) end
    return method
  end
end

return all(raw.module), object(all(raw.state), raw.field), object(all(raw.session))
