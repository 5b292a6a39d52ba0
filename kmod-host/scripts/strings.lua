-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The library `string`.

assert(("abc"):upper() == "ABC" and ("ABC"):lower() == "abc" and ("abc"):reverse() == "cba")
assert(("abc"):len() == 3 and ("abc"):byte() == 97 and ("abc"):byte(-1) == 99)
assert(select("#", ("abc"):byte(1, -1)) == 3 and select("#", ("abc"):byte(10)) == 0)
assert(string.char() == "" and string.char(97, 0, 255) == "a\0\255")
assert(not pcall(string.char, 256) and not pcall(string.char, -1))
assert(("hello"):sub(2) == "ello" and ("hello"):sub(-3, -2) == "ll" and ("hello"):sub(4, 2) == "")
assert(("hello"):sub(math.mininteger, math.maxinteger) == "hello")
assert(("ab"):rep(3) == "ababab" and ("ab"):rep(3, ",") == "ab,ab,ab" and ("x"):rep(0) == "" and ("x"):rep(-1) == "")
assert(not pcall(string.rep, "x", math.maxinteger) and not pcall(string.rep, "xx", math.maxinteger, "y"))

-- find and match
assert(("hello world"):find("o w") == 5 and ("hello"):find("l", 1, true) == 3)
assert(("a.b"):find(".", 1, true) == 2 and ("a.b"):find("%.") == 2 and ("abc"):find("x") == nil)
assert(("abc"):find("") == 1 and ("abc"):find("", 4) == 4 and ("abc"):find("", 5) == nil)
assert(("a\0b"):find("\0") == 2 and ("a\0b"):find("%z") == 2 and ("a\0b"):match("b") == "b")
assert(("key = value"):match("^(%w+)%s*=%s*(%w+)$") == "key")
assert(select(2, ("key = value"):match("^(%w+)%s*=%s*(%w+)$")) == "value")
assert(("  trim  "):match("^%s*(.-)%s*$") == "trim")
assert(("f(a(b)c)d"):match("%b()") == "(a(b)c)" and ("THE (quick) fox"):find("%((%a+)%)") == 5)
assert(("hello"):match("()ll()") == 3 and select(2, ("hello"):match("()ll()")) == 5)
assert(("THE (quick) fox"):match("%f[%a]%a+", 5) == "quick")
assert(("abcabc"):match("(abc)%1") == "abc" and ("[x]"):match("[%]]") == "]" and ("a-z"):match("[a%-z]+") == "a-z")
assert(("2026-11-21"):match("(%d+)-(%d+)-(%d+)") == "2026")
assert(("äö"):match("[\xc3][\xa4]") == "ä" and ("x^y"):match("[%^x]+") == "x^" and ("abc"):match("[^a]+") == "bc")
for _, pattern in ipairs {"[", "[a", "%", "(", "a.)", "%1", "(()", "%b", "%bx", "%f", "[%", "(%1)", ("("):rep(40)} do
  assert(not pcall(string.find, "abc", pattern), pattern)
end

