-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Contexts and replicas of states.
local lunatik = require "lunatik"

local function fails(code, ...)
  local first, message, got = ...
  assert(first == nil and type(message) == "string", message)
  assert(got == code, tostring(got) .. ": " .. message)
  return message
end

local status = assert(lunatik.status())
assert(status.softirqtimeout > 0 and status.softirqtimeout <= status.maxsoftirqtimeout)

-- In a process, unless told.
for _, options in ipairs {{name = "c"}, {name = "c", context = "process", percpu = false}} do
  local s <close> = assert(lunatik.newstate(options))
  assert(s.context == "process" and s.percpu == false and s.replicas == 1)
  local d = assert(s:describe())
  assert(d.context == "process" and d.percpu == false and d.replicas == 1)
  assert(d.timeout == status.timeout)
  assert(d.timers == 0 and #d.hooks == 0)
  assert(s:close())
end

-- Where packets are handled.
do
  local s = assert(lunatik.newstate{name = "c", context = "softirq"})
  assert(s.context == "softirq" and s.percpu == false and s.replicas == 1)
  assert(s:describe().timeout == status.softirqtimeout)
  assert(s:dostring "return 6 * 7" == 42)
  assert(#assert(s:hooks()) == 0)
  -- Whoever gets the state is told, too.
  local same <close> = assert(lunatik.getstate "c")
  assert(same.context == "softirq" and same.replicas == 1)
  assert(s:close())
  fails("ENOENT", same:hooks())
end

-- With a replica for each CPU.
do
  local s = assert(lunatik.newstate{name = "c", context = "softirq", percpu = true,
    timeout = status.maxsoftirqtimeout})
  assert(s.percpu == true and s.replicas >= 1)
  local d = assert(s:describe())
  assert(d.percpu and d.replicas == s.replicas and d.timeout == status.maxsoftirqtimeout)
  assert(s:dostring "x = (x or 0) + 1 return x" == 1)
  assert(s:describe().runs == s.replicas)
  assert(s:close())
end

-- What the kernel refuses.
for _, context in ipairs {"process", false} do
  local message = fails("EINVAL",
    lunatik.newstate{name = "c", context = context or nil, percpu = true})
  assert(message:find("PERCPU", 1, true), message)
end
local message = fails("ERANGE",
  lunatik.newstate{name = "c", context = "softirq", timeout = status.maxsoftirqtimeout + 1})
assert(message:find(math.tointeger(status.maxsoftirqtimeout * 1000000), 1, true), message)
fails("ENOENT", lunatik.getstate "c")
