// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several states on the same traffic, in one namespace and in several: each sees what it
//! is to see, each decides, and all of them count.

use std::{thread, time::Duration};

use lunatik::{Hook, State, Verdict};
use lunatik_tests::{
    Datagrams, Family, Netns, Network, Transfer, bpf::kfuncs, by_kernel, eventually, hooks_worked,
    integer, lua,
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(700);

/// `rule` gives a function that counts packets by their port of 7000 to 7003 in `n[name]`
/// and drops those of `mine`. What goes on, `leave` is called for, with the offset of the
/// network header.
const RULE: &str = "
    n = n or {}
    xdp, tc, nf = require 'xdp', require 'tc', require 'netfilter'
    function rule(name, mine, drop, leave)
      local count = {[7000] = 0, [7001] = 0, [7002] = 0, [7003] = 0}
      n[name] = count
      return function(pkt)
        local off, protocol = pkt:transport_offset()
        if protocol ~= 6 and protocol ~= 17 then return end
        local port = pkt:u16(off + 2)
        if not count[port] then return end
        count[port] = count[port] + 1
        if port == mine then return drop end
        return leave and leave(pkt, pkt:network_offset())
      end
    end
    ";

fn state(netns: &Netns, name: &str, code: &str) -> State {
    let state = netns.filter(name);
    lua(&state, &format!("{RULE}{code}"));
    state
}

/// How many packets of a port a rule has seen.
fn seen(state: &State, rule: &str, port: u16) -> u64 {
    let seen = integer(state, &format!("return n.{rule}[{port}]"));
    seen.try_into().expect("a count")
}

/// The sum of something over the hooks of a state.
fn sum(state: &State, of: impl Fn(&Hook) -> u64) -> u64 {
    let hooks = state.description().expect("a description").hooks;
    hooks.iter().map(of).sum()
}

/// How many packets its hooks had no time for.
fn beyond(state: &State) -> u64 {
    sum(state, |hook| hook.errors + hook.missed)
}

fn to(family: Family, port: u16) -> Transfer {
    Transfer {
        family,
        port,
        bytes: by_kernel(1 << 20, 1 << 18),
        ..Transfer::default()
    }
}

/// Data for a port arrives, over TCP and UDP.
fn arrives(network: &Network, family: Family, port: u16) {
    let transfer = to(family, port);
    let tcp = network.tcp(&transfer).expect("arrives");
    assert_eq!(tcp.bytes, transfer.bytes);
    let datagrams = Datagrams::Segmented(1400);
    let udp = network.udp(&transfer, datagrams).expect("arrives");
    assert_eq!(udp.bytes, transfer.bytes);
}

/// None does.
fn is_dropped(network: &Network, family: Family, port: u16) {
    let transfer = Transfer {
        patience: SHORT,
        ..to(family, port)
    };
    let error = network.tcp(&transfer).unwrap_err();
    assert!(error.is_silence(), "{port}: {error:?}");
    let single = Datagrams::Single(1000);
    let error = network.udp(&transfer, single).unwrap_err();
    assert!(error.is_silence(), "{port}: {error:?}");
}

/// All ports at once.
fn each_port(network: &Network, family: Family, dropped: &[u16]) {
    thread::scope(|scope| {
        for port in 7000..=7003 {
            scope.spawn(move || {
                if dropped.contains(&port) {
                    is_dropped(network, family, port);
                } else {
                    arrives(network, family, port);
                }
            });
        }
    });
}

#[test]
fn two_states_at_one_hook() {
    let network = Network::direct();
    let netns = &network.server.netns;
    // The second is there before the first.
    let rules = [("second", 10, 7002, 1), ("first", -10, 7001, 0)];
    let [second, first] = rules.map(|(name, priority, mine, mark)| {
        let code = format!(
            "nf.register{{family = 'inet', hook = 'input', priority = {priority}, on_error = 'drop',
               rule('input', {mine}, nf.DROP, function(pkt)
                 if pkt:mark() ~= {mark} then unlike = true end
                 pkt:mark({mark} + 1)
               end)}}"
        );
        state(netns, name, &code)
    });
    let drops = |hook: &Hook| {
        let drops =
            |(verdict, count): &(Verdict, u64)| (*verdict == Verdict::Drop).then_some(*count);
        hook.verdicts.iter().filter_map(drops).sum()
    };
    let met = |state| sum(state, |hook| hook.calls + hook.missed);
    // What the first lets go, the second gets, and nothing else.
    let add_up = || met(&first) - sum(&first, drops) - beyond(&first) == met(&second);
    for family in Family::ALL {
        each_port(&network, family, &[7001, 7002]);
        eventually("the figures are those of all packets", add_up);
        assert_eq!(seen(&second, "input", 7001), 0);
        for port in [7000, 7002, 7003] {
            assert!(seen(&first, "input", port) > 0 && seen(&second, "input", port) > 0);
        }
    }
    for state in [&first, &second] {
        assert!(sum(state, drops) > 0);
        assert_eq!(lua(state, "return unlike"), [lunatik::Value::Nil]);
        hooks_worked(state);
    }
    // One goes on without the other.
    first.close().expect("closes");
    lua(&second, "unlike = nil");
    each_port(&network, Family::V4, &[7002]);
    assert!(seen(&second, "input", 7001) > 0);
}

