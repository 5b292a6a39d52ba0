-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The library data.
local data = require "data"

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and message:find(text, 1, true), message)
end

-- reading
local b = data.new("\x01\x02\x03\x04\x85\x86\x87\x88\x09")
assert(#b == 9 and b:u8(0) == 1 and b:u8(8) == 9 and b:u16(7) == 0x8809 and b:u16le(7) == 0x0988)
assert(b:u32(4) == 0x85868788 and b:u32le(0) == 0x04030201 and b:u64(0) == 0x0102030485868788)
assert(b:u64(1) == 0x0203048586878809 and b:u64le(0) == 0x8887868504030201 and b:u64le(0) < 0)
assert(b:string() == "\x01\x02\x03\x04\x85\x86\x87\x88\x09" and b:string(7) == "\x88\x09" and b:string(1, 2) == "\x02\x03")
assert(b:string(9) == "" and b:string(0, 0) == "" and b:string(9, 0) == "" and b:u8("3") == 4)

-- bounds
for size, name in pairs{"u8", "u16", [4] = "u32", [8] = "u64"} do
  for _, order in ipairs{"", "le"} do
    local read, set = b[name .. order], b["set" .. name .. order]
    for _, off in ipairs{-1, 10 - size, 9, 10, 1 << 32, math.maxinteger, math.mininteger, -size, math.maxinteger - size + 1} do
      if read then
        fails(("out of bounds: %d bytes at offset %d, length 9"):format(size, off), read, b, off)
        fails("out of bounds", set, b, off, 0)
      end
    end
    if read then read(b, 9 - size) set(b, 9 - size, read(b, 9 - size)) end
  end
end
fails("out of bounds", b.string, b, 10)
fails("out of bounds", b.string, b, -1)
fails("out of bounds", b.string, b, 0, 10)
fails("out of bounds", b.string, b, 9, math.maxinteger)
fails("negative length", b.string, b, 0, -1)
fails("out of bounds", b.setstring, b, 8, "ab")
fails("out of bounds", b.setstring, b, 10, "")
b:setstring(9, "")
assert(b:string() == "\x01\x02\x03\x04\x85\x86\x87\x88\x09")

-- writing
local w = data.new(8)
assert(w:string() == ("\0"):rep(8))
w:setu8(0, 255) w:setu8(1, -128) w:setu16(2, 0x1234) w:setu16le(4, 0x1234) w:setu16(6, -2)
assert(w:string() == "\xff\x80\x12\x34\x34\x12\xff\xfe")
w:setu32(0, 0x01020304) w:setu32le(4, -2)
assert(w:string() == "\1\2\3\4\xfe\xff\xff\xff")
w:setu64(0, 0x0102030405060708)
assert(w:string() == "\1\2\3\4\5\6\7\8" and w:u64(0) == 0x0102030405060708)
w:setu64le(0, -2)
assert(w:string() == "\xfe\xff\xff\xff\xff\xff\xff\xff" and w:u64le(0) == -2)
w:setstring(2, "abc")
assert(w:string() == "\xfe\xffabc\xff\xff\xff")
for bits, name in pairs{[8] = "setu8", [16] = "setu16", [32] = "setu32"} do
  for _, value in ipairs{1 << bits, -(1 << bits - 1) - 1, math.maxinteger, math.mininteger} do
    fails(value .. " does not fit into " .. bits .. " bits", w[name], w, 0, value)
    fails(value .. " does not fit into " .. bits .. " bits", w[name .. "le"] or w[name], w, 0, value)
  end
  w[name](w, 0, (1 << bits) - 1) w[name](w, 0, -(1 << bits - 1))
end

-- what is no buffer
for _, other in ipairs{1, "x", {}, print, coroutine.create(print), true} do
  fails("data buffer or packet expected", b.u8, other, 0)
  fails("data buffer or packet expected", b.setstring, other, 0, "")
end
fails("got no value", b.u8)
fails("number expected, got no value", b.u8, b)
fails("number expected, got nil", b.setu8, b, 0, nil)
fails("number expected, got table", b.u16, b, {})
fails("attempt to index", function() b.x = 1 end)
fails("data", setmetatable, b, {})
assert(getmetatable(b) == "data" and b.nothing == nil and tostring(b):find("^data: ") and type(b) == "userdata")
assert(b ~= w and b == b and rawequal(b, b))

-- making
assert(#data.new(0) == 0 and #data.new("") == 0 and data.new(0):string() == "")
local copy = data.new(b)
copy:setu8(0, 77)
assert(copy:u8(0) == 77 and b:u8(0) == 1 and #copy == 9 and #data.new(data.new(0)) == 0)
local large = data.new(100000)
large:setu32(99996, 0xdeadbeef)
large = data.new(large)
assert(#large == 100000 and large:u32(99996) == 0xdeadbeef and large:u64(65532) == 0 and #large:string(1) == 99999)
large = data.new(("x"):rep(70000))
assert(large:u8(69999) == 120)
for _, size in ipairs{-1, math.mininteger, 1 << 31, math.maxinteger} do fails("size out of range", data.new, size) end
fails("expected", data.new)
fails("expected", data.new, {})
assert(not pcall(data.new, 1 << 30))
package.loaded.data = nil
local again = require "data"
assert(again ~= data and again.new("ab"):u16(0) == 0x6162 and b:u8(1) == 2 and data.new(again.new("a")):u8(0) == 97)
