// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real traffic through states that eBPF programs call, on XDP and TC.

use lunatik::{State, Value};
use lunatik_tests::{
    Amounts, Family, Netns, Network, SOON,
    bpf::{COUNT, MORE, Pins, kfuncs},
    hooks_worked, integer, lua, string,
};

/// Looks at each packet, and drops what is for port 9999.
const LOOK: &str = "
    local xdp, tc = require 'xdp', require 'tc'
    frames, bytes, longest = 0, 0, 0
    local function is_for_9999(pkt)
      frames, bytes = frames + 1, bytes + #pkt
      if #pkt > longest then longest = #pkt end
      local off, protocol = pkt:transport_offset()
      return (protocol == 6 or protocol == 17) and pkt:u16(off + 2) == 9999
    end
    xdp.register(function(pkt) if is_for_9999(pkt) then return xdp.DROP end end)
    tc.register(function(pkt) if is_for_9999(pkt) then return tc.SHOT end end)";

fn looking(netns: &Netns) -> State {
    let state = netns.filter("look");
    lua(&state, LOOK);
    state
}

/// Everything goes through states of both ends' namespaces, which `attach` attaches there.
/// `is_long` tells whether some of what the server's device gets is yet to be segmented.
fn everything_arrives_through(what: &str, attach: &[&[&str]], is_long: bool) {
    if !kfuncs() {
        return;
    }
    let network = Network::direct();
    let [client, server] = [&network.client.netns, &network.server.netns].map(|netns| {
        let state = looking(netns);
        for arguments in attach {
            netns
                .ctl(&[arguments, &["--dev", "eth0"][..]].concat())
                .success();
        }
        state
    });
    let amounts = Amounts::large();
    network.everything_arrives(what, amounts);
    network.nobody_answers(9999);
    hooks_worked(&client);
    hooks_worked(&server);
    // All but what the hooks had no time for
    let sent = 2 * (amounts.tcp + amounts.aggregated);
    let seen = integer(&server, "return bytes");
    assert!(seen >= (sent - sent / 4).cast_signed(), "{seen} of {sent}");
    let longest = integer(&server, "return longest");
    assert_eq!(longest > 1514, is_long, "{longest}");
}

/// Each packet is one for the script: a device with native XDP gets no others.
#[test]
fn everything_arrives_through_native_xdp() {
    let attach = ["xdp", "attach", "look", "--mode", "native"];
    everything_arrives_through("native XDP", &[&attach], false);
}

#[test]
fn everything_arrives_through_generic_xdp() {
    let attach = ["xdp", "attach", "look", "--mode", "generic"];
    everything_arrives_through("generic XDP", &[&attach], true);
}

#[test]
fn everything_arrives_through_tc() {
    let attach = ["ingress", "egress"].map(|direction| ["tc", "attach", "look", direction]);
    everything_arrives_through("TC", &[&attach[0], &attach[1]], true);
}

