// SPDX-License-Identifier: MIT OR Apache-2.0
//! Netfilter hooks under real traffic: that they are called, and in which order, and
//! what becomes of packets by what they return or fail with.

use std::{
    fmt::Write,
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use lunatik::{ErrorKind, Hook, LogLine, State, Value, Verdict};
use lunatik_tests::{
    Amounts, Broken, Datagrams, Family, Host, Netns, Network, Queue, SOON, Transfer, by_kernel,
    eventually, holds, integer, lua, lua_error, none_was_missed, string, tell, undisturbed,
};
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::ReceiveTimestampns},
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(1500);

/// Counts echo requests and replies in every hook of `families`, in `n["ipv4 input"]`
/// and the like.
fn count_echoes(state: &State, families: &[&str]) {
    let families = families.join("', '");
    lua(
        state,
        &format!(
            "local nf = require 'netfilter'
             n = {{}}
             local function is_echo(pkt)
               local version = pkt:u8(0) >> 4
               if version == 4 then
                 return pkt:u8(9) == 1 and pkt:u8(20) & 0xf7 == 0
               end
               return version == 6 and pkt:u8(6) == 58 and pkt:u8(40) & 0xfe == 128
             end
             for _, family in ipairs {{'{families}'}} do
               for _, hook in ipairs {{'prerouting', 'input', 'forward', 'output', 'postrouting'}} do
                 local name = family .. ' ' .. hook
                 n[name] = 0
                 nf.register{{family = family, hook = hook, function(pkt)
                   if is_echo(pkt) then n[name] = n[name] + 1 end
                 end}}
               end
             end"
        ),
    );
}

/// What was counted since, in the order of the hooks, which is forgotten.
fn counted(state: &State, family: &str) -> Vec<i64> {
    ["prerouting", "input", "forward", "output", "postrouting"]
        .iter()
        .map(|hook| {
            integer(
                state,
                &format!("local c = n['{family} {hook}'] n['{family} {hook}'] = 0 return c"),
            )
        })
        .collect()
}

#[test]
fn hooks_are_called_for_packets_of_their_family_place_and_namespace() {
    let network = Network::router();
    let families = ["ipv4", "ipv6", "inet"];
    // The same in every namespace, and in one that has no traffic.
    let idle = Netns::new();
    let [client, middle, server, idle] = [
        &network.client.netns,
        network.middle(),
        &network.server.netns,
        &idle,
    ]
    .map(|netns| {
        let state = netns.filter("count");
        count_echoes(&state, &families);
        state
    });
    let router = |family| match family {
        Family::V4 => "10.0.1.254".parse().expect("an address"),
        Family::V6 => "fd00:0:0:1::fe".parse().expect("an address"),
    };
    for (family, name, other) in [(Family::V4, "ipv4", "ipv6"), (Family::V6, "ipv6", "ipv4")] {
        let to = network.server.address(family);
        assert_eq!(network.client.ping(to, 5, 56, 3 * SOON), 5);
        for name in [name, "inet"] {
            assert_eq!(counted(&client, name), [5, 5, 0, 5, 5], "{name}");
            assert_eq!(counted(&middle, name), [10, 0, 10, 0, 10], "{name}");
            assert_eq!(counted(&server, name), [5, 5, 0, 5, 5], "{name}");
        }
        assert_eq!(network.client.ping(router(family), 5, 56, 3 * SOON), 5);
        for name in [name, "inet"] {
            assert_eq!(counted(&client, name), [5, 5, 0, 5, 5], "{name}");
            assert_eq!(counted(&middle, name), [5, 5, 0, 5, 5], "{name}");
            assert_eq!(counted(&server, name), [0; 5], "{name}");
        }
        for state in [&client, &middle, &server] {
            assert_eq!(counted(state, other), [0; 5]);
        }
    }
    for name in families {
        assert_eq!(counted(&idle, name), [0; 5]);
    }
    let description = idle.description().expect("a description");
    assert!(description.hooks.iter().all(|hook| hook.calls == 0));
}

#[test]
fn hooks_of_bridges() {
    let network = Network::bridge();
    network
        .middle()
        .ip("addr add 10.0.1.3/24 dev br0")
        .success();
    let state = network.middle().filter("count");
    count_echoes(&state, &["bridge", "inet"]);
    let to = network.server.address(Family::V4);
    assert_eq!(network.client.ping(to, 5, 56, 3 * SOON), 5);
    assert_eq!(counted(&state, "bridge"), [10, 0, 10, 0, 10]);
    assert_eq!(counted(&state, "inet"), [0; 5]);
    let bridge = "10.0.1.3".parse().expect("an address");
    assert_eq!(network.client.ping(bridge, 5, 56, 3 * SOON), 5);
    assert_eq!(counted(&state, "bridge"), [5, 5, 0, 5, 5]);
    assert_eq!(counted(&state, "inet"), [5, 5, 0, 5, 5]);
}

