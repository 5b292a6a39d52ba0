// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets with IPv6 extension headers on their way: scripts find what is behind them, and
//! who receives what they wrote finds its checksum right.

use std::net::{IpAddr, SocketAddrV6};

use etherparse::{IpNumber, Ipv6Header, UdpHeader};
use lunatik::State;
use lunatik_tests::{
    Family, Host, Netns, Network, SOON, bpf::kfuncs, holds, integer, lua, undisturbed,
};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, socket,
};
use std::os::fd::AsRawFd;

const PORT: u16 = 4000;

/// Options that say nothing, behind which `next` is: of the next hop, or of who receives it.
fn options(next: IpNumber) -> [u8; 8] {
    [next.0, 0, 1, 4, 0, 0, 0, 0]
}

/// A datagram between two hosts, behind two extension headers.
fn datagram(from: &Host, to: &Host, data: &[u8]) -> Vec<u8> {
    let [source, destination] = [from, to].map(|host| match host.address(Family::V6) {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(_) => unreachable!("it is IPv6"),
    });
    let mut extensions = options(IpNumber::IPV6_DESTINATION_OPTIONS).to_vec();
    extensions.extend(options(IpNumber::UDP));
    let length = extensions.len() + UdpHeader::LEN + data.len();
    let header = Ipv6Header {
        payload_length: length.try_into().expect("a short one"),
        next_header: IpNumber::IPV6_HEADER_HOP_BY_HOP,
        hop_limit: 64,
        source,
        destination,
        ..Ipv6Header::default()
    };
    let udp = UdpHeader::with_ipv6_checksum(1234, PORT, &header, data).expect("a header");
    [&header.to_bytes(), &extensions[..], &udp.to_bytes(), data].concat()
}

/// Sends a packet as it is.
fn send(from: &Host, to: &Host, packet: &[u8]) {
    let IpAddr::V6(address) = to.address(Family::V6) else {
        unreachable!("it is IPv6");
    };
    let address = SockaddrIn6::from(SocketAddrV6::new(address, 0, 0, 0));
    from.netns.within(|| {
        let socket = socket(
            AddressFamily::Inet6,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Raw,
        );
        let socket = socket.expect("a socket");
        let sent = sendto(socket.as_raw_fd(), packet, &address, MsgFlags::empty());
        assert_eq!(sent, Ok(packet.len()));
    });
}

/// Writes to datagrams.
const LOOK: &str = "packet, n = require 'packet', 0
    function look(pkt)
      local off, protocol = pkt:transport_offset()
      if protocol ~= 17 or pkt:u16(off + 2) ~= 4000 then return end
      local header = packet.ip(pkt)
      seen = ('%d %d %d %s'):format(off - pkt:network_offset(), header.protocol,
        header.next_header, header.dst)
      pkt:setstring(off + 8, 'CHANGED')
      n = n + 1
    end ";

fn looking(netns: &Netns, code: &str) -> State {
    let state = netns.filter("look");
    lua(&state, &format!("{LOOK}{code}"));
    state
}

/// Sends a datagram from the client to the server, where `state` has it.
fn meets(network: &Network, state: &State, what: &str) {
    let [from, to] = [&network.client, &network.server];
    let receiver = to.udp(Family::V6, PORT);
    receiver.set_read_timeout(Some(SOON)).expect("a timeout");
    send(from, to, &datagram(from, to, b"some data"));
    let mut came = [0; 64];
    let length = receiver
        .recv(&mut came)
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(&came[..length], b"CHANGEDta", "{what}");
    assert_eq!(integer(state, "return n"), 1, "{what}");
    let address = to.address(Family::V6);
    holds(state, &format!("return seen == '56 17 0 {address}'"));
}

#[test]
fn hooks_find_what_is_behind_extension_headers() {
    undisturbed(|| {
        let network = Network::router();
        let [client, server] = [&network.client.netns, &network.server.netns];
        for (netns, hook) in [
            (client, "family = 'inet', hook = 'output'"),
            (client, "family = 'netdev', hook = 'egress', dev = 'eth0'"),
            (network.middle(), "family = 'ipv6', hook = 'forward'"),
            (server, "family = 'inet', hook = 'ingress', dev = 'eth0'"),
            (server, "family = 'ipv6', hook = 'prerouting'"),
            (server, "family = 'inet', hook = 'input'"),
        ] {
            let code = format!("require 'netfilter'.register{{{hook}, on_error = 'drop', look}}");
            let state = looking(netns, &code);
            meets(&network, &state, hook);
            state.close().expect("closes");
        }
    });
}

#[test]
fn programs_on_devices_find_what_is_behind_extension_headers() {
    if !kfuncs() {
        return;
    }
    undisturbed(|| {
        let network = Network::direct();
        let [client, server] = [&network.client.netns, &network.server.netns];
        // What XDP writes to must have its checksum already, as it has from a raw socket.
        for (netns, kind, more) in [
            (client, "tc", &["egress"][..]),
            (server, "tc", &["ingress"]),
            (server, "xdp", &["--mode", "native"]),
            (server, "xdp", &["--mode", "generic"]),
        ] {
            let state = looking(netns, &format!("require '{kind}'.register(look)"));
            let attach = [&[kind, "attach", "look", "--dev", "eth0"], more].concat();
            netns.ctl(&attach).success();
            meets(&network, &state, &format!("{kind} {more:?}"));
            netns.ctl(&[kind, "detach", "--dev", "eth0"]).success();
            state.close().expect("closes");
        }
    });
}
