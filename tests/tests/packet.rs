// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library `packet`, on bytes in `data` buffers, against other parsers of the same.

use std::{
    fmt::{Display, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    time::Duration,
};

use etherparse::{
    Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice,
    SingleVlanHeaderSlice, TcpHeader, TcpHeaderSlice, TcpOptionElement, UdpHeaderSlice,
};
use lunatik::{Context, State, Value};
use lunatik_tests::{Netns, SOON, lua};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

const PACKETS: &str = include_str!("../../kmod-host/scripts/packets.lua");

#[test]
fn helpers_do_what_they_should_where_scripts_may_sleep() {
    let netns = Netns::new();
    lua(&netns.state("a"), PACKETS);
}

#[test]
fn helpers_do_what_they_should_where_scripts_may_not_sleep() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").context(Context::Softirq);
    let state = state.timeout(Duration::from_millis(100)).create();
    let state = state.expect("a state");
    let run = state.call(PACKETS).timeout(Duration::from_secs(5)).run();
    run.expect("no error");
}

/// Each part is no more than the smallest state can hold; `ip`, which is two of them, needs
/// a half more.
#[test]
fn each_helper_fits_into_the_least_memory() {
    const PARTS: &[&str] = &[
        "eth", "arp", "ip", "ipv4", "ipv6", "tcp", "udp", "icmp", "icmp6", "dns", "dnsname", "sni",
    ];
    let netns = Netns::new();
    let session = netns.session();
    for part in PARTS {
        let max = if *part == "ip" { 48 << 10 } else { 32 << 10 };
        let state = session
            .new_state(part)
            .max_alloc(max)
            .timeout(SOON)
            .create();
        let code = format!("return type(require 'packet'.{part}) == 'function'");
        let values = state.expect("a state").do_string(&code);
        let values = values.unwrap_or_else(|e| panic!("{part}: {e}"));
        assert_eq!(values, [Value::Boolean(true)], "{part}");
    }
    // What is there is what the list above says.

    let state = netns.state("a");
    let list: String = PARTS
        .iter()
        .fold(String::new(), |list, part| list + part + " ");
    let all = state
        .call("local packet, n = require 'packet', 0 for part in (...):gmatch '%S+' do n = n + (packet[part] and 1 or 0) end return n, packet.nothing")
        .arg(list)
        .run()
        .expect("no error");
    assert_eq!(all, [Value::Integer(12), Value::Nil]);
}

struct Random(Pcg64Mcg);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % limit as u64).expect("small")
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// As many as that, at most, and more often all.
    fn cut(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.below(4) == 0 {
            bytes.truncate(self.below(bytes.len() + 1));
        }
        bytes
    }
}

/// What `code`, a function's body, makes of each of `inputs`: a line of text.
fn each(state: &State, code: &str, inputs: &[Vec<u8>]) -> Vec<String> {
    let code = format!(
        "local packet, data = require 'packet', require 'data'
         local function describe(bytes) {code} end
         local out = {{}} for i, bytes in ipairs(...) do out[i] = describe(bytes) end return out"
    );
    let mut lines = Vec::new();
    for inputs in inputs.chunks(200) {
        let values = state
            .call(&code)
            .arg(Value::sequence(inputs.iter().map(Vec::as_slice)))
            .timeout(Duration::from_secs(10))
            .run()
            .unwrap_or_else(|e| panic!("{code}: {e}"));
        let values = values[0].as_array().expect("an array");
        let line = |value: &&Value| value.as_str().expect("text").to_owned();
        lines.extend(values.iter().map(line));
    }
    lines
}

/// Code that gives the header's fields in this order, or "none".
fn fields(function: &str, names: &[&str]) -> String {
    let list: String = names
        .iter()
        .fold(String::new(), |list, name| list + "h." + name + ", ");
    format!(
        "local h, why = packet.{function}(data.new(bytes))
         if not h then assert(type(why) == 'string') return 'none' end
         local t = table.pack({list}'')
         for i = 1, t.n do t[i] = tostring(t[i]) end
         return table.concat(t, ' ')"
    )
}

/// The same from another parser.
fn line(values: &[&dyn Display]) -> String {
    values.iter().fold(String::new(), |mut line, value| {
        write!(line, "{value} ").expect("a string takes it");
        line
    })
}