/// What the hooks of a bridge decide, and in which order they are asked.
#[test]
fn verdicts_on_bridges() {
    let network = Network::bridge();
    let state = network.middle().filter("bridge");
    lua(
        &state,
        "local nf = require 'netfilter'
         verdict = {}
         -- Those of the version that verdicts are for
         local function is_echo(pkt)
           local version = pkt:protocol() == 0x800 and 4 or 6
           return pkt:u8(version == 4 and 9 or 6) == (version == 4 and 1 or 58)
             and pkt:u8(version == 4 and 20 or 40) == (version == 4 and 8 or 128), version
         end
         local function add(priority, name)
           nf.register{family = 'bridge', hook = 'forward', priority = priority, function(pkt)
             assert(pkt:indev() ~= pkt:outdev())
             local echo, version = is_echo(pkt)
             if not echo then return end
             order = order .. ' ' .. name
             if name == 'last' then return verdict[version] end
           end}
         end
         add(2147483647, 'last') add('srcnat', 'srcnat') add('dstnat', 'dstnat') add('out', 'out')
         add(-201, '-201') add('filter', 'filter') add(-199, '-199') add(-301, '-301')
         add(99, '99') add(101, '101') add(299, '299')",
    );
    let queue = Queue::bind(network.middle(), 11);
    for (family, version) in [(Family::V4, 4), (Family::V6, 6)] {
        let to = network.server.address(family);
        for (verdict, replies) in [("ACCEPT", 1), ("DROP", 0)] {
            lua(
                &state,
                &format!("order, verdict = '', {{[{version}] = require 'netfilter'.{verdict}}}"),
            );
            let patience = if replies == 0 { SHORT } else { 3 * SOON };
            let came = network.client.ping(to, 1, 56, patience);
            assert_eq!(came, replies, "{family:?}, {verdict}");
            assert_eq!(
                string(&state, "return order"),
                " -301 dstnat -201 filter -199 99 out 101 299 srcnat last"
            );
            // The other version is not in its way.
            let other = Family::ALL[usize::from(family == Family::V4)];
            let other = network.server.address(other);
            assert_eq!(network.client.ping(other, 1, 56, 3 * SOON), 1);
        }
        lua(
            &state,
            &format!("verdict = {{[{version}] = require 'netfilter'.queue(11)}}"),
        );
        for accept in [true, false] {
            thread::scope(|scope| {
                let pinging = scope.spawn(|| {
                    let patience = if accept { 3 * SOON } else { SHORT };
                    network.client.ping(to, 1, 56, patience)
                });
                let packet = queue.next(3 * SOON).expect("a packet");
                assert_eq!(packet.bytes[0] >> 4, version);
                queue.decide(&packet, accept);
                let replies = pinging.join().expect("pings");
                assert_eq!(replies, u32::from(accept), "{family:?}");
            });
        }
    }
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().all(|hook| hook.errors == 0), "{hooks:?}");
}

/// Packets of ARP that a bridge forwards meet hooks where the kernel is set up for that.
#[test]
fn forwarded_arp() {
    let network = Network::bridge();
    let middle = network.middle();
    let state = middle.filter("arp");
    lua(
        &state,
        "local nf = require 'netfilter'
         n = 0
         nf.register{family = 'arp', hook = 'forward', function(pkt)
           assert(pkt:protocol() == 0x806 and pkt:indev() ~= pkt:outdev())
           n = n + 1
           return drop and nf.DROP
         end}",
    );
    let forget = || {
        for host in [&network.client, &network.server] {
            host.netns.ip("neigh flush all").success();
        }
    };
    let to = network.server.address(Family::V4);
    forget();
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    assert_eq!(integer(&state, "return n"), 0);
    let setting = "/proc/sys/net/bridge/bridge-nf-call-arptables";
    let there = middle.within(|| {
        let there = Path::new(setting).exists();
        if there {
            fs::write(setting, "1").expect("a setting");
        }
        there
    });
    assert_eq!(there, by_kernel(false, true), "br_netfilter");
    if !there {
        tell!("skipped: this kernel has no br_netfilter");
        return;
    }
    forget();
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    holds(&state, "return n > 0");
    lua(&state, "drop = true");
    forget();
    assert_eq!(network.client.ping(to, 1, 56, SHORT), 0);
    assert_eq!(hook(&state).errors, 0);
}

