-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Namespaces: the same name in two of them, each invisible to the other.
local lunatik = require "lunatik"

local function sh(command) assert(os.execute(command), command) end

sh "ip netns add lua-red"
local here = assert(lunatik.newstate "netns")
local red = assert(lunatik.newstate{name = "netns", netns = "lua-red"})
assert(here:dostring "x = 'here' return x" == "here")
assert(red:dostring "return x" == nil)

local session = assert(lunatik.session{netns = "/run/netns/lua-red"})
local list = assert(session:list())
assert(#list == 1 and list[1].name == "netns" and list[1].id == red.id)
assert(session:status().states == 1)

-- A subscription is in the state's namespace too.
assert(red:subscribe())
red:dostring "require('lunatik').send('from red')"
assert(red:receive(1) == "from red")
assert(red:close())
assert(#session:list() == 0)
session:close()

local own = assert(lunatik.session{pid = tonumber(io.open "/proc/self/stat":read "n")})
local theirs = assert(own:getstate "netns")
assert(theirs:dostring "return x" == "here")
theirs:put()
own:close()
assert(here:close())
sh "ip netns delete lua-red"
assert(select(3, lunatik.session{netns = "lua-red"}) == "ENOENT")