/// Fails unless both say the same of each input, and neither always says that there is no header.
fn agree(state: &State, code: &str, inputs: &[Vec<u8>], other: impl Fn(&[u8]) -> Option<String>) {
    let expected: Vec<_> = inputs
        .iter()
        .map(|bytes| other(bytes).unwrap_or_else(|| "none".to_owned()))
        .collect();
    let none = expected.iter().filter(|&line| line == "none").count();
    assert!(none > 0 && none < inputs.len() * 3 / 4, "{none}");
    let lines = each(state, code, inputs);
    assert_eq!(lines.len(), inputs.len());
    for ((line, expected), bytes) in lines.iter().zip(&expected).zip(inputs) {
        assert_eq!(line, expected, "{bytes:02x?}");
    }
}

fn mac(bytes: [u8; 6]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

#[test]
fn ethernet_headers_are_read_as_by_another_parser() {
    let netns = Netns::new();
    let mut random = Random::new(1);
    let inputs = (0..600).map(|_| {
        let mut bytes = random.bytes(12);
        for _ in 0..random.below(4) {
            bytes.extend([[0x81, 0], [0x88, 0xa8], [0x91, 0]][random.below(3)]);
            bytes.extend(random.bytes(2));
        }
        bytes.extend([8, 0]);
        random.cut(bytes)
    });
    let names = ["dst", "src", "vlan", "inner_vlan", "type", "payload"];
    let parse = |bytes: &[u8]| {
        let header = Ethernet2HeaderSlice::from_slice(bytes).ok()?;
        let (mut kind, mut payload, mut tags) = (header.ether_type(), 14, Vec::new());
        while [0x8100, 0x88a8, 0x9100].contains(&kind.0) {
            let tag = SingleVlanHeaderSlice::from_slice(&bytes[payload..]).ok()?;
            tags.push(tag.vlan_identifier().value().to_string());
            kind = tag.ether_type();
            payload += 4;
        }
        let tag = |n: usize| tags.get(n).map_or("nil", String::as_str);
        Some(line(&[
            &mac(header.destination()),
            &mac(header.source()),
            &tag(0),
            &tag(1),
            &kind.0,
            &payload,
        ]))
    };
    agree(
        &netns.state("a"),
        &fields("eth", &names),
        &inputs.collect::<Vec<_>>(),
        parse,
    );
}

#[test]
fn ipv4_headers_are_read_as_by_another_parser() {
    let netns = Netns::new();
    let mut random = Random::new(2);
    let inputs = (0..600).map(|_| {
        let mut bytes = random.bytes(60);
        if random.below(8) > 0 {
            bytes[0] = 0x45 + u8::try_from(random.below(11)).expect("small");
        }
        random.cut(bytes)
    });
    let names = [
        "version",
        "header_length",
        "dscp",
        "ecn",
        "length",
        "id",
        "df",
        "mf",
        "fragment",
        "ttl",
        "protocol",
        "checksum",
        "src",
        "dst",
        "saddr",
        "payload",
    ];
    let parse = |bytes: &[u8]| {
        let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
        let length = u16::from(header.ihl()) * 4;
        if header.total_len() != 0 && header.total_len() < length {
            return None;
        }
        Some(line(&[
            &header.version(),
            &length,
            &header.dcp().value(),
            &header.ecn().value(),
            &header.total_len(),
            &header.identification(),
            &header.dont_fragment(),
            &header.more_fragments(),
            &(u32::from(header.fragments_offset().value()) * 8),
            &header.ttl(),
            &header.protocol().0,
            &header.header_checksum(),
            &header.source_addr(),
            &header.destination_addr(),
            &u32::from(header.source_addr()),
            &length,
        ]))
    };
    let inputs: Vec<_> = inputs.collect();
    let state = netns.state("a");
    agree(&state, &fields("ipv4", &names), &inputs, parse);
    let other = |bytes: &Vec<u8>| bytes.first().is_some_and(|byte| byte >> 4 == 6);
    let inputs = inputs
        .into_iter()
        .filter(|bytes| !other(bytes))
        .collect::<Vec<_>>();
    agree(&state, &fields("ip", &names), &inputs, parse);
}

/// A chain of extension headers, and what comes after it.
fn extensions(random: &mut Random) -> (u8, Vec<u8>) {
    let mut kinds: Vec<u8> = (0..random.below(4))
        .map(|_| [43, 60, 51, 44][random.below(4)])
        .collect();
    kinds.push([6, 17, 58, 59, 200][random.below(5)]);
    let mut bytes = Vec::new();
    for pair in kinds.windows(2) {
        let units = random.below(4);
        let length = match pair[0] {
            44 => 8,
            51 => units * 4 + 12,
            _ => units * 8 + 8,
        };
        let mut header = random.bytes(length);
        header[0] = pair[1];
        match pair[0] {
            44 => header[2..4].copy_from_slice(&[0, u8::from(random.below(2) == 0)]),
            51 => header[1] = u8::try_from(units + 1).expect("small"),
            _ => header[1] = u8::try_from(units).expect("small"),
        }
        bytes.extend(header);
    }
    (kinds[0], bytes)
}

#[test]
fn ipv6_headers_are_read_as_by_another_parser() {
    let netns = Netns::new();
    let mut random = Random::new(3);
    let inputs = (0..600).map(|_| {
        let mut bytes = random.bytes(40);
        if random.below(8) > 0 {
            bytes[0] = 0x60 | bytes[0] & 15;
        }
        let (first, rest) = extensions(&mut random);
        bytes[6] = first;
        bytes.extend(rest);
        random.cut(bytes)
    });
    let names = [
        "version",
        "dscp",
        "ecn",
        "flow",
        "length",
        "next_header",
        "ttl",
        "src",
        "dst",
        "protocol",
        "payload",
    ];
    let parse = |bytes: &[u8]| {
        let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
        let rest = &bytes[40..];
        let (_, protocol, payload) =
            Ipv6ExtensionsSlice::from_slice(header.next_header(), rest).ok()?;
        Some(line(&[
            &header.version(),
            &header.dscp().value(),
            &header.ecn().value(),
            &header.flow_label().value(),
            &(u32::from(header.payload_length()) + 40),
            &header.next_header().0,
            &header.hop_limit(),
            &header.source_addr(),
            &header.destination_addr(),
            &protocol.0,
            &(bytes.len() - payload.len()),
        ]))
    };
    let inputs: Vec<_> = inputs.collect();
    assert!(
        inputs
            .iter()
            .any(|bytes| bytes.get(6) == Some(&IpNumber::IPV6_FRAGMENTATION_HEADER.0))
    );
    let state = netns.state("a");
    agree(&state, &fields("ipv6", &names), &inputs, parse);
    let other = |bytes: &Vec<u8>| bytes.first().is_some_and(|byte| byte >> 4 == 4);
    let inputs = inputs
        .into_iter()
        .filter(|bytes| !other(bytes))
        .collect::<Vec<_>>();
    agree(&state, &fields("ip", &names), &inputs, parse);
}

#[test]
fn tcp_headers_are_read_as_by_another_parser() {
    let netns = Netns::new();
    let mut random = Random::new(4);
    let inputs = (0..600).map(|_| {
        let mut bytes = random.bytes(60);
        bytes[12] = u8::try_from(random.below(13) + 3).expect("small") << 4;
        random.cut(bytes)
    });
    let names = [
        "sport",
        "dport",
        "seq",
        "ack_seq",
        "header_length",
        "fin",
        "syn",
        "rst",
        "psh",
        "ack",
        "urg",
        "ece",
        "cwr",
        "window",
        "checksum",
        "urgent",
        "payload",
    ];
    agree(
        &netns.state("a"),
        &fields("tcp", &names),
        &inputs.collect::<Vec<_>>(),
        |bytes| {
            let header = TcpHeaderSlice::from_slice(bytes).ok()?;
            let length = header.data_offset() * 4;
            Some(line(&[
                &header.source_port(),
                &header.destination_port(),
                &header.sequence_number(),
                &header.acknowledgment_number(),
                &length,
                &header.fin(),
                &header.syn(),
                &header.rst(),
                &header.psh(),
                &header.ack(),
                &header.urg(),
                &header.ece(),
                &header.cwr(),
                &header.window_size(),
                &header.checksum(),
                &header.urgent_pointer(),
                &length,
            ]))
        },
    );
}

#[test]
fn tcp_options_are_those_that_another_program_wrote() {
    use TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgement, SelectiveAcknowledgementPermitted,
        Timestamp, WindowScale,
    };
    let netns = Netns::new();
    let mut random = Random::new(5);
    let (mut inputs, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let (mut mss, mut scale, mut value, mut echo) = (None, None, None, None);
        let mut permitted = false;
        let mut elements = Vec::new();
        // A second one of a kind does not count.
        for _ in 0..random.below(5) {
            let number = random.0.next_u32();
            let bytes = number.to_be_bytes();
            elements.push(match random.below(6) {
                0 => Noop,
                1 => {
                    let size = u16::from_be_bytes([bytes[0], bytes[1]]);
                    mss = mss.or(Some(size));
                    MaximumSegmentSize(size)
                }
                2 => {
                    scale = scale.or(Some(bytes[0]));
                    WindowScale(bytes[0])
                }
                3 => {
                    permitted = true;
                    SelectiveAcknowledgementPermitted
                }
                4 => SelectiveAcknowledgement((number, 2), [None; 3]),
                _ => {
                    value = value.or(Some(number));
                    echo = echo.or(Some(!number));
                    Timestamp(number, !number)
                }
            });
        }
        let mut header = TcpHeader::new(1, 2, 3, 4);
        if header.set_options(&elements).is_err() {
            continue;
        }
        inputs.push(header.to_bytes().to_vec());
        let text = |value: Option<u32>| value.map_or("nil".to_owned(), |value| value.to_string());
        expected.push(line(&[
            &text(mss.map(u32::from)),
            &text(scale.map(u32::from)),
            &permitted,
            &text(value),
            &text(echo),
        ]));
    }
    assert!(inputs.len() > 200);
    let names = ["mss", "wscale", "sack_permitted", "tsval", "tsecr"];
    assert_eq!(
        each(&netns.state("a"), &fields("tcp", &names), &inputs),
        expected
    );
}