#[test]
fn hooks_of_arp() {
    let network = Network::direct();
    let state = network.server.netns.filter("count");
    lua(
        &state,
        "local nf = require 'netfilter'
         n = {input = 0, output = 0}
         for hook in pairs(n) do
           nf.register{family = 'arp', hook = hook, function(pkt)
             assert(pkt:protocol() == 0x806 and #pkt >= 28)
             n[hook] = n[hook] + 1
             if wrong then return false end
             return drop and nf.DROP or queue and nf.queue(1, true) or nil
           end}
         end",
    );
    let to = network.server.address(Family::V4);
    let forget = || {
        for host in [&network.client, &network.server] {
            host.netns.ip("neigh flush all").success();
        }
    };
    forget();
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    holds(&state, "return n.input > 0 and n.output > 0");
    let errors = || -> u64 {
        let description = state.description().expect("a description");
        description.hooks.iter().map(|hook| hook.errors).sum()
    };
    assert_eq!(errors(), 0);
    lua(&state, "wrong = true");
    forget();
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    assert!(errors() > 0);
    lua(&state, "wrong = false drop = true");
    forget();
    assert_eq!(network.client.ping(to, 1, 56, SHORT), 0);
    // Packets of ARP cannot be queued: the kernel has no way back for them.
    let before = errors();
    let queue = Queue::bind(&network.server.netns, 1);
    lua(&state, "drop = false queue = true");
    forget();
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    assert!(errors() > before);
    assert_eq!(queue.next(Duration::from_millis(10)), None);
}

#[test]
fn priorities_have_the_order_of_nft() {
    let network = Network::direct();
    network.server.netns.nft(
        "table inet t { counter right { }
           chain early { type filter hook input priority -151; icmp type echo-request meta mark set 1; }
           chain late { type filter hook input priority 101;
             icmp type echo-request meta mark 11 counter name right; }
           }",
    );
    let state = network.server.netns.filter("order");
    lua(
        &state,
        "local nf = require 'netfilter'
         order = {}
         local function add(priority, name)
           nf.register{family = 'ipv4', hook = 'input', priority = priority, function(pkt)
             if pkt:u8(9) ~= 1 then return end
             order[#order + 1] = name
             pkt:mark(pkt:mark() + 1)
           end}
         end
         -- Not in their order
         add('srcnat', 'srcnat') add(nil, 'default') add('raw', 'raw') add('mangle', 'mangle')
         add(-1, '-1') add('security', 'security') add('dstnat', 'dstnat') add(2147483647, 'last')
         add('conntrack', 'conntrack') add(1, '1') add('filter', 'filter')
         add(-2147483648, 'first') add(49, '49') add(51, '51')",
    );
    let to = network.server.address(Family::V4);
    assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    assert_eq!(
        string(&state, "return table.concat(order, ' ')"),
        "first raw conntrack mangle dstnat -1 filter default 1 49 security 51 srcnat last"
    );
    let server = &network.server.netns;
    assert_eq!(server.nft_counter(["inet", "t"], "right"), 1);
}

/// The lines of a state's log.
fn logged(state: &State) -> Vec<String> {
    let lines = state.log(None).expect("a log").lines;
    let text = |line: LogLine| String::from_utf8_lossy(&line.text).into_owned();
    lines.into_iter().map(text).collect()
}

/// The one hook of a state.
fn hook(state: &State) -> Hook {
    let mut hooks = state.description().expect("a description").hooks;
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    hooks.remove(0)
}

/// A hook in `input` of the server that does `body` with ICMP of IPv4.
fn on_echo(network: &Network, on_error: &str, body: &str) -> State {
    let state = network.server.netns.filter("filter");
    lua(
        &state,
        &format!(
            "nf = require 'netfilter'
             hook = nf.register{{family = 'ipv4', hook = 'input', on_error = '{on_error}', function(pkt)
               if pkt:u8(9) ~= 1 then return end
               {body}
             end}}"
        ),
    );
    state
}

#[test]
fn verdicts() {
    let network = Network::direct();
    let to = network.server.address(Family::V4);
    let ping = |patience| network.client.ping(to, 3, 56, patience);
    for (verdict, replies, named) in [
        ("nil", 3, Verdict::Accept),
        ("nf.ACCEPT", 3, Verdict::Accept),
        ("nf.DROP", 0, Verdict::Drop),
        ("nf.queue(7, true)", 3, Verdict::Queue),
        ("nf.queue(7)", 0, Verdict::Queue),
    ] {
        let state = on_echo(&network, "native", &format!("return {verdict}"));
        let patience = if replies == 0 { SHORT } else { 3 * SOON };
        assert_eq!(ping(patience), replies, "{verdict}");
        let hook = hook(&state);
        let given = |(given, count): &(Verdict, u64)| *given == named && *count >= 3;
        assert!(hook.verdicts.iter().any(given), "{verdict}: {hook:?}");
        assert_eq!(hook.errors, 0);
        state.close().expect("closes");
    }
}

#[test]
fn programs_decide_about_queued_packets() {
    let network = Network::router();
    let places = [
        (&network.client.netns, "output"),
        (&network.client.netns, "postrouting"),
        (network.middle(), "prerouting"),
        (network.middle(), "forward"),
        (&network.server.netns, "input"),
    ];
    // A program that another test starts may have the last one's socket for a moment yet.
    for (number, (family, (netns, hook))) in (9..).zip(
        Family::ALL
            .into_iter()
            .flat_map(|family| places.map(|place| (family, place))),
    ) {
        let to = network.server.port(family, 4000);
        let queue = Queue::bind(netns, number);
        let state = netns.filter("queue");
        lua(
            &state,
            &format!(
                "local nf = require 'netfilter'
                 nf.register{{family = 'inet', hook = '{hook}', function(pkt)
                   local version = pkt:u8(0) >> 4
                   if pkt:u8(version == 4 and 9 or 6) == 17 then return nf.queue({number}) end
                 end}}"
            ),
        );
        let receiver = network.server.udp(family, 4000);
        let sender = network.client.udp(family, 0);
        receiver
            .set_read_timeout(Some(3 * SOON))
            .expect("a timeout");
        for text in ["one", "dropped", "two"] {
            sender.send_to(text.as_bytes(), to).expect("sends");
            let packet = queue.next(3 * SOON).expect("a packet");
            assert!(packet.bytes.ends_with(text.as_bytes()), "{packet:?}");
            queue.decide(&packet, text != "dropped");
        }
        let mut buffer = [0; 100];
        for text in ["one", "two"] {
            let length = receiver.recv(&mut buffer).expect("arrives");
            assert_eq!(&buffer[..length], text.as_bytes(), "{family:?}, {hook}");
        }
        state.close().expect("closes");
    }
}

#[test]
fn what_is_no_verdict_is_an_error() {
    undisturbed(|| {
        let network = Network::direct();
        let to = network.server.address(Family::V4);
        for (value, named) in [
            ("true", "boolean"),
            ("'drop'", "string"),
            ("{}", "table"),
            ("2", "returned 2"),
            ("4", "returned 4"),
            ("-1", "returned -1"),
            ("1 << 32", "returned 4294967296"),
            ("256", "returned 256"),
            ("3 | 0x100", "returned 259"),
            ("3 | 1 << 40", "returned 1099511627779"),
        ] {
            for (on_error, replies, patience) in [("native", 1, 3 * SOON), ("drop", 0, SHORT / 3)] {
                let state = on_echo(&network, on_error, &format!("return {value}"));
                assert_eq!(network.client.ping(to, 1, 56, patience), replies, "{value}");
                assert_eq!(hook(&state).errors, 1, "{value}");
                let lines = logged(&state);
                let text = lines.concat();
                assert!(
                    text.contains(named) && text.contains("ipv4 input"),
                    "{text}"
                );
                state.close().expect("closes");
            }
        }
    });
}

#[test]
fn errors_in_arguments_are_named() {
    let netns = Netns::new();
    let state = netns.filter("a");
    lua(&state, "nf = require 'netfilter' f = function() end");
    for (arguments, named) in [
        ("", "table expected"),
        ("{}", "'family'"),
        (
            "{family = 'ipv5', hook = 'input', f}",
            "'ipv5' is none of ipv4, ipv6, inet",
        ),
        ("{family = 4, hook = 'input', f}", "'family'"),
        ("{family = 'ipv4', f}", "'hook'"),
        (
            "{family = 'ipv4', hook = 'in', f}",
            "'in' is none of prerouting, input",
        ),
        (
            "{family = 'arp', hook = 'prerouting', f}",
            "'prerouting' is none of input, output",
        ),
        ("{family = 'ipv4', hook = 'input'}", "function"),
        ("{family = 'ipv4', hook = 'input', 1}", "function"),
        (
            "{family = 'ipv4', hook = 'input', priority = 'high', f}",
            "'high'",
        ),
        (
            "{family = 'bridge', hook = 'input', priority = 'raw', f}",
            "'raw'",
        ),
        (
            "{family = 'ipv4', hook = 'input', priority = 1 << 31, f}",
            "2147483648 is out of range",
        ),
        (
            "{family = 'ipv4', hook = 'input', priority = -(1 << 31) - 1, f}",
            "out of range",
        ),
        (
            "{family = 'ipv4', hook = 'input', priority = {}, f}",
            "'priority'",
        ),
        (
            "{family = 'ipv4', hook = 'input', on_error = 'accept', f}",
            "'accept' is none of native, drop",
        ),
        (
            "{family = 'ipv4', hook = 'input', onerror = 'drop', f}",
            "unknown field 'onerror'",
        ),
        (
            "{family = 'ipv4', hook = 'input', f, f}",
            "unknown field '2'",
        ),
    ] {
        let text = lua_error(
            &state,
            &format!("nf.register({arguments})"),
            ErrorKind::Script,
        );
        assert!(text.contains(named), "{arguments}: {text}");
    }
    for number in ["-1", "65536", "'x'"] {
        lua_error(&state, &format!("nf.queue({number})"), ErrorKind::Script);
    }
    assert_eq!(state.description().expect("a description").hooks, []);
    // There are no packets for those that may sleep.
    let process = netns.state("process");
    let text = lua_error(
        &process,
        "require 'netfilter'.register{family = 'ipv4', hook = 'input', print}",
        ErrorKind::Script,
    );
    assert!(text.contains("softirq"), "{text}");
}

#[test]
fn handles() {
    let network = Network::direct();
    let to = network.server.address(Family::V4);
    let reaches = || network.client.ping(to, 1, 56, SHORT / 3) == 1;
    let state = on_echo(&network, "native", "return nf.DROP");
    assert!(!reaches());
    assert_eq!(string(&state, "return tostring(hook)"), "hook (ipv4 input)");
    lua(&state, "hook:unregister() hook:unregister()");
    assert_eq!(
        string(&state, "return tostring(hook)"),
        "hook (ipv4 input, unregistered)"
    );
    assert!(reaches());
    assert_eq!(state.description().expect("a description").hooks, []);
    // A block that is left, even by an error, takes its hook along.
    lua_error(
        &state,
        "local h <close> = nf.register{family = 'ipv4', hook = 'input', function() return nf.DROP end}
         error 'left'",
        ErrorKind::Script,
    );
    assert!(reaches());
    // A function may end its own hook, but not make another.
    lua(
        &state,
        "hook = nf.register{family = 'ipv4', hook = 'input', function(pkt)
           ok, why = pcall(nf.register, {family = 'ipv4', hook = 'output', print})
           hook:unregister()
           return nf.DROP
         end}",
    );
    assert!(!reaches());
    assert!(reaches());
    let why = string(&state, "return why");
    assert!(why.contains("a callback cannot register hooks"), "{why}");
    eventually("the hook goes", || {
        state.description().expect("a description").hooks.is_empty()
    });
    // And they go with their state.
    lua(
        &state,
        "hook = nf.register{family = 'ipv4', hook = 'input', function() return nf.DROP end}",
    );
    assert!(!reaches());
    state.close().expect("closes");
    assert!(reaches());
}

