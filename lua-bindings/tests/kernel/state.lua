-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The life of a state: made, described, listed, referenced, closed.
local lunatik = require "lunatik"

local function fails(code, ...)
  local first, message, got = ...
  assert(first == nil and type(message) == "string", message)
  assert(got == code, tostring(got) .. ": " .. message)
  return message
end

-- By name and size.
local s = assert(lunatik.newstate("life", 1 << 17))
assert(tostring(s) == "lunatik state: life")
assert(s.name == "life" and s.maxalloc == 1 << 17 and s.id > 0)
assert(s.curralloc > 0 and s.curralloc < s.maxalloc)
assert(s.nosuch == nil)
assert(fails("EEXIST", lunatik.newstate "life") == "a state of this name exists in this namespace")

local d = assert(s:describe())
assert(d.name == "life" and d.id == s.id and d.maxalloc == 1 << 17)
assert(d.context == "process" and d.ephemeral == false)
assert(d.references == 2, "this one's, and describe's own")
assert(math.abs(d.created - os.time()) < 60)

local listed
for _, description in ipairs(assert(lunatik.list())) do
  if description.name == "life" then listed = description end
end
assert(listed.id == s.id and listed.references == 1)

-- A second reference, from the same session: no obstacle to closing.
local again = assert(lunatik.getstate "life")
assert(again.id == s.id)
assert(again:put() == true)
assert(tostring(again) == "lunatik state: life (closed)")
assert(not pcall(again.dostring, again, "return 1"))

-- One from another session is.
local session = assert(lunatik.session())
local theirs = assert(session:getstate "life")
assert(fails("EBUSY", s:close()) == "another session holds a reference to the state")
assert(theirs:put())
assert(s:close() == true)
assert(not pcall(s.close, s))
fails("ENOENT", lunatik.getstate "life")

-- By force, and what others then get.
s = assert(lunatik.newstate{name = "life", maxalloc = 65536, timeout = 0.25})
assert(s.maxalloc == 65536 and s:describe().timeout == 0.25)
theirs = assert(session:getstate{name = "life"})
assert(s:close(true))
fails("ENOENT", theirs:dostring "return 1")
assert(theirs.curralloc == nil)
session:close()
assert(not pcall(session.list, session))

-- An ephemeral state ends with its reference, however that ends.
do
  local e <close> = assert(lunatik.newstate{name = "life", ephemeral = true})
  assert(e:describe().ephemeral)
end
fails("ENOENT", lunatik.getstate "life")
assert(lunatik.newstate{name = "life", ephemeral = true})
collectgarbage()
collectgarbage()
fails("ENOENT", lunatik.getstate "life")

-- Limits.
local status = assert(lunatik.status())
assert(status.luaversion:match "^Lua 5%.5")
assert(fails("ERANGE", lunatik.newstate("life", 1)):find(tostring(status.maxalloc), 1, true))
fails("ERANGE", lunatik.newstate{name = "life", timeout = status.maxtimeout + 1})
fails("EINVAL", lunatik.newstate "a/b")
fails("EINVAL", lunatik.newstate "")
fails("EMSGSIZE", lunatik.newstate(("x"):rep(64)))
