// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets that others have, too: clones that eBPF programs make, those of packet sockets,
//! and those that TCP keeps to send again. What a script writes none of them sees, or it
//! cannot write.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use lunatik::State;
use lunatik_tests::{
    Capture, Family, Host, Netns, Network, SOON, Transfer,
    bpf::{CLONE, Pins, kfuncs},
    eventually, free, holds, hooks_worked, integer, lua, run, string,
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(500);
/// What is sent, and what scripts make of it.
const SENT: &[u8] = b"original, and more of it";
const CHANGED: &[u8] = b"CHANGED!, and more of it";
const PORT: u16 = 4000;

/// A function for packets to the port in both kinds of IP and of hooks, with `off` for the
/// transport header's place and `p` for that of a datagram's data.
fn script(body: &str) -> String {
    format!(
        "local xdp, tc, nf = require 'xdp', require 'tc', require 'netfilter'
         n = 0
         function look(pkt)
           local off, protocol = pkt:transport_offset()
           if not off or protocol ~= 17 and protocol ~= 6 or pkt:u16(off + 2) ~= {PORT} then
             return
           end
           n = n + 1
           local p = off + 8
           {body}
         end"
    )
}

/// A client and a server, one of which sends copies to a third namespace.
struct Copied {
    network: Network,
    /// Its `eth0` gets what goes to `copy`.
    third: Netns,
    pins: Pins,
}

/// Where programs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// What the client's device sends
    Client,
    /// What the server's device receives
    Server,
}

impl Copied {
    fn new(place: Place) -> Self {
        let network = Network::direct();
        let third = Netns::new();
        let pins = Pins::new();
        pins.load(CLONE);
        let copied = Self {
            network,
            third,
            pins,
        };
        let netns = &copied.host(place).netns;
        let [name, third] = [netns.name(), copied.third.name()];
        for line in [
            format!("-n {name} link add copy type veth peer name eth0 netns {third}"),
            format!("-n {third} link set eth0 up"),
            format!("-n {name} link set copy up"),
        ] {
            run(Command::new("ip").args(line.split(' '))).success();
        }
        eventually("it has a queue", || {
            let shown = netns.ip("link show copy");
            shown.success().contains("state UP")
        });
        let index = netns.within(|| nix::net::if_::if_nametoindex("copy").expect("a device"));
        copied.pins.set_at("config", 1, index);
        copied
    }

    fn host(&self, place: Place) -> &Host {
        match place {
            Place::Client => &self.network.client,
            Place::Server => &self.network.server,
        }
    }

    /// A state at `place` for TC with `body`, which the programs ask.
    fn asked(&self, place: Place, body: &str) -> State {
        let state = self.host(place).netns.filter("asked");
        lua(&state, &(script(body) + " tc.register(look)"));
        let id = state.snapshot().expect("a description").id;
        self.pins.set_at("config", 0, id);
        state
    }

    /// Puts a program before the device at `place`.
    fn attach(&self, program: &str, place: Place) {
        let direction = match place {
            Place::Client => "egress",
            Place::Server => "ingress",
        };
        let netns = &self.host(place).netns;
        self.pins.attach(program, netns, "eth0", direction);
    }

    /// What comes of a datagram that the client sends: what the server gets, and what the
    /// third namespace.
    fn send(&self) -> [Option<Vec<u8>>; 2] {
        let copies = Capture::on(&self.third, "eth0");
        let arrived = send(&self.network);
        [
            arrived,
            copies.next(SHORT, is_ours).map(|frame| data_of(&frame)),
        ]
    }
}

/// Whether a frame is one of the datagrams.
fn is_ours(frame: &[u8]) -> bool {
    frame.len() > 42
        && frame[12..14] == [8, 0]
        && frame[23] == 17
        && frame[36..38] == PORT.to_be_bytes()
}

fn data_of(frame: &[u8]) -> Vec<u8> {
    frame[42..].to_vec()
}

