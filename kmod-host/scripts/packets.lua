-- SPDX-License-Identifier: MIT OR Apache-2.0
-- The library packet.
local data = require "data"
local packet = require "packet"

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and message:find(text, 1, true), message)
end

-- What a function gives for a buffer, when the buffer is a packet that knows where its headers are.
local function as_packet(bytes, offsets)
  return setmetatable({}, {
    __index = function(_, name)
      if name:find "_offset$" then return function() return table.unpack(offsets[name] or {}) end end
      return function(_, ...) return bytes[name](bytes, ...) end
    end,
    __len = function() return #bytes end,
  })
end

-- addresses
local texts = {
  "0.0.0.0", "10.0.0.1", "192.168.100.254", "255.255.255.255", "::", "::1", "1::", "fe80::1", "2001:db8::1:0:0:1",
  "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:0",
  "0:0:1::", "ff02::1:ff00:1234", "00:00:00:00:00:00", "de:ad:be:ef:00:01",
}
for _, text in ipairs(texts) do assert(packet.ntop(packet.pton(text)) == text, text) end
assert(packet.pton "1.2.3.4" == 0x01020304 and packet.ntop "\1\2\3\4" == "1.2.3.4" and #packet.pton "::" == 16)
assert(packet.ntop(packet.pton "0:0:0:0:0:0:0:1") == "::1" and packet.ntop(packet.pton "1::2:3:4:5:6:7") == "1:0:2:3:4:5:6:7")
assert(packet.ntop(packet.pton "64:ff9b::192.0.2.33") == "64:ff9b::c000:221" and packet.ntop(packet.pton "AA:Bb:0c:0D:ee:ff") == "aa:bb:0c:0d:ee:ff")
assert(packet.ntop(packet.pton "1:2:3:4:5:6:1.2.3.4") == "1:2:3:4:5:6:102:304")
assert(packet.ntop(packet.pton "::2:3:4:5:6:7:8") == "0:2:3:4:5:6:7:8")
for _, text in ipairs{
  "", ".", ":", ":::", "1", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2..3", ".1.2.3.4", "1.2.3.4 ",
  " 1.2.3.4", "1.2.3.4\0", "0x1.2.3.4", "1.2.3.1000", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
  "1::2::3", ":1::", "1:", "1::2:", "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4:1", "::1.2.3.4.5", "1:2:3:4:5:1.2.3.4",
  "aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:ff:00", "a:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:fg", "aa-bb-cc-dd-ee-ff", "::1%lo", "1:::2",
} do
  assert(packet.pton(text) == nil, text)
end
fails("not an address", packet.ntop, -1)
fails("not an address", packet.ntop, 1 << 32)
fails("not 4, 6 or 16 bytes", packet.ntop, "12345")
fails("string expected", packet.ntop, {})
fails("string expected", packet.pton)

-- Ethernet, IPv4 with options, TCP with options
local ethernet = "\x02\0\0\0\0\1\x02\0\0\0\0\2\8\0"
local tcp = string.pack(">I2I2I4I4I1I1I2I2I2", 1234, 443, 0x01020304, 0x05060708, 0xa0, 0x12, 1000, 0xabcd, 7) ..
  "\2\4\5\xb4\4\2\8\x0a\0\0\0\1\0\0\0\2\1\3\3\7"
local ipv4 = string.pack(">I1I1I2I2I2I1I1I2I4I4", 0x46, 0xb9, 24 + #tcp + 2, 0x1234, 0x4000, 64, 6, 0, packet.pton "10.1.2.3", packet.pton "10.4.5.6") ..
  "\x94\4\0\0"
local b = data.new(ethernet .. ipv4 .. tcp .. "hi" .. "padding")

local eth = packet.eth(b)
assert(eth.src == "02:00:00:00:00:02" and eth.dst == "02:00:00:00:00:01" and eth.type == 0x800 and eth.payload == 14)
assert(eth.saddr == "\2\0\0\0\0\2" and eth.daddr == "\2\0\0\0\0\1" and eth.vlan == nil and eth.inner_vlan == nil)
assert(eth.buffer == b and eth.offset == 0)
for _, ip in ipairs{packet.ip(b, eth.payload), packet.ipv4(b, 14)} do
  assert(ip.version == 4 and ip.header_length == 24 and ip.tos == 0xb9 and ip.dscp == 0x2e and ip.ecn == 1 and ip.length == #ipv4 + #tcp + 2)
  assert(ip.id == 0x1234 and ip.df and not ip.mf and ip.fragment == 0 and ip.ttl == 64 and ip.protocol == 6 and ip.checksum == 0)
  assert(ip.src == "10.1.2.3" and ip.dst == "10.4.5.6" and ip.saddr == 0x0a010203 and ip.daddr == packet.pton "10.4.5.6")
  assert(ip.options == "\x94\4\0\0" and ip.payload == 38 and ip.payload_length == #tcp + 2)
end
local t = packet.tcp(b, 38)
assert(t.sport == 1234 and t.dport == 443 and t.seq == 0x01020304 and t.ack_seq == 0x05060708 and t.header_length == 40 and t.window == 1000)
assert(t.flags == 0x12 and t.syn and t.ack and not (t.fin or t.rst or t.psh or t.urg or t.ece or t.cwr) and t.checksum == 0xabcd and t.urgent == 7)
assert(t.mss == 1460 and t.sack_permitted and t.tsval == 1 and t.tsecr == 2 and t.wscale == 7 and t.payload == 78 and b:string(t.payload, 2) == "hi")

-- writing
eth.src, eth.dst, eth.type = "0a:0b:0c:0d:0e:0f", "ff:ff:ff:ff:ff:ff", 0x806
assert(b:string(0, 14) == "\xff\xff\xff\xff\xff\xff\x0a\x0b\x0c\x0d\x0e\x0f\8\6")
eth.saddr, eth.daddr = "\1\2\3\4\5\6", packet.pton "0a:0b:0c:0d:0e:0f"
assert(eth.src == "01:02:03:04:05:06" and eth.dst == "0a:0b:0c:0d:0e:0f" and eth.type == 0x806)
local ip = packet.ipv4(b, 14)
ip.ttl, ip.src, ip.daddr, ip.dscp, ip.ecn, ip.df, ip.mf, ip.id = 3, "1.2.3.4", 0x05060708, 0, 2, false, true, 9
assert(ip.ttl == 3 and ip.src == "1.2.3.4" and ip.dst == "5.6.7.8" and ip.tos == 2 and not ip.df and ip.mf and ip.id == 9 and b:u16(20) == 0x2000)
t.dport, t.syn, t.rst, t.mss, t.seq = 80, false, true, 536, -1
assert(t.dport == 80 and t.flags == 0x14 and t.mss == 536 and t.seq == 0xffffffff)
fails("tcp has no field 'dprot'", function() return t.dprot end)
fails("tcp has no field 'dprot' that can be set", function() t.dprot = 1 end)
fails("ipv4 has no field 'version' that can be set", function() ip.version = 6 end)
fails("65536 does not fit into 16 bits", function() t.dport = 65536 end)
fails("64 does not fit into 6 bits", function() ip.dscp = 64 end)
fails("4 does not fit into 2 bits", function() ip.ecn = 4 end)
ip.dscp, ip.ecn = 63, 1
assert(ip.tos == 0xfd and ip.dscp == 63 and ip.ecn == 1 and ip.version == 4 and ip.header_length == 24)
fails("not an IPv4 address: 1.2.3.256", function() ip.src = "1.2.3.256" end)
-- It is the caller who is wrong.
for _, f in ipairs{function() return t.dprot end, function() ip.src = "x" end, function() eth.src = "x" end, function() eth.saddr = "x" end, function() t.dprot = 1 end} do
  assert(not select(2, pcall(f)):find "^packet")
end
fails("not an IPv4 address: ::1", function() ip.src = "::1" end)
fails("not a MAC address: ::1", function() eth.src = "::1" end)
for _, wrong in ipairs{"12345", "1234567", 0x0a0b0c0d0e0f, false} do
  fails("a MAC address is 6 bytes", function() eth.saddr = wrong end)
  fails("a MAC address is 6 bytes", function() eth.daddr = wrong end)
end
fails("tcp has no field", function() return t[{}] end)

-- tags
local tagged = data.new(ethernet:sub(1, 12) .. "\x88\xa8\x60\x05\x81\0\x0f\xff\x86\xdd" .. "rest")
eth = packet.eth(tagged)
assert(eth.vlan == 5 and eth.inner_vlan == 4095 and eth.type == 0x86dd and eth.payload == 22 and tagged:string(eth.payload) == "rest")
eth = packet.eth(data.new(ethernet:sub(1, 12) .. "\x81\0\0\1\8\0"))
assert(eth.vlan == 1 and eth.inner_vlan == nil and eth.type == 0x800 and eth.payload == 18)
assert(select(2, packet.eth(data.new(ethernet:sub(1, 12) .. ("\x81\0\0\1"):rep(20)))) == "too many VLAN tags")

-- ARP
local arp = data.new "\0\1\8\0\6\4\0\1\2\0\0\0\0\1\x0a\0\0\1\0\0\0\0\0\0\x0a\0\0\2"
local a = packet.arp(arp)
assert(a.op == 1 and a.sha == "02:00:00:00:00:01" and a.spa == "10.0.0.1" and a.tha == "00:00:00:00:00:00" and a.tpa == "10.0.0.2" and a.payload == 28)
arp:setu8(4, 8)
assert(select(2, packet.arp(arp)) == "not ARP of IPv4 over Ethernet")

-- IPv6 and its extensions
local function v6(first, ...)
  local rest = table.concat{...}
  return string.pack(">I4I2I1I1", 0x6a512345, #rest, first, 63) .. packet.pton "2001:db8::1" .. packet.pton "2001:db8::2" .. rest
end
local udp = "\0\x35\x30\x39\0\x0a\0\0" .. "ab"
ip = packet.ip(data.new(v6(17, udp)))
assert(ip.version == 6 and ip.tos == 0xa5 and ip.dscp == 0x29 and ip.ecn == 1 and ip.flow == 0x12345 and ip.length == 50 and ip.ttl == 63)
assert(ip.hop_limit == 63 and ip.next_header == 17 and ip.protocol == 17 and ip.src == "2001:db8::1" and ip.dst == "2001:db8::2")
assert(ip.saddr == packet.pton(ip.src) and ip.daddr == packet.pton(ip.dst) and ip.payload == 40 and ip.payload_length == 10 and ip.header_length == 40)
assert(ip.fragment == 0 and ip.mf == false and ip.id == nil)
local u = packet.udp(ip.buffer, ip.payload)
assert(u.sport == 53 and u.dport == 12345 and u.length == 10 and u.checksum == 0 and u.payload == 48 and u.payload_length == 2)
ip.src, ip.dst, ip.tos, ip.ttl = "::2", "fe80::3", 0x3c, 1
assert(ip.src == "::2" and ip.dst == "fe80::3" and ip.tos == 0x3c and ip.flow == 0x12345 and ip.version == 6 and ip.ttl == 1)
ip.dscp, ip.ecn = 0x2e, 3
assert(ip.tos == 0xbb and ip.dscp == 0x2e and ip.ecn == 3 and ip.flow == 0x12345 and ip.version == 6)
ip.dscp, ip.ecn = 0xf, 0
assert(ip.tos == 0x3c and ip.flow == 0x12345 and ip.version == 6)
fails("256 does not fit into 8 bits", function() ip.tos = 256 end)
fails("64 does not fit into 6 bits", function() ip.dscp = 64 end)
fails("-1 does not fit into 2 bits", function() ip.ecn = -1 end)
ip.saddr, ip.daddr = packet.pton "fd00::1", ip.saddr
assert(ip.src == "fd00::1" and ip.dst == "::2" and ip.tos == 0x3c and ip.protocol == 17 and packet.udp(ip.buffer, ip.payload).sport == 53)
fails("not an IPv6 address: 1.2.3.4", function() ip.src = "1.2.3.4" end)
for _, wrong in ipairs{packet.pton "1.2.3.4", ("x"):rep(15), ("x"):rep(17), "::1", {}} do
  fails("an IPv6 address is 16 bytes", function() ip.saddr = wrong end)
  fails("an IPv6 address is 16 bytes", function() ip.daddr = wrong end)
end
fails("that can be set", function() ip.protocol = 6 end)
local hop, routing, destination = "\60\0\1\4\0\0\0\0", "\44\1" .. ("\0"):rep(14), "\43\0\1\4\0\0\0\0"
local authentication = "\17\4" .. ("\0"):rep(22)
ip = packet.ipv6(data.new(v6(0, hop, destination, routing, "\51\0\0\1\0\0\0\9", authentication, udp)))
assert(ip.protocol == 17 and ip.next_header == 0 and ip.payload == 40 + 8 + 8 + 16 + 8 + 24 and ip.header_length == ip.payload)
assert(ip.fragment == 0 and ip.mf == true and ip.id == 9 and ip.payload_length == 10)
ip = packet.ipv6(data.new(v6(44, "\60\0\1\x59\0\0\0\9", "later")))
assert(ip.protocol == 60 and ip.fragment == 0x158 and ip.mf == true and ip.payload == 48 and ip.payload_length == 5)
assert(select(2, packet.ipv6(data.new(v6(0, ("\0\0\0\0\0\0\0\0"):rep(9), udp)))) == "too many extension headers")
for _, protocol in ipairs{0, 43, 44, 51, 60} do
  assert(select(2, packet.ipv6(data.new(v6(protocol, "\17\1\0\0\0\0\0")))) == "truncated")
  local long = packet.ipv6(data.new(v6(protocol, "\17\1\0\0\0\0\0\0")))
  assert((long ~= nil) == (protocol == 44))
end

-- ICMP
for _, name in ipairs{"icmp", "icmp6"} do
  local i = packet[name](data.new "\8\0\x12\x34\0\1\0\2payload")
  assert(i.type == 8 and i.code == 0 and i.checksum == 0x1234 and i.id == 1 and i.sequence == 2 and i.rest == 0x10002 and i.payload == 8)
  fails(name .. " has no field", function() return i.x end)
end

-- DNS
local query = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3wWw\7Example\3org\0\0\1\0\1"
local d = packet.dns(data.new(query))
assert(d.id == 0x1234 and not d.response and d.opcode == 0 and d.rd and not (d.aa or d.tc or d.ra or d.ad or d.cd) and d.rcode == 0)
assert(d.qdcount == 1 and d.ancount == 0 and d.nscount == 0 and d.arcount == 0 and d.payload == 12)
assert(d.name == "www.example.org" and d.type == 1 and d.class == 1)
d.response, d.rcode = true, 3
assert(d.buffer:u16(2) == 0x8103 and d.response and d.rcode == 3)
local names = data.new(query .. "\xc0\x0c\4mail\xc0\x10\3a.b\4\\ \xff\0\0\xc0\x40\xc0\x42\0")
local function name(off) return packet.dnsname(names, off, 0) end
local at = #query
assert(select(2, name(at)) == at + 2 and name(at) == "www.example.org")
local mail, after = name(at + 2)
assert(mail == "mail.example.org" and after == at + 9)
mail, after = name(at + 9)
assert(mail == "a\\.b.\\\\\\032\\255\\000" and after == at + 19, mail)
assert(select(2, name(at + 19)) == "malformed" and select(2, name(at + 21)) == "malformed" and name(at + 23) == "." and select(2, name(at + 23)) == at + 24)
assert(select(2, name(at + 24)) == "truncated" and select(2, name(1 << 40)) == "truncated")
assert(select(2, packet.dnsname(data.new(("\1a"):rep(200) .. "\0"), 0, 0)) == "malformed")
assert(#packet.dnsname(data.new(("\1a"):rep(127) .. "\0"), 0, 0) == 253)
assert(select(2, packet.dnsname(data.new("\x40" .. ("a"):rep(64) .. "\0"), 0, 0)) == "malformed")
d = packet.dns(data.new "\0\0\0\0\0\0\0\0\0\0\0\0")
assert(d.name == nil and d.type == nil and d.class == nil)

-- TLS
local function extension(kind, text) return string.pack(">I2s2", kind, text) end
local function hello(...)
  local body = "\3\3" .. ("r"):rep(32) .. string.pack(">s1s2s1s2", "session", "\x13\1", "\0", table.concat{...})
  local message = "\1\0" .. string.pack(">s2", body)
  return "\x16\3\1" .. string.pack(">s2", message)
end
local sni = extension(0, string.pack(">s2", "\0" .. string.pack(">s2", "Www.Example.org")))
local client = hello(extension(43, "\2\3\4"), sni, extension(16, "x"))
assert(packet.sni(data.new(client .. "more")) == "www.example.org")
assert(select(2, packet.sni(data.new(hello(extension(43, ""))))) == "no server name" and select(2, packet.sni(data.new(hello()))) == "no server name")
assert(select(2, packet.sni(data.new("\x17" .. client:sub(2)))) == "not a ClientHello")
assert(select(2, packet.sni(data.new(hello(extension(1, ""):rep(200))))) == "too many extensions")
assert(select(2, packet.sni(data.new(hello(extension(0, "\0\0\0\0"))))) == "malformed")
assert(select(2, packet.sni(data.new(hello(extension(0, "\0\0\0\0\9abc"))))) == "malformed")

-- packets, which know where their headers are and what they carry
local ipv4_tcp, ipv6_udp = data.new(ethernet .. ipv4 .. tcp .. "hi"), data.new(v6(60, "\17\0\1\4\0\0\0\0", "\0\x35\0\x35" .. string.pack(">I2I2", 8 + #query, 0) .. query))
local p = as_packet(ipv4_tcp, {mac_offset = {0}, network_offset = {14}, transport_offset = {38, 6}})
assert(packet.eth(p).type == 0x800 and packet.ip(p).src == "10.1.2.3" and packet.tcp(p).dport == 443 and packet.tcp(p).payload == 78)
assert(select(2, packet.udp(p)) == "another protocol" and select(2, packet.icmp(p)) == "another protocol" and packet.sni(p) == nil and packet.dns(p) == nil)
p = as_packet(ipv4_tcp, {})
assert(select(2, packet.eth(p)) == "no Ethernet header" and select(2, packet.ip(p)) == "no network header")
assert(select(2, packet.ipv4(p)) == "no network header" and select(2, packet.tcp(p)) == "no transport header")
assert(select(2, packet.sni(p)) == "no transport header" and select(2, packet.dns(p)) == "no transport header")
p = as_packet(ipv6_udp, {network_offset = {0}, transport_offset = {48, 17}})
assert(packet.udp(p).dport == 53 and packet.dns(p).name == "www.example.org" and select(2, packet.tcp(p)) == "another protocol")
-- The header is where it was, but not all of it.
p = as_packet(data.new(ipv6_udp:string(0, 55)), {network_offset = {0}, transport_offset = {48, 17}})
assert(select(2, packet.udp(p)) == "truncated" and select(2, packet.dns(p)) == "truncated" and packet.ip(p).protocol == 17)
p = as_packet(ipv4_tcp, {transport_offset = {1000, 6}})
assert(select(2, packet.tcp(p)) == "truncated" and select(2, packet.sni(p)) == "truncated")

-- Whatever the bytes are, there is a header with all fields, or a reason.
local fields = {
  eth = "src dst saddr daddr type vlan inner_vlan payload",
  arp = "op sha spa tha tpa",
  ip = "version header_length tos dscp ecn length id mf fragment ttl protocol saddr daddr src dst payload payload_length",
  tcp = "sport dport seq ack_seq header_length flags fin cwr window checksum urgent mss wscale sack_permitted tsval tsecr payload",
  udp = "sport dport length checksum payload payload_length",
  icmp = "type code checksum id sequence rest payload",
  dns = "id response opcode rcode qdcount name type class payload",
}
local functions = {}
for protocol, words in pairs(fields) do
  local f = packet[protocol]
  functions[#functions + 1] = function(...)
    local header, why = f(...)
    if not header then
      assert(type(why) == "string")
      return
    end
    for word in words:gmatch "%S+" do local _ = header[word] end
    assert(header.payload <= #header.buffer)
  end
end
local function sni_or_reason(...)
  local text, why = packet.sni(...)
  assert(type(text or why) == "string")
end
functions[#functions + 1] = sni_or_reason

local samples = {
  ethernet .. ipv4 .. tcp .. "hi", v6(0, hop, destination, routing, "\17\0\0\1\0\0\0\9", udp), query, client, arp:string(), tcp, udp,
}
for _, sample in ipairs(samples) do
  for length = 0, #sample, 3 do
    local cut = data.new(sample:sub(1, length))
    for _, f in ipairs(functions) do f(cut) end
    local whole = as_packet(cut, {mac_offset = {0}, network_offset = {14}, transport_offset = {38, 6}})
    for _, f in ipairs(functions) do f(whole) end
  end
end