/// Until the script that makes them ends, a state's first hooks cannot be called.
#[test]
fn a_state_is_loaded_before_packets_meet_it() {
    for (on_error, passes) in [("native", true), ("drop", false)] {
        let netns = Netns::with_loopback();
        let [sender, receiver] = [(); 2].map(|()| {
            let socket = netns.within(|| UdpSocket::bind("127.0.0.1:0"));
            socket.expect("a socket")
        });
        let to = receiver.local_addr().expect("an address");
        let mut buffer = [0; 10];
        let mut arrives = |patience| {
            receiver
                .set_read_timeout(Some(patience))
                .expect("a timeout");
            sender.send_to(b"x", to).expect("sends");
            receiver.recv(&mut buffer).is_ok()
        };
        let state = netns.filter("a");
        // It ends when there is a device.
        let script = format!(
            "n = 0
             require 'netfilter'.register{{family = 'ipv4', hook = 'input', on_error = '{on_error}',
               function() n = n + 1 end}}
             while not require 'linux'.ifindex 'go' do end"
        );
        // A session makes one request after the other.
        let other = netns.session().get_state("a").expect("a state");
        thread::scope(|scope| {
            let loading = scope.spawn(|| state.call(&script).timeout(SOON).run());
            eventually("the hook is there", || {
                !other.description().expect("a description").hooks.is_empty()
            });
            let patience = if passes { SOON / 2 } else { SHORT };
            assert_eq!(arrives(patience), passes, "{on_error}");
            netns.ip("link add go type dummy").success();
            loading.join().expect("a result").expect("loads");
        });
        assert_eq!(integer(&state, "return n"), 0);
        let before = hook(&state);
        assert_eq!((before.calls, before.missed), (0, 1), "{before:?}");
        assert!(arrives(SOON));
        assert_eq!(integer(&state, "return n"), 1);
    }
}