/// XDP comes first, then TC, then netfilter; what one does to a packet, the next sees.
#[test]
fn netfilter_tc_and_xdp_on_one_device() {
    if !kfuncs() {
        return;
    }
    let xdp = "xdp.register(rule('xdp', 7001, xdp.DROP, function(pkt, ip)
                 if pkt:protocol() == 0x800 then pkt:setu8(ip + 1, 0x20) end
               end))";
    let tc = "tc.register(rule('tc', 7002, tc.SHOT, function(pkt) pkt:mark(7) end))";
    let nf = "unlike = 0
              nf.register{family = 'inet', hook = 'input', on_error = 'drop',
                rule('nf', 7003, nf.DROP, function(pkt)
                  local is_v4 = pkt:u8(0) >> 4 == 4
                  if pkt:mark() ~= 7 or is_v4 and pkt:u8(1) ~= 0x20 then unlike = unlike + 1 end
                end)}";
    for (mode, one_state) in [("native", false), ("generic", false), ("native", true)] {
        let network = Network::direct();
        let netns = &network.server.netns;
        let states = if one_state {
            vec![state(netns, "all", &[xdp, tc, nf].join("\n"))]
        } else {
            [("x", xdp), ("t", tc), ("f", nf)]
                .map(|(name, code)| state(netns, name, code))
                .into()
        };
        let [x, t, f] = [0, 1, 2].map(|n| states.get(n).unwrap_or(&states[0]));
        let name = |state: &State| state.snapshot().expect("a description").name.clone();
        let device = ["--dev", "eth0"];
        for arguments in [
            &["xdp", "attach", &name(x), "--mode", mode][..],
            &["tc", "attach", &name(t), "ingress"],
        ] {
            netns.ctl(&[arguments, &device].concat()).success();
        }
        for family in Family::ALL {
            each_port(&network, family, &[7001, 7002, 7003]);
        }
        let beyond: u64 = states.iter().map(beyond).sum();
        for (state, rule, first) in [(x, "xdp", 7001), (t, "tc", 7002), (f, "nf", 7003)] {
            for port in 7000..=7003 {
                let seen = seen(state, rule, port);
                if port == 7000 || port >= first {
                    assert!(seen > 0, "{mode}, {rule}: {port}");
                } else {
                    assert!(seen <= beyond, "{mode}, {rule}: {seen} of {port}");
                }
            }
            hooks_worked(state);
        }
        let unlike = integer(f, "return unlike");
        assert!(unlike <= beyond.cast_signed(), "{mode}: {unlike}");
    }
}

/// Each namespace's own rule decides about its traffic, and counts that alone.
#[test]
fn the_same_rule_in_two_namespaces() {
    let networks = [(); 3].map(|()| Network::direct());
    let bpf = kfuncs();
    let rules = |network: &Network| {
        let netns = &network.server.netns;
        let state = state(
            netns,
            "fw",
            "xdp.register(rule('xdp', 7001, xdp.DROP))
             tc.register(rule('tc', 7002, tc.SHOT))
             nf.register{family = 'inet', hook = 'input', on_error = 'drop',
               rule('nf', 7003, nf.DROP)}",
        );
        for arguments in [
            ["xdp", "attach", "fw"].as_slice(),
            &["tc", "attach", "fw", "ingress"],
        ] {
            if bpf {
                netns
                    .ctl(&[arguments, &["--dev", "eth0"]].concat())
                    .success();
            }
        }
        state
    };
    let [one, two] = [&networks[0], &networks[1]].map(rules);
    let dropped: &[u16] = if bpf { &[7001, 7002, 7003] } else { &[7003] };
    each_port(&networks[0], Family::V4, dropped);
    let total = |state: &State| {
        let sum = "local sum = 0
                   for _, count in pairs(n) do for _, c in pairs(count) do sum = sum + c end end
                   return sum";
        integer(state, sum)
    };
    assert_eq!(total(&two), 0);
    assert!(total(&one) > 0);
    // In both at once, and in one without
    thread::scope(|scope| {
        for (network, dropped) in networks.iter().zip([dropped, dropped, &[]]) {
            scope.spawn(move || each_port(network, Family::V6, dropped));
        }
    });
    assert!(total(&two) > 0);
    one.close().expect("closes");
    let before = total(&two);
    thread::scope(|scope| {
        scope.spawn(|| each_port(&networks[0], Family::V4, &[]));
        scope.spawn(|| each_port(&networks[1], Family::V4, dropped));
    });
    assert!(total(&two) > before);
    hooks_worked(&two);
}