-- gsub and gmatch
assert(("hello"):gsub("l", "L") == "heLLo" and select(2, ("hello"):gsub("l", "L")) == 2)
assert(("hello"):gsub("l", "L", 1) == "heLlo" and ("abc"):gsub("", "-") == "-a-b-c-")
assert(("hello world"):gsub("%w+", "%0 %0", 1) == "hello hello world" and ("abc"):gsub("%w", "%%%0") == "%a%b%c")
assert(("$name is $age"):gsub("%$(%w+)", {name = "x", age = 7}) == "x is 7")
assert(("abc"):gsub("%w", function(s) if s == "b" then return "[b]" end end) == "a[b]c")
assert(("abc"):gsub("%w", function() return false end) == "abc")
assert(not pcall(string.gsub, "abc", "%w", "%2") and not pcall(string.gsub, "abc", "%w", "%x"))
assert(not pcall(string.gsub, "abc", "%w", function() return {} end))
local words = {}
for word in ("one two  three"):gmatch("%a+") do words[#words + 1] = word end
assert(#words == 3 and words[3] == "three")
local pairs_of = {}
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do pairs_of[k] = v end
assert(pairs_of.a == "1" and pairs_of.b == "2")
assert(("x"):rep(1000):gsub("x", "yy") == ("yy"):rep(1000))

-- format
assert(("%d %5d %-5d| %05d %+d"):format(1, 2, 3, 4, 5) == "1     2 3    | 00004 +5")
assert(("%x %X %#x %o %c %5.1s|"):format(255, 255, 255, 8, 65, "abc") == "ff FF 0xff 10 A     a|")
assert(("%5.3d %u %i"):format(7, 8, -9) == "  007 8 -9" and ("%%"):format() == "%")
assert(("%q"):format('a\n"\0001\\') == '"a\\\n\\"\\0001\\\\"')
assert(load("return " .. ("%q"):format(math.mininteger))() == math.mininteger)
assert(("%s %s %s"):format(nil, true, 12) == "nil true 12" and ("%10s|%-10s|"):format("a", "b") == "         a|b         |")
assert(("%s"):format(("x"):rep(500)) == ("x"):rep(500) and ("%.20s"):format(("x"):rep(500)) == ("x"):rep(20))
assert(("%s"):format(setmetatable({}, {__tostring = function() return "mine" end})) == "mine")
for _, bad in ipairs {"%", "%y", "%123d", "%.123d", "%0123456789012345678d", "%#i", "%+x", "%.3c", "%.3q", "%5q", "%.3p"} do
  assert(not pcall(string.format, bad, 1), bad)
end
for _, float in ipairs {"%f", "%e", "%g", "%a", "%.3f", "%G", "%A", "%E"} do
  assert(not pcall(string.format, float, 1), float)
end
assert(not pcall(string.format, "%d") and not pcall(string.format, "%d", "x") and not pcall(string.format, "%d", {}))
assert(("%d"):format("10") == "10")

-- pack
assert(("<i4"):pack(-2) == "\254\255\255\255" and (">I2"):pack(258) == "\1\2")
assert(string.pack("z s1 s", "a", "bc", "def") == "a\0\2bc" .. string.pack("j", 3) .. "def")
assert(string.unpack("<i3", "\255\255\127") == 0x7fffff and string.unpack("<i3", "\255\255\255") == -1)
assert(select("#", string.unpack("<BHI3z", "\1\2\0\3\0\0ab\0")) == 5)
assert(string.packsize("<!8 b i8") == 16 and string.packsize("i3 xx") == 5 and string.packsize("!4 b Xi4") == 4)
assert(string.pack("!4 b i4", 1, 2):len() == 8 and string.pack(">!4 b Xi4 i2", 1, 2) == "\1\0\0\0\0\2")
assert(string.unpack("<I16", string.pack("<I16", 77)) == 77 and not pcall(string.unpack, "<I16", ("\255"):rep(16)))
for _, bad in ipairs {"i17", "i0", "y", "!3 i4", "s17", "c", "Xz", "d1"} do
  assert(not pcall(string.pack, bad, 1, 2), bad)
end
assert(not pcall(string.unpack, "i4", "abc") and not pcall(string.unpack, "z", "abc") and not pcall(string.unpack, "s1", "\9a"))
assert(string.unpack("c3", "abcd", 2) == "bcd" and not pcall(string.unpack, "c3", "abcd", 3))
assert(not pcall(string.pack, "z", "a\0b") and not pcall(string.pack, "c1", "ab") and string.pack("c3", "a") == "a\0\0")

-- Numbers and strings
assert("10" + 1 == 11 and "0x10" * "2" == 32 and 10 .. "" == "10" and -"3" == -3 and "7" // "2" == 3)
assert(not pcall(function() return "1.5" + 1 end) and not pcall(function() return "a" + 1 end))
assert(not pcall(function() return "10" | 1 end))
assert(tostring(math.mininteger) == "-9223372036854775808" and tonumber("  0x1F  ") == 31 and tonumber("1e1") == nil)
assert(tonumber("z", 36) == 35 and tonumber("8", 8) == nil and tonumber("") == nil and tonumber("0x") == nil)