#[test]
fn a_state_has_so_many_hooks() {
    let netns = Netns::new();
    let state = netns.filter("a");
    lua(
        &state,
        "nf = require 'netfilter'
         function add() return nf.register{family = 'ipv4', hook = 'input', function() end} end
         hooks = {}
         for i = 1, 64 do hooks[i] = add() end",
    );
    let text = lua_error(&state, "add()", ErrorKind::Script);
    assert!(text.contains("64"), "{text}");
    lua(&state, "hooks[7]:unregister() hooks[7] = add()");
    lua_error(&state, "add()", ErrorKind::Script);
    assert_eq!(state.description().expect("a description").hooks.len(), 64);
}

#[test]
fn failures_under_traffic() {
    undisturbed(|| {
        let network = Network::direct();
        let to = network.server.address(Family::V4);
        let count: u32 = by_kernel(40, 15);
        for (what, body, in_log) in [
            ("an error", "error('no')", "no"),
            (
                "no end",
                "pkts = (pkts or 0) + 1 if pkts > 3 then error('no') end while true do end",
                "deadline",
            ),
            (
                "no memory",
                "local s = 'x' while true do s = s .. s end",
                "not enough memory",
            ),
            (
                "no stack",
                "local function f() return string.gsub('x', 'x', f) end f()",
                "overflow",
            ),
            (
                "an error that is none",
                "error(setmetatable({}, {__tostring = function() error 'x' end}))",
                "",
            ),
        ] {
            for (on_error, all) in [("native", true), ("drop", false)] {
                let state = on_echo(&network, on_error, body);
                let patience = if all { 6 * SOON } else { SHORT };
                let mut sent = 0;
                // Those that take all their time may meet the limit of all hooks.
                eventually("more than three fail", || {
                    let replies = network.client.ping_slowly(to, count, patience);
                    assert_eq!(replies, if all { count } else { 0 }, "{what}, {on_error}");
                    sent += u64::from(count);
                    hook(&state).errors > 3
                });
                let hook = hook(&state);
                assert_eq!(hook.calls, hook.errors, "{what}: {hook:?}");
                assert!(hook.errors + hook.missed >= sent, "{what}: {hook:?}");
                assert_eq!(hook.deadline_kills > 0, what == "no end", "{hook:?}");
                let lines = logged(&state);
                let text = lines.concat();
                assert!(text.contains(in_log), "{what}: {text}");
                // A script that fails for each packet does not fill the log.
                assert!(lines.len() < 35, "{what}: {} lines", lines.len());
                assert_eq!(integer(&state, "return 6 * 7"), 42);
                assert_eq!(
                    network
                        .client
                        .ping(network.server.address(Family::V6), 1, 56, 3 * SOON),
                    1
                );
                state.close().expect("closes");
            }
        }
    });
}

/// Hooks that take as long as they may for each packet leave the CPU to others, and
/// those of other namespaces never notice.
#[test]
fn hooks_have_three_quarters_of_a_cpu() {
    const PACKETS: u64 = 400;
    let network = Network::direct();
    let to = SocketAddr::new(network.server.address(Family::V4), 9);
    let udp = |netns: &Netns, name: &str, hook: &str, body: &str| {
        let state = netns.filter(name);
        lua(
            &state,
            &format!(
                "require 'netfilter'.register{{family = 'ipv4', hook = '{hook}', function(pkt)
                   if pkt:u8(9) == 17 then {body} end
                 end}}"
            ),
        );
        state
    };
    let hostile: Vec<_> = (0..3)
        .map(|n| {
            udp(
                &network.server.netns,
                &format!("hostile{n}"),
                "input",
                "while true do end",
            )
        })
        .collect();
    let other = udp(&network.client.netns, "other", "output", "");
    let start = Instant::now();
    network.client.netns.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for _ in 0..PACKETS {
            socket.send_to(b"x", to).expect("sent");
        }
    });
    let seen = || -> Vec<_> { hostile.iter().map(hook).collect() };
    let all = || {
        seen()
            .iter()
            .all(|hook| hook.errors + hook.missed == PACKETS)
    };
    eventually("all packets came", all);
    let took = start.elapsed();
    let ran: Duration = seen().iter().map(|hook| hook.run_time).sum();
    tell!("hooks ran for {ran:?} of {took:?}: {:?}", seen());
    // All packets alike would have taken two minutes.
    let cpus = thread::available_parallelism().expect("a number").get();
    let cpus = u32::try_from(cpus).expect("a small number");
    assert!(
        ran <= cpus * (took * 3 / 4 + Duration::from_millis(200)),
        "{ran:?} of {took:?}"
    );
    assert!(seen().iter().all(|hook| hook.deadline_kills < PACKETS / 2));
    let other = hook(&other);
    assert_eq!((other.calls, other.missed), (PACKETS, 0), "{other:?}");
    // They go on when they have rested.
    eventually("they run again", || {
        let calls = || -> u64 { seen().iter().map(|hook| hook.calls).sum() };
        let before = calls();
        network.client.netns.within(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.send_to(b"x", to).expect("sent");
        });
        calls() > before
    });
}