/// What arrives of a datagram that the client sends.
fn send(network: &Network) -> Option<Vec<u8>> {
    let receiver = network.server.udp(Family::V4, PORT);
    receiver.set_read_timeout(Some(SHORT)).expect("a timeout");
    let sender = network.client.udp(Family::V4, 0);
    let to = network.server.port(Family::V4, PORT);
    sender.send_to(SENT, to).expect("sends");
    let mut buffer = [0; 100];
    let length = receiver.recv(&mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

const WRITE: &str = "pkt:setstring(p, 'CHANGED!') return tc.OK";

#[test]
fn what_is_written_to_a_clone_or_beside_it_the_other_does_not_see() {
    if !kfuncs() {
        return;
    }
    for place in [Place::Client, Place::Server] {
        for (program, arrives, copied) in [
            ("clone_ask", CHANGED, SENT),
            ("ask_clone", CHANGED, CHANGED),
        ] {
            let copies = Copied::new(place);
            let state = copies.asked(place, WRITE);
            copies.attach(program, place);
            for _ in 0..5 {
                let [server, third] = copies.send();
                assert_eq!(server.as_deref(), Some(arrives), "{place:?}, {program}");
                assert_eq!(third.as_deref(), Some(copied), "{place:?}, {program}");
            }
            assert_eq!(integer(&state, "return n"), 5);
            hooks_worked(&state);
        }
        // The clone is what the script gets.
        let copies = Copied::new(place);
        let state = copies.asked(place, WRITE);
        copies.attach("clone", place);
        let netns = &copies.host(place).netns;
        netns
            .ctl(&["tc", "attach", "asked", "--dev", "copy", "egress"])
            .success();
        for _ in 0..5 {
            let [server, third] = copies.send();
            assert_eq!(server.as_deref(), Some(SENT), "{place:?}");
            assert_eq!(third.as_deref(), Some(CHANGED), "{place:?}");
        }
        assert_eq!(integer(&state, "return n"), 5);
        hooks_worked(&state);
    }
}

#[test]
fn scripts_decide_where_packets_go() {
    if !kfuncs() {
        return;
    }
    for place in [Place::Client, Place::Server] {
        for program in ["ask_redirect", "redirect_ask"] {
            let copies = Copied::new(place);
            let state = copies.asked(
                place,
                "pkt:setstring(p, 'CHANGED!') return elsewhere and tc.REDIRECT or tc.OK",
            );
            copies.attach(program, place);
            let what = format!("{place:?}, {program}");
            for elsewhere in [false, true, false] {
                lua(&state, &format!("elsewhere = {elsewhere}"));
                let [server, third] = copies.send();
                let (there, nowhere) = if elsewhere {
                    (third, server)
                } else {
                    (server, third)
                };
                assert_eq!(there.as_deref(), Some(CHANGED), "{what}");
                assert_eq!(nowhere, None, "{what}");
            }
            hooks_worked(&state);
        }
    }
}

/// All of it arrives, with headers that scripts have written to; the clones have others.
#[test]
fn streams_of_cloned_packets_arrive() {
    if !kfuncs() {
        return;
    }
    for place in [Place::Client, Place::Server] {
        let copies = Copied::new(place);
        // The type of service
        let state = copies.asked(place, "pkt:setu8(15, 0x20) return tc.OK");
        copies.attach("clone_ask", place);
        let third = copies.third.filter("third");
        lua(
            &third,
            &(script("if pkt:u8(15) ~= 0 then wrong = true end") + " tc.register(look)"),
        );
        copies
            .third
            .ctl(&["tc", "attach", "third", "--dev", "eth0", "ingress"])
            .success();
        let server = copies.network.server.netns.filter("server");
        lua(
            &server,
            &(script("if pkt:u8(1) ~= 0x20 then wrong = true end")
                + " nf.register{family = 'ipv4', hook = 'input', look}"),
        );
        let transfer = Transfer {
            port: PORT,
            bytes: 10_000_000,
            ..Transfer::default()
        };
        copies.network.tcp(&transfer).expect("arrives");
        for state in [&state, &third, &server] {
            holds(state, "return n > 100 and not wrong");
            hooks_worked(state);
        }
    }
}

/// A packet socket has a clone of what TC gets from a device. Others are written to
/// before it gets them, or are copied.
#[test]
fn packet_sockets_see_what_was_there() {
    let network = Network::direct();
    let state = network.server.netns.filter("write");
    lua(
        &state,
        &script("pkt:setstring(p, 'CHANGED!') pkt:trim(#pkt)"),
    );
    let attach: &[&str] = &["attach", "write", "--dev", "eth0"];
    let by_command = |kind: &str, more: &[&str]| {
        let netns = &network.server.netns;
        netns.ctl(&[&[kind], attach, more].concat()).success();
    };
    let detach = |kind: &str| {
        let netns = &network.server.netns;
        netns
            .ctl(&[kind, "detach", "write", "--dev", "eth0"])
            .success();
    };
    let check = |what: &str, arrives: &[u8], captured: &[u8]| {
        let capture = Capture::on(&network.server.netns, "eth0");
        let arrived = send(&network);
        assert_eq!(arrived.as_deref(), Some(arrives), "{what}");
        let frame = capture.next(SHORT, is_ours).expect("a frame");
        assert_eq!(data_of(&frame), captured, "{what}");
        drop(capture);
        // Nobody else has it now.
        assert_eq!(send(&network).as_deref(), Some(CHANGED), "{what}");
        hooks_worked(&state);
    };
    lua(
        &state,
        "hook = require 'netfilter'.register{family = 'ipv4', hook = 'input', look}",
    );
    check("netfilter", CHANGED, SENT);
    lua(&state, "hook:unregister()");
    if !kfuncs() {
        return;
    }
    lua(
        &state,
        "require 'tc'.register(look) require 'xdp'.register(look)",
    );
    for mode in ["native", "generic"] {
        by_command("xdp", &["--mode", mode]);
        check(mode, CHANGED, CHANGED);
        detach("xdp");
    }
    by_command("tc", &["ingress"]);
    check("TC", CHANGED, SENT);
}

/// What a script makes of a packet and then drops is sent again as it was.
#[test]
fn what_tcp_sends_again_is_as_it_was() {
    let network = Network::direct();
    let (client, server) = (&network.client, &network.server);
    let of_device = |hook| format!("family = 'netdev', hook = '{hook}', dev = 'eth0'");
    let by_netfilter = [
        (client, "family = 'ipv4', hook = 'output'".to_owned()),
        (client, of_device("egress")),
        (server, of_device("ingress")),
        (server, "family = 'ipv4', hook = 'input'".to_owned()),
    ];
    // Data in the middle of a connection; where it begins, the header tells.
    let body = "local p = off + 4 * (pkt:u8(off + 12) >> 4)
                if #pkt < p + 24 or dropped then return end
                dropped, long = true, #pkt
                wrote = pcall(pkt.setstring, pkt, p, 'CHANGED!')
                seen = pkt:string(p, 8)
                return drop";
    let address = server.port(Family::V4, PORT);
    for (host, hook) in by_netfilter {
        let state = host.netns.filter("write");
        let register = format!(" drop = nf.DROP nf.register{{{hook}, look}}");
        lua(&state, &(script(body) + &register));
        arrives_at_second_try(&network, address);
        holds(&state, "return dropped and wrote and seen == 'CHANGED!'");
        state.close().expect("closes");
    }
    if !kfuncs() {
        return;
    }
    for (host, kind, more) in [
        (client, "tc", &["egress"][..]),
        (server, "tc", &["ingress"]),
        (server, "xdp", &["--mode", "native"]),
        (server, "xdp", &["--mode", "generic"]),
    ] {
        let state = host.netns.filter("write");
        let register = " tc.register(look) xdp.register(look)";
        let drop = if kind == "tc" { "tc.SHOT" } else { "xdp.DROP" };
        lua(&state, &(script(body) + register + " drop = " + drop));
        let attach = [&[kind, "attach", "write", "--dev", "eth0"], more].concat();
        host.netns.ctl(&attach).success();
        arrives_at_second_try(&network, address);
        holds(&state, "return dropped and wrote and seen == 'CHANGED!'");
        host.netns
            .ctl(&[kind, "detach", "write", "--dev", "eth0"])
            .success();
        state.close().expect("closes");
    }
}

/// Sends a little over TCP, which must arrive as it was.
fn arrives_at_second_try(network: &Network, address: SocketAddr) {
    let listener = network
        .server
        .netns
        .within(|| free(|| TcpListener::bind(address)));
    thread::scope(|scope| {
        let came = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(3 * SOON)).expect("a timeout");
            let mut came = Vec::new();
            stream.read_to_end(&mut came).expect("all");
            came
        });
        let mut stream = network
            .client
            .netns
            .within(|| TcpStream::connect_timeout(&address, 3 * SOON).expect("connects"));
        stream.write_all(SENT).expect("sends");
        drop(stream);
        assert_eq!(came.join().expect("it comes"), SENT);
    });
}

