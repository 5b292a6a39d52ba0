// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts that write to packets of tunnels, whose outer and inner headers have a checksum
//! each: who opens them drops what is wrong. The ends leave to devices what they can, and
//! the router between them fills it in.

use std::time::Duration;

use lunatik::State;
use lunatik_tests::{
    Datagrams, Family, Netns, Network, SOON, Transfer, bpf::kfuncs, by_kernel, eventually, integer,
    lua, tell,
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(1500);

macro_rules! vxlan {
    ($checksum:literal) => {
        concat!(
            "type vxlan id 7 dstport 4789 nolearning dev eth0 local LOCAL remote REMOTE ",
            $checksum
        )
    };
}

/// VXLAN, whose headers are of UDP, with and without a checksum; and a tunnel without ports.
const TUNNELS: [(Family, &str); 5] = [
    (Family::V4, vxlan!("udpcsum")),
    (Family::V4, vxlan!("noudpcsum")),
    (Family::V6, vxlan!("noudp6zerocsumtx noudp6zerocsumrx")),
    (Family::V6, vxlan!("udp6zerocsumtx udp6zerocsumrx")),
    (Family::V4, "type gre local LOCAL remote REMOTE"),
];

/// Where packets are written to on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Hook(&'static str),
    Tc,
    Forward,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Hook("family = 'inet', hook = 'output'"),
        Self::Forward,
        Self::Hook("family = 'inet', hook = 'postrouting'"),
        Self::Hook("family = 'netdev', hook = 'egress', dev = 'eth0'"),
        Self::Tc,
    ];

    /// A state that has `f`, a function of a packet that `code` makes, there.
    fn state(self, netns: &Netns, code: &str) -> State {
        let state = netns.filter("there");
        match self {
            Self::Hook(hook) => register(&state, hook, code),
            Self::Forward => register(&state, "family = 'inet', hook = 'forward'", code),
            Self::Tc => {
                let code = format!("{code} require 'tc'.register(f)");
                lua(&state, &code);
                netns
                    .ctl(&["tc", "attach", "there", "egress", "--dev", "eth0"])
                    .success();
            }
        }
        state
    }

    fn end(self, netns: &Netns, state: &State) {
        if self == Self::Tc {
            netns.ctl(&["tc", "detach", "--dev", "eth0"]).success();
        }
        state.close().expect("closes");
    }
}

fn register(state: &State, hook: &str, code: &str) {
    let code = format!("{code} require 'netfilter'.register{{{hook}, on_error = 'drop', f}}");
    lua(state, &code);
}

/// Moves packets of tunnels from port `from` to `to`, and their source's address by `by`. In
/// datagrams inside that end with "mark" and eleven bytes, these are written over with `what`,
/// and something comes after them that is none of theirs.
fn moving(from: u16, to: u16, by: i32) -> String {
    format!(
        "n, what = 0, ''
         function f(pkt)
           local ip = pkt:network_offset()
           local off, protocol = pkt:transport_offset()
           if protocol == 17 and pkt:u16(off + 2) == {from} then
             pkt:setu16(off + 2, {to})
             pkt:setu16(off, pkt:u16(off) ~ 0x5a5a)
           elseif protocol ~= 47 then
             return
           end
           local at = ip + (pkt:u8(ip) >> 4 == 4 and 15 or 23)
           pkt:setu8(at, pkt:u8(at) + {by})
           n = n + 1
           if what ~= '' and pkt:string(#pkt - 15, 4) == 'mark' then
             pkt:setstring(#pkt - 11, what)
             pkt:append('odd') pkt:append('more') pkt:trim(#pkt - 2)
           end
         end"
    )
}

#[test]
fn written_packets_of_tunnels_arrive() {
    if by_kernel(false, true) {
        tell!("skipped: this kernel has no tunnels");
        return;
    }
    let mut network = Network::router();
    network.without_offload_between();
    for (i, (outer, link)) in TUNNELS.into_iter().enumerate() {
        network.tunnel(outer, link);
        // Where they are written to makes no difference to the others.
        let places = if i < 2 {
            &Place::ALL[..]
        } else {
            &Place::ALL[..2]
        };
        let hosts = [&network.client.netns, &network.server.netns];
        let back = hosts.map(|netns| {
            let state = netns.filter("back");
            let code = moving(6000, 4789, -100);
            register(&state, "family = 'inet', hook = 'prerouting'", &code);
            state
        });
        for &place in places {
            if place == Place::Tc && !kfuncs() {
                continue;
            }
            let there = if place == Place::Forward {
                vec![network.middle()]
            } else {
                hosts.to_vec()
            };
            let code = moving(4789, 6000, 100);
            let states: Vec<_> = there
                .iter()
                .map(|netns| place.state(netns, &code))
                .collect();
            let what = format!("{outer:?}, {link}, {place:?}");
            transfers_arrive(&network, &what);
            for family in Family::ALL {
                for text in ["even bytes", "odd"] {
                    lua(&states[0], &format!("what = '{text}'"));
                    marked_arrives(&network, family, &what, text);
                }
            }
            for (netns, state) in there.iter().zip(&states) {
                assert!(integer(state, "return n") > 10, "{what}");
                place.end(netns, state);
            }
        }
        for state in &back {
            state.close().expect("closes");
        }
    }
}

/// Sends what is cut into segments on its way.
fn transfers_arrive(network: &Network, what: &str) {
    let to = network.server.address(Family::V4);
    eventually(what, || network.client.ping(to, 1, 56, SHORT) == 1);
    let transfer = |family| Transfer {
        family,
        bytes: 1 << 17,
        patience: SOON,
        ..Transfer::default()
    };
    let tcp = network.tcp(&transfer(Family::V4));
    let tcp = tcp.unwrap_or_else(|e| panic!("{what}, TCP: {e:?}"));
    let udp = network.udp(&transfer(Family::V6), Datagrams::Segmented(1300));
    let udp = udp.unwrap_or_else(|e| panic!("{what}, UDP: {e:?}"));
    tell!("{what}: TCP {tcp}; UDP {udp}");
}

/// Sends datagrams until one comes of which `text` has become a part: where a CPU stands
/// still, hooks are left out.
fn marked_arrives(network: &Network, family: Family, what: &str, text: &str) {
    let receiver = network.server.udp(family, 4000);
    receiver.set_read_timeout(Some(SHORT)).expect("a timeout");
    let sender = network.client.udp(family, 0);
    let data = b"some mark0123456789a";
    let mut expected = data.to_vec();
    expected[9..9 + text.len()].copy_from_slice(text.as_bytes());
    eventually(&format!("{what}, {family:?}, {text}"), || {
        let sent = sender.send_to(data, network.server.port(family, 4000));
        sent.expect("sends");
        let mut came = [0; 64];
        let length = receiver.recv(&mut came).unwrap_or(0);
        came[..length] == expected
    });
}