/// Real clients and servers through hooks that look at each packet, in each namespace.
#[test]
fn everything_arrives_through_hooks() {
    undisturbed(|| {
        let network = Network::router();
        let states = [
            &network.client.netns,
            network.middle(),
            &network.server.netns,
        ]
        .map(|netns| {
            let state = netns.filter("look");
            lua(
                &state,
                "local nf = require 'netfilter'
             for _, hook in ipairs {'prerouting', 'input', 'forward', 'output', 'postrouting'} do
               nf.register{family = 'inet', hook = hook, on_error = 'drop', function(pkt)
                 local off = pkt:transport_offset()
                 if off and #pkt >= off + 4 and pkt:u16(off + 2) == 9999 then return nf.DROP end
                 return nf.ACCEPT
               end}
             end",
            );
            state
        });
        network.everything_arrives("through 8 hooks", Amounts::large());
        network.nobody_answers(9999);
        for state in &states {
            none_was_missed(state);
        }
    });
}

#[test]
fn marks_choose_routes() {
    let network = Network::router();
    let router = network.middle();
    // The debug kernel has one table of routes only.
    if by_kernel(true, false) {
        for arguments in [
            "rule add fwmark 7 blackhole",
            "-6 rule add fwmark 7 blackhole",
        ] {
            router.ip(arguments).success();
        }
    } else {
        router.nft(
            "table inet t { chain c { type filter hook prerouting priority 0;
               meta mark 7 drop
             }
             }",
        );
    }
    let state = router.filter("mark");
    lua(
        &state,
        "local nf = require 'netfilter'
         nf.register{family = 'inet', hook = 'prerouting', priority = 'mangle', function(pkt)
           assert(pkt:mark() == 0)
           pkt:mark(mark or 0)
         end}",
    );
    for family in Family::ALL {
        let to = network.server.address(family);
        lua(&state, "mark = 7");
        assert_eq!(network.client.ping(to, 1, 56, SHORT), 0);
        lua(&state, "mark = 8");
        assert_eq!(network.client.ping(to, 1, 56, 3 * SOON), 1);
    }
}