#[test]
fn udp_headers_are_read_as_by_another_parser() {
    let netns = Netns::new();
    let mut random = Random::new(6);
    let inputs = (0..300).map(|_| {
        let mut bytes = random.bytes(20);
        if random.below(2) == 0 {
            bytes[4..6].copy_from_slice(&[0, u8::try_from(random.below(30)).expect("small")]);
        }
        random.cut(bytes)
    });
    let names = [
        "sport",
        "dport",
        "length",
        "checksum",
        "payload",
        "payload_length",
    ];
    agree(
        &netns.state("a"),
        &fields("udp", &names),
        &inputs.collect::<Vec<_>>(),
        |bytes| {
            let header = UdpHeaderSlice::from_slice(bytes).ok()?;
            let rest = bytes.len() - 8;
            let payload = match header.length() {
                0 => rest,
                1..8 => return None,
                length => rest.min(usize::from(length) - 8),
            };
            Some(line(&[
                &header.source_port(),
                &header.destination_port(),
                &header.length(),
                &header.checksum(),
                &8,
                &payload,
            ]))
        },
    );
}

#[test]
fn addresses_are_written_as_elsewhere() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut random = Random::new(7);
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1000 {
        let mut bytes = random.bytes(16);
        for group in bytes.chunks_mut(2) {
            match random.below(4) {
                0 | 1 => group.fill(0),
                2 => group[0] = 0,
                _ => {}
            }
        }
        inputs.push(bytes);
    }
    let mapped = Ipv4Addr::new(10, 0, 255, 1).to_ipv6_mapped();
    inputs.extend([vec![0; 16], vec![255; 16], mapped.octets().to_vec()]);
    let expected: Vec<_> = inputs
        .iter()
        .map(|bytes| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).expect("16")).to_string())
        .collect();
    let code = "local text = packet.ntop(bytes) assert(packet.pton(text) == bytes) return text";
    assert_eq!(each(&state, code, &inputs), expected);
    let inputs: Vec<_> = (0..200).map(|_| random.bytes(4)).collect();
    let expected: Vec<_> = inputs
        .iter()
        .map(|bytes| Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[..]).expect("4")).to_string())
        .collect();
    let code = "local text = packet.ntop(bytes) local n = packet.pton(text)
                assert(n == string.unpack('>I4', bytes) and packet.ntop(n) == text) return text";
    assert_eq!(each(&state, code, &inputs), expected);
}