/// What a script does to a datagram, and what that makes of its data.
type Change = (&'static str, fn(&[u8]) -> Vec<u8>);

/// The receiver drops datagrams whose checksum is wrong, if it is there as they come.
#[test]
fn datagrams_that_xdp_wrote_to_arrive() {
    if !kfuncs() {
        return;
    }
    // p is where the data begins.
    let changes: [Change; 6] = [
        ("pkt:setu8(p, 65)", |data| [b"A", &data[1..]].concat()),
        ("pkt:setstring(p + 3, 'odd')", |data| {
            [&data[..3], b"odd", &data[6..]].concat()
        }),
        ("pkt:append('22')", |data| [data, b"22"].concat()),
        ("pkt:trim(#pkt - 1)", |data| data[..data.len() - 1].to_vec()),
        (
            "pkt:trim(p + 3) pkt:append('end') pkt:setu16(p + 2, 0x4142)",
            |data| [&data[..2], b"ABnd"].concat(),
        ),
        // From another address and port
        (
            "local at = pkt:network_offset() + (pkt:protocol() == 0x800 and 15 or 23)
             pkt:setu8(at, 77) pkt:setu16(off, 4001)",
            <[u8]>::to_vec,
        ),
    ];
    let network = Network::direct();
    network.client.without_offload();
    let netns = &network.server.netns;
    for mode in ["native", "generic"] {
        let state = netns.filter("change");
        lua(
            &state,
            "function change() end
             require 'xdp'.register(function(pkt) return change(pkt) end)",
        );
        let device = ["--dev", "eth0", "--mode", mode];
        netns
            .ctl(&[&["xdp", "attach", "change"][..], &device].concat())
            .success();
        for (change, expected) in changes {
            lua(
                &state,
                &format!(
                    "function change(pkt)
                       local off, protocol = pkt:transport_offset()
                       if protocol ~= 17 or pkt:u16(off + 2) ~= 4000 then return end
                       local p = off + 8
                       {change}
                     end"
                ),
            );
            for family in Family::ALL {
                for length in [10, 11, 1001] {
                    let data: Vec<u8> = (0..=250).cycle().take(length).collect();
                    let receiver = network.server.udp(family, 4000);
                    receiver.set_read_timeout(Some(SOON)).expect("a timeout");
                    let sender = network.client.udp(family, 0);
                    let to = network.server.port(family, 4000);
                    sender.send_to(&data, to).expect("sends");
                    let mut buffer = vec![0; 2000];
                    let what = format!("{mode}, {change}, {family:?}, {length}");
                    let (length, from) = receiver.recv_from(&mut buffer).expect(&what);
                    assert!(buffer[..length] == expected(&data), "{what}");
                    let other = change.contains("4001");
                    assert_eq!(from.port() == 4001, other, "{what}");
                }
            }
        }
        hooks_worked(&state);
        netns
            .ctl(&["xdp", "detach", "change", "--dev", "eth0"])
            .success();
        state.close().expect("closes");
    }
}

/// Tags that are among a packet's bytes, as they come from a network.
#[test]
fn vlans_under_xdp() {
    if !kfuncs() {
        return;
    }
    let network = Network::direct();
    network.client.with_tags_inside();
    for (host, address) in [(&network.client, "1"), (&network.server, "2")] {
        let netns = &host.netns;
        for line in [
            "link add link eth0 name tagged type vlan id 5",
            &format!("addr add 10.55.0.{address}/24 dev tagged"),
            "link set tagged up",
        ] {
            netns.ip(line).success();
        }
    }
    let netns = &network.server.netns;
    for mode in ["native", "generic"] {
        let state = netns.filter("vlan");
        lua(
            &state,
            "local packet = require 'packet'
             seen = 0
             require 'xdp'.register(function(pkt)
               local off, protocol = pkt:transport_offset()
               local frame = packet.eth(pkt)
               if frame.vlan ~= 5 or protocol ~= 1 or pkt:u8(off) ~= 8 then return end
               local ip = pkt:network_offset()
               seen, ethertype, type, length = seen + 1, pkt:protocol(), frame.type, off - ip
               at, ttl = ip, pkt:u8(ip + 8)
               pkt:setu8(ip + 8, 7)     -- time to live, with the checksum
             end)",
        );
        netns
            .ctl(&["xdp", "attach", "vlan", "--dev", "eth0", "--mode", mode])
            .success();
        let to = "10.55.0.2".parse().expect("an address");
        assert_eq!(network.client.ping(to, 5, 56, SOON), 5, "{mode}");
        assert!(integer(&state, "return seen") >= 5, "{mode}");
        for (what, expected) in [
            ("ethertype", 0x800),
            ("type", 0x800),
            ("length", 20),
            ("at", 18),
            ("ttl", 64),
        ] {
            let found = integer(&state, &format!("return {what}"));
            assert_eq!(found, expected, "{mode}: {what}");
        }
        netns.ctl(&["xdp", "detach", "--dev", "eth0"]).success();
        state.close().expect("closes");
    }
}

/// What does not fit a page, with a program that says that it can take that.
#[test]
fn packets_in_several_buffers() {
    const LENGTH: usize = 8000;
    if !kfuncs() {
        return;
    }
    let network = Network::direct();
    network.client.without_offload();
    let netns = &network.server.netns;
    for host in [&network.client, &network.server] {
        host.netns.ip("link set eth0 mtu 9000").success();
    }
    let pins = Pins::new();
    pins.load(COUNT);
    pins.load(MORE);
    let state = netns.filter("jumbo");
    pins.set("asked", state.snapshot().expect("a description").id);
    lua(
        &state,
        &format!(
            "local count = require 'bpf'.prog '{}'
             errors, seen = {{}}, 0
             require 'xdp'.register(function(pkt)
               local off, protocol = pkt:transport_offset()
               if protocol ~= 17 or pkt:u16(off + 2) ~= 4000 then return end
               local p = off + 8
               seen, length, data = seen + 1, #pkt - p, pkt:string(p)
               for i, f in ipairs{{
                 function() pkt:trim(1000) end,
                 function() pkt:append('x') end,
                 function() count(pkt, 1, 1) end,
                 function() pkt:u8(#pkt) end,
                 function() pkt:setu16(#pkt - 2, 0x4142) end,
                 function() pkt:setstring(p, ('z'):rep(#pkt - p)) end,
               }} do
                 local _, why = pcall(f)
                 errors[i] = why
               end
               pkt:setstring(p + 1, ('y'):rep(2999))
             end)",
            pins.path("count")
        ),
    );
    pins.attach_xdp("jumbo", netns, "eth0");
    let sent: Vec<u8> = (0..=250).cycle().take(LENGTH).collect();
    let mut expected = sent.clone();
    expected[1..3000].fill(b'y');
    for (n, family) in (1..).zip(Family::ALL) {
        let receiver = network.server.udp(family, 4000);
        receiver.set_read_timeout(Some(SOON)).expect("a timeout");
        let sender = network.client.udp(family, 0);
        let to = network.server.port(family, 4000);
        sender.send_to(&sent, to).expect("sends");
        let mut buffer = vec![0; 2 * LENGTH];
        let length = receiver.recv(&mut buffer).expect("it arrives");
        assert!(buffer[..length] == expected, "{family:?}");
        assert_eq!(integer(&state, "return seen"), n);
        assert_eq!(integer(&state, "return length"), 8000);
        let data = lua(&state, "return data");
        assert!(data == [Value::from(sent.clone())], "{family:?}");
        for (i, said) in [
            (1, "several buffers"),
            (2, "several buffers"),
            (3, "several buffers"),
            (4, "length"),
            (5, "beyond the packet's first"),
            (6, "beyond the packet's first"),
        ] {
            let why = string(&state, &format!("return errors[{i}]"));
            assert!(why.contains(said), "{i}: {why}");
        }
    }
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().all(|hook| hook.errors == 0), "{hooks:?}");
}