/// Sends a datagram from one host to a port of the other, and gives what arrives.
fn datagram(from: &Host, to: &Host, family: Family, data: &[u8]) -> Option<Vec<u8>> {
    let address = to.port(family, 4000);
    let receiver = to.udp(family, 4000);
    receiver.set_read_timeout(Some(SHORT)).expect("a timeout");
    let sender = from.udp(family, 0);
    sender.send_to(data, address).expect("sends");
    let mut buffer = vec![0; 1 << 16];
    let length = receiver.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// What a script does to a datagram, and what that makes of its data.
type Change = (&'static str, fn(&[u8]) -> Vec<u8>);

/// The receiver drops datagrams whose checksum is wrong.
#[test]
fn written_datagrams_arrive() {
    undisturbed(|| {
        let network = Network::router();
        let places = [
            (&network.client.netns, "family = 'inet', hook = 'output'"),
            (
                &network.client.netns,
                "family = 'netdev', hook = 'egress', dev = 'eth0'",
            ),
            (
                network.middle(),
                "family = 'inet', hook = 'ingress', dev = 'left'",
            ),
            (network.middle(), "family = 'inet', hook = 'prerouting'"),
            (network.middle(), "family = 'inet', hook = 'forward'"),
            (network.middle(), "family = 'inet', hook = 'postrouting'"),
            (&network.server.netns, "family = 'inet', hook = 'input'"),
        ];
        // p is where the data begins.
        let changes: [Change; 9] = [
            ("pkt:setu8(p, 65)", |data| [b"A", &data[1..]].concat()),
            ("pkt:setu8(p + 1, 65)", |data| {
                [&data[..1], b"A", &data[2..]].concat()
            }),
            ("pkt:setu16(p + 1, 0x4142)", |data| {
                [&data[..1], b"AB", &data[3..]].concat()
            }),
            ("pkt:setstring(p + 3, 'odd')", |data| {
                [&data[..3], b"odd", &data[6..]].concat()
            }),
            ("pkt:setu8(#pkt - 1, 65)", |data| {
                [&data[..data.len() - 1], b"A"].concat()
            }),
            ("pkt:append('1')", |data| [data, b"1"].concat()),
            ("pkt:append('22') pkt:append(('x'):rep(101))", |data| {
                [data, b"22", &[b'x'; 101]].concat()
            }),
            ("pkt:trim(#pkt - 1)", |data| data[..data.len() - 1].to_vec()),
            (
                "pkt:trim(p + 3) pkt:append('end') pkt:setu16(p + 2, 0x4142)",
                |data| [&data[..2], b"ABnd"].concat(),
            ),
        ];
        for offload in [true, false] {
            if !offload {
                network.client.without_offload();
            }
            for (netns, hook) in places {
                for (change, expected) in changes {
                    let state = netns.filter("change");
                    lua(
                        &state,
                        &format!(
                            "local nf = require 'netfilter'
                         nf.register{{{hook}, on_error = 'drop', function(pkt)
                           local off = pkt:transport_offset()
                           local version = pkt:u8(0) >> 4
                           if pkt:u8(version == 4 and 9 or 6) ~= 17 or pkt:u16(off + 2) ~= 4000 then
                             return
                           end
                           local p = off + 8
                           {change}
                           assert(pkt:u16(off + 4) == #pkt - off)
                         end}}"
                        ),
                    );
                    for family in Family::ALL {
                        // Even and odd; one that is in several pieces, for all it is worth
                        for length in [10, 11, 1001] {
                            let data: Vec<u8> = (0..=250).cycle().take(length).collect();
                            let came = datagram(&network.client, &network.server, family, &data);
                            let what = || {
                                let mut text = format!("{hook}, {change}, {family:?}, {length}: ");
                                let log = logged(&state);
                                let _ = write!(text, "{log:?}");
                                text
                            };
                            assert!(
                                came.as_deref() == Some(&expected(&data)),
                                "{} {came:?}",
                                what()
                            );
                        }
                    }
                    state.close().expect("closes");
                }
            }
        }
    });
}

/// Ports are others on the way, and addresses: each end sees its own.
#[test]
fn translated_connections() {
    undisturbed(|| {
        let network = Network::router();
        let script = |outward: &str, from: u16, to: u16| {
            let (out, back) = if outward == "client" { (2, 0) } else { (0, 2) };
            format!(
            "local nf = require 'netfilter'
             local function translate(hook, at, from, to)
               nf.register{{family = 'inet', hook = hook, priority = 'raw', on_error = 'drop', function(pkt)
                 local off = pkt:transport_offset()
                 local version = pkt:u8(0) >> 4
                 local protocol = pkt:u8(version == 4 and 9 or 6)
                 if (protocol == 6 or protocol == 17) and pkt:u16(off + at) == from then
                   pkt:setu16(off + at, to)
                   -- and the address next to the one that is there, twice
                   local at = version == 4 and 15 or 23
                   pkt:setu8(at, pkt:u8(at) ~ 0x55) pkt:setu8(at, pkt:u8(at) ~ 0x55)
                   n = (n or 0) + 1
                 end
               end}}
             end
             translate('output', {out}, {from}, {to})
             translate('input', {back}, {to}, {from})"
        )
        };
        for offload in [true, false] {
            if !offload {
                network.client.without_offload();
                network.server.without_offload();
            }
            let client = network.client.netns.filter("nat");
            let server = network.server.netns.filter("nat");
            // On the way it is port 6000.
            lua(&client, &script("client", 5000, 6000));
            lua(&server, &script("server", 5000, 6000));
            network.middle().nft(
                "table inet t { chain c { type filter hook forward priority 0;
               tcp dport 5000 drop
               tcp sport 5000 drop
               udp dport 5000 drop
               udp sport 5000 drop
             }
             }",
            );
            for family in Family::ALL {
                let transfer = Transfer {
                    family,
                    bytes: by_kernel(4 << 20, 1 << 18),
                    ..Transfer::default()
                };
                let tcp = network.tcp(&transfer).expect("arrives");
                // Linux 6.1 does not cut datagrams for devices that compute no checksums.
                let segmented = Datagrams::Segmented(1400);
                let datagrams = match network.udp(&transfer, segmented) {
                    Err(Broken::Stopped { error, .. })
                        if !offload && error.raw_os_error() == Some(libc::EIO) =>
                    {
                        Datagrams::Single(1400)
                    }
                    _ => segmented,
                };
                let udp = network.udp(&transfer, datagrams).expect("arrives");
                tell!("translated, {family:?}, offload {offload}: TCP {tcp}; UDP {udp}");
            }
            for state in [client, server] {
                assert!(integer(&state, "return n") > 10);
                state.close().expect("closes");
            }
        }
    });
}

#[test]
fn packets_tell_of_themselves() {
    let network = Network::router();
    let state = network.middle().filter("look");
    lua(
        &state,
        "local nf = require 'netfilter'
         nf.register{family = 'inet', hook = 'forward', function(pkt)
           local off = pkt:transport_offset()
           if not off or pkt:u16(off + 2) ~= 4000 then return end
           seen = {
             len = #pkt, protocol = pkt:protocol(), indev = pkt:indev(), outdev = pkt:outdev(),
             network = pkt:network_offset(), transport = off, mac = pkt:mac_offset(),
             mark = pkt:mark(), data = pkt:string(off + 8), part = pkt:string(off + 9, 3),
             hash = math.type(pkt:hash()),
             ethertype = pkt:u16(-2), whole = #pkt:string(pkt:mac_offset()),
             text = tostring(pkt),
           }
           errors = {}
           for i, f in ipairs {
             function() return pkt:u8(#pkt) end, function() return pkt:u16(#pkt - 1) end,
             function() return pkt:u64(#pkt - 7) end, function() return pkt:u8(-15) end,
             function() return pkt:u32(-1 << 63) end, function() return pkt:u32((1 << 63) - 1) end,
             function() return pkt:string(0, #pkt + 1) end,
             function() return pkt:string(0, -1) end,
             function() pkt:setu8(#pkt, 1) end, function() pkt:setstring(#pkt - 2, 'xyz') end,
             function() pkt:setu8(0, 256) end, function() pkt:setu8(0, -129) end,
             function() pkt:trim(#pkt + 1) end, function() pkt:trim(-1) end,
             function() pkt:trim(0) end, function() pkt:trim(off - 1) end,
             function() pkt:append(('x'):rep(65536)) end,
             function() pkt:mark(-1) end, function() pkt:mark(1 << 32) end,
           } do
             local ok, why = pcall(f)
             errors[i] = ok and 'none' or why
           end
           kept = pkt
         end}",
    );
    for (family, network_header, ethertype) in [(Family::V4, 20, 0x800), (Family::V6, 40, 0x86dd)] {
        let came = datagram(&network.client, &network.server, family, b"hello");
        assert_eq!(came.as_deref(), Some(&b"hello"[..]));
        let transport = network_header;
        assert_eq!(
            string(
                &state,
                "local s = seen
                 return ('%d %d %s %s %d %d %d %d %s %s %s %s %d %d'):format(s.len, s.protocol,
                   s.indev, s.outdev, s.network, s.transport, s.mac, s.mark, s.data, s.part,
                   s.hash, s.text:match '^packet: ' or s.text, s.ethertype, s.whole)"
            ),
            format!(
                "{} {ethertype} left right 0 {transport} -14 0 hello ell integer packet:  {ethertype} {}",
                transport + 13,
                transport + 27
            )
        );
        holds(
            &state,
            "for _, e in ipairs(errors) do assert(e ~= 'none') end return #errors == 19",
        );
        let first = string(&state, "return errors[1]");
        let expected = format!("1 bytes at offset {0}, length {0}", transport + 13);
        assert!(first.contains(&expected), "{first}");
        for use_of_it in [
            "kept:u8(0)",
            "#kept",
            "kept:mark()",
            "kept:setu8(0, 1)",
            "kept:trim(1)",
        ] {
            let text = lua_error(&state, &format!("return {use_of_it}"), ErrorKind::Script);
            assert!(text.contains("outside its callback"), "{use_of_it}: {text}");
        }
    }
}

#[test]
fn packets_tell_when_they_came_and_of_which_flow_they_are() {
    let network = Network::router();
    let state = network.middle().filter("look");
    lua(
        &state,
        "local nf, linux = require 'netfilter', require 'linux'
         nf.register{family = 'inet', hook = 'forward', function(pkt)
           local off = pkt:transport_offset()
           if not off or pkt:u16(off + 2) ~= 4000 then return end
           local flow = pkt:u16(off)
           seen[flow] = (seen[flow] or '') .. pkt:hash() .. ' '
           time, hwtime, now = pkt:time(), pkt:hwtime(), linux.time()
         end}",
    );
    // As long as somebody in the machine asks for them, packets have the times when they came.
    let asking = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    setsockopt(&asking, ReceiveTimestampns, &true).expect("an option");
    for family in Family::ALL {
        let to = network.server.port(family, 4000);
        lua(&state, "seen = {}");
        let senders = [(); 4].map(|()| network.client.udp(family, 0));
        eventually("packets have times", || {
            let before = SystemTime::now();
            let before = before.duration_since(SystemTime::UNIX_EPOCH);
            let before = before.expect("since 1970").as_nanos();
            lua(&state, "time, now = nil, nil");
            senders[0].send_to(b"x", to).expect("sends");
            eventually("it comes", || lua(&state, "return now")[0] != Value::Nil);
            if lua(&state, "return time")[0] == Value::Nil {
                return false;
            }
            holds(
                &state,
                &format!("return {before} <= time and time <= now and hwtime == nil"),
            );
            true
        });
        lua(&state, "seen = {}");
        for sender in &senders {
            for _ in 0..3 {
                sender.send_to(b"x", to).expect("sends");
            }
        }
        // Flows may have the same hash by chance, but not all of them.
        lua(
            &state,
            "function told()
               local flows, packets, different, first = 0, 0, false, nil
               for _, hashes in pairs(seen) do
                 flows = flows + 1
                 for hash in hashes:gmatch '%d+' do
                   packets = packets + 1
                   assert(hashes:match '%d+' == hash, hashes)
                   assert(0 < tonumber(hash) and tonumber(hash) < 1 << 32)
                   first = first or hash
                   different = different or hash ~= first
                 end
               end
               return flows == 4 and packets == 12, different
             end",
        );
        eventually("all come", || {
            lua(&state, "return (told())")[0] == Value::Boolean(true)
        });
        holds(&state, "return select(2, told())");
    }
}

#[test]
fn packets_tell_what_they_will_be_cut_into() {
    let network = Network::direct();
    let state = network.server.netns.filter("sizes");
    lua(
        &state,
        "local nf = require 'netfilter'
         sizes = {}
         nf.register{family = 'inet', hook = 'input', function(pkt)
           local off, protocol = pkt:transport_offset()
           if protocol == 17 and pkt:u16(off + 2) == port then
             local size = pkt:gso_size() or 0
             sizes[size] = (sizes[size] or 0) + 1
             small = small or size > 0 and #pkt - off - 8 <= size
           end
         end}",
    );
    let mut port = 5000;
    for family in Family::ALL {
        // What was sent again may come late, when others are looked at.
        let mut send = |datagrams| {
            port += 1;
            lua(&state, &format!("sizes, port = {{}}, {port}"));
            let transfer = Transfer {
                family,
                port,
                bytes: 100_000,
                ..Transfer::default()
            };
            network.udp(&transfer, datagrams).expect("arrives");
        };
        send(Datagrams::Single(1000));
        holds(&state, "return next(sizes) == 0 and next(sizes, 0) == nil");
        send(Datagrams::Segmented(1000));
        holds(&state, "return sizes[1000] > 0 and not small");
    }
}