/// Texts that are nearly addresses, or are some.
fn near_address(random: &mut Random) -> String {
    let mut text = match random.below(3) {
        0 => Ipv4Addr::from_bits(random.0.next_u32()).to_string(),
        1 => {
            let mut groups: Vec<_> = (0..random.below(3) + 6)
                .map(|_| format!("{:x}", random.0.next_u32() & 0xffff))
                .collect();
            let at = random.below(groups.len());
            ["", "1.2.3.4", "0", "::"][random.below(4)].clone_into(&mut groups[at]);
            groups.join(":")
        }
        _ => {
            let bytes = random.bytes(random.0.clone().next_u32() as usize % 12);
            let letter = |byte: &u8| char::from(b"01:.fa:2"[usize::from(byte % 8)]);
            bytes.iter().map(letter).collect()
        }
    };
    for _ in 0..random.below(3) {
        let at = random.below(text.len() + 1);
        if random.below(2) == 0 && at < text.len() {
            text.remove(at);
        } else {
            text.insert(at, char::from(b"0123456789abcdefF:.:. "[random.below(22)]));
        }
    }
    text
}

#[test]
fn what_is_an_address_is_decided_as_elsewhere() {
    let netns = Netns::new();
    let mut random = Random::new(8);
    let texts: Vec<_> = (0..4000).map(|_| near_address(&mut random)).collect();
    let expected: Vec<_> = texts
        .iter()
        .map(|text| IpAddr::from_str(text).map_or("none".to_owned(), |address| address.to_string()))
        .collect();
    let none = expected.iter().filter(|&text| text == "none").count();
    assert!((1000..3500).contains(&none), "{none}");
    let code = "local address = packet.pton(bytes)
                if not address or #bytes == 17 and #packet.ntop(address) == 17 and address ~= packet.pton(packet.ntop(address)) then return 'none' end
                return packet.ntop(address)";
    let inputs: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let found = each(&netns.state("a"), code, &inputs);
    for ((text, expected), found) in texts.iter().zip(&expected).zip(&found) {
        assert_eq!(found, expected, "{text}");
    }
}