/// What a script writes goes to a copy where others have the packet, too. The program that
/// asked goes on with pointers to how it was. TCP's data is in fragments and in a clone,
/// that of a datagram is neither.
#[test]
fn programs_on_tc_keep_what_they_have_pointers_to() {
    if !kfuncs() {
        return;
    }
    let copies = Copied::new(Place::Client);
    let state = copies.asked(
        Place::Client,
        "local data = off + (protocol == 6 and 4 * (pkt:u8(off + 12) >> 4) or 8)
         if #pkt < data + 20 then return tc.OK end
         errors = {}
         for i, change in ipairs {
           function() pkt:trim(#pkt - 1) end,
           function() pkt:trim(#pkt - 10) end,
           function() pkt:append 'more' end,
           function() pkt:setu8(#pkt - 1, 1) end,
           function() pkt:setu8(data, 1) end,
           function() pkt:setu8(15, 0x20) end,
         } do
           local ok, why = pcall(change)
           errors[i] = ok and 'none' or why:match ': (.*)'
         end
         return tc.SHOT",
    );
    copies.attach("stay", Place::Client);
    let errors = || string(&state, "return errors and table.concat(errors, '; ') or ''");
    let all = "none; none; none; none; none; none";
    // How many moved, and how many the program saw as they became
    let told = || [3, 4].map(|index| copies.pins.get_at("config", index));
    assert_eq!(copies.send(), [None, None]);
    assert_eq!(errors(), all);
    assert_eq!(told(), [0, 1]);
    lua(&state, "errors = nil");

    let address = copies.network.server.port(Family::V4, PORT);
    let listen = || TcpListener::bind(address).expect("a free port");
    let _listener = copies.network.server.netns.within(listen);
    let connect = || TcpStream::connect_timeout(&address, 3 * SOON).expect("connects");
    let mut stream = copies.network.client.netns.within(connect);
    stream.write_all(SENT).expect("sends");
    eventually("it is sent", || !errors().is_empty());
    assert_eq!(errors(), all);
    let [moved, seen] = told();
    assert!(moved > 0 && seen == 1, "{moved}, {seen}");
}