/// Every function and field, on anything.
const EVERYTHING: &str = r"
local packet, data = require 'packet', require 'data'
local fields = {
  eth = 'src dst saddr daddr type vlan inner_vlan payload',
  arp = 'op sha spa tha tpa payload',
  ip = 'version header_length tos dscp ecn length id mf fragment ttl protocol saddr daddr src dst payload payload_length',
  tcp = 'sport dport seq ack_seq header_length flags syn window checksum urgent mss wscale sack_permitted tsval tsecr payload',
  udp = 'sport dport length checksum payload payload_length',
  icmp = 'type code checksum id sequence rest payload',
  dns = 'id response opcode rcode qdcount ancount name type class payload',
}
for _, bytes in ipairs(...) do
  local b = data.new(bytes)
  for off = 0, #b, 7 do
    for name, words in pairs(fields) do
      local h, why = packet[name](b, off)
      if h then
        for word in words:gmatch '%S+' do local _ = h[word] end
        assert(h.payload <= #b and h.payload > off)
      else
        assert(type(why) == 'string')
      end
    end
    local name, after = packet.dnsname(b, off, 0)
    assert(name and after <= #b or type(after) == 'string')
    local host, why = packet.sni(b, off)
    assert(type(host or why) == 'string')
  end
end";

#[test]
fn no_bytes_are_an_error() {
    let netns = Netns::new();
    let state = netns.state("a");
    let mut random = Random::new(9);
    let samples: Vec<Vec<u8>> = vec![
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01\xc0\x0c".to_vec(),
        {
            let mut hello = b"\x16\x03\x01\0\x4b\x01\0\0\x47\x03\x03".to_vec();
            hello.extend(random.bytes(32));
            hello.extend(b"\0\0\x02\x13\x01\x01\0\0\x1c\0\x2b\0\x03\x02\x03\x04\0\0\0\x11\0\x0f\0\0\x0cexample.test");
            hello
        },
        b"\x60\0\0\0\0\x10\0\x40".to_vec(),
        b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02".to_vec(),
    ];
    for _ in 0..20 {
        let inputs: Vec<_> = (0..10)
            .map(|_| {
                let mut bytes = samples[random.below(samples.len())].clone();
                let more = random.below(60);
                bytes.extend(random.bytes(more));
                for _ in 0..random.below(4) {
                    let at = random.below(bytes.len());
                    bytes[at] = [0, 1, 0x7f, 0xff, 0xc0, 44][random.below(6)];
                }
                random.cut(bytes)
            })
            .collect();
        let run = state
            .call(EVERYTHING)
            .arg(Value::sequence(inputs.iter().map(Vec::as_slice)))
            .timeout(Duration::from_secs(10))
            .run();
        run.unwrap_or_else(|e| panic!("{e}: {inputs:02x?}"));
    }
}
