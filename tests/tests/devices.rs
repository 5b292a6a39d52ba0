// SPDX-License-Identifier: MIT OR Apache-2.0
//! Netfilter hooks of one device, and what becomes of them when the device is
//! renamed, moved or deleted.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{Context, ErrorKind, Hook, HookKind, NetfilterFamily, NetfilterHook, State, Verdict};
use lunatik_tests::{
    Amounts, Family, Netns, Network, Over, Queue, SOON, by_kernel, eventually, holds, integer, lua,
    lua_error, none_was_missed, run, run_with, string, tell, undisturbed,
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(700);

/// A state of one replica or of one for each CPU, with the longest time that there is.
fn filter(netns: &Netns, name: &str, percpu: bool) -> State {
    let session = netns.session();
    let longest = session.info().expect("info").max_softirq_timeout;
    let new = session.new_state(name).context(Context::Softirq);
    let state = new.percpu(percpu).timeout(longest).create();
    state.expect("a state")
}

fn hooks(state: &State) -> Vec<Hook> {
    state.description().expect("a description").hooks
}

/// A hook of the device `eth0` that counts echo requests in `n` and does `body` with them.
fn on_ping(netns: &Netns, family: &str, body: &str) -> State {
    let state = netns.filter("ping");
    lua(
        &state,
        &format!(
            "nf = require 'netfilter'
             n = 0
             hook = nf.register{{family = '{family}', hook = 'ingress', dev = 'eth0', function(pkt)
               local off, protocol = pkt:transport_offset()
               if protocol == 1 and pkt:u8(off) == 8 or protocol == 58 and pkt:u8(off) == 128 then
                 n = n + 1
                 {body}
               end
             end}}"
        ),
    );
    state
}

/// Whether a ping comes back.
fn reaches(network: &Network, patience: Duration) -> bool {
    let to = network.server.address(Family::V4);
    network.client.ping(to, 1, 56, patience) == 1
}

#[test]
fn packets_meet_the_hooks_of_the_device_that_they_come_by() {
    let network = Network::router();
    let state = network.middle().filter("look");
    lua(
        &state,
        "local nf = require 'netfilter'
         seen, others = {}, 0
         for _, dev in ipairs {'left', 'right', 'lo'} do
           seen[dev] = 0
           nf.register{family = 'inet', hook = 'ingress', dev = dev, function(pkt)
             local version = pkt:u8(0) >> 4
             local ethertype = version == 4 and 0x800 or 0x86dd
             assert(pkt:indev() == dev and pkt:outdev() == nil)
             assert(pkt:protocol() == ethertype and pkt:u16(-2) == ethertype)
             assert(pkt:mac_offset() == -14 and pkt:network_offset() == 0)
             local off, protocol = pkt:transport_offset()
             local kind = pkt:u8(off)
             if protocol == 1 and kind & 0xf7 == 0 or protocol == 58 and kind & 0xfe == 128 then
               seen[dev] = seen[dev] + 1
             end
           end}
         end",
    );
    for family in Family::ALL {
        let to = network.server.address(family);
        assert_eq!(network.client.ping(to, 5, 56, 3 * SOON), 5);
        // Requests from the left, replies from the right
        holds(
            &state,
            "local s = seen return s.left == 5 and s.right == 5 and s.lo == 0",
        );
        lua(&state, "seen.left, seen.right = 0, 0");
    }
    for hook in hooks(&state) {
        assert_eq!((hook.errors, hook.missed), (0, 0), "{hook:?}");
    }
}

/// Both ways, ARP included; offset 0 is the network header there, too.
#[test]
fn everything_that_a_device_receives_and_sends_meets_its_hooks() {
    let network = Network::direct();
    let netns = &network.server.netns;
    let state = netns.filter("look");
    lua(
        &state,
        "local nf = require 'netfilter'
         seen = {}
         for _, hook in ipairs {'ingress', 'egress'} do
           nf.register{family = 'netdev', hook = hook, dev = 'eth0', on_error = 'drop', function(pkt)
             assert(pkt:indev() == (hook == 'ingress' and 'eth0' or nil))
             assert(pkt:outdev() == (hook == 'egress' and 'eth0' or nil))
             assert(pkt:mac_offset() == -14 and pkt:network_offset() == 0)
             assert(pkt:u16(-2) == pkt:protocol())
             local what = ('%s %x'):format(hook, pkt:protocol())
             if pkt:protocol() ~= 0x806 then
               local off, protocol = pkt:transport_offset()
               what = what .. ' ' .. protocol .. ' ' .. pkt:u8(off)
             end
             seen[what] = (seen[what] or 0) + 1
             if what == dropped then return nf.DROP end
           end}
         end",
    );
    let shown = hooks(&state);
    for (hook, place) in shown
        .iter()
        .zip([NetfilterHook::Ingress, NetfilterHook::Egress])
    {
        assert_eq!(hook.dev.as_deref(), Some("eth0"));
        assert_eq!(
            hook.kind,
            HookKind::Netfilter {
                family: NetfilterFamily::Netdev,
                hook: place,
                priority: 0,
            }
        );
    }
    netns.ip("neigh flush all").success();
    network.client.netns.ip("neigh flush all").success();
    for (family, request, reply) in [
        (Family::V4, "800 1 8", "800 1 0"),
        (Family::V6, "86dd 58 128", "86dd 58 129"),
    ] {
        let to = network.server.address(family);
        assert_eq!(network.client.ping(to, 3, 56, 3 * SOON), 3);
        holds(
            &state,
            &format!("return seen['ingress {request}'] == 3 and seen['egress {reply}'] == 3"),
        );
        for dropped in [format!("ingress {request}"), format!("egress {reply}")] {
            lua(&state, &format!("dropped = '{dropped}'"));
            assert_eq!(network.client.ping(to, 1, 56, SHORT), 0, "{dropped}");
        }
    }
    holds(
        &state,
        "return seen['ingress 806'] > 0 and seen['egress 806'] > 0",
    );
    for hook in hooks(&state) {
        assert_eq!(hook.errors, 0, "{hook:?}");
    }
}

#[test]
fn what_comes_by_a_device_is_accepted_or_dropped() {
    let network = Network::direct();
    // The same device of another namespace is another one.
    let other = Network::direct();
    let state = on_ping(&network.server.netns, "inet", "return verdict");
    let given = |verdict| {
        let verdicts = hooks(&state).remove(0).verdicts;
        let found = verdicts.iter().find(|(given, _)| *given == verdict);
        found.map_or(0, |(_, count)| *count)
    };
    for family in Family::ALL {
        let to = network.server.address(family);
        let ping = |count, patience| network.client.ping(to, count, 56, patience);
        lua(&state, "n = 0 verdict = nil");
        assert_eq!(ping(3, 3 * SOON), 3);
        lua(&state, "verdict = nf.ACCEPT");
        assert_eq!(ping(3, 3 * SOON), 3);
        lua(&state, "verdict = nf.DROP");
        let dropped = given(Verdict::Drop);
        assert_eq!(ping(3, SHORT), 0);
        assert_eq!(given(Verdict::Drop), dropped + 3);
        assert_eq!(integer(&state, "return n"), 9);
        assert_eq!(
            other
                .client
                .ping(other.server.address(family), 3, 56, 3 * SOON),
            3
        );
    }
    assert_eq!(hooks(&state)[0].errors, 0);
    // There is no way back from a queue: that is no verdict here.
    let queue = Queue::bind(&network.server.netns, 1);
    for (count, verdict) in [(1, "nf.queue(1)"), (2, "nf.queue(1, true)")] {
        lua(&state, &format!("verdict = {verdict}"));
        assert!(reaches(&network, 3 * SOON));
        assert_eq!(hooks(&state)[0].errors, count);
    }
    assert_eq!(queue.next(Duration::from_millis(10)), None);
}

#[test]
fn a_hook_of_a_device_shows_which() {
    let network = Network::direct();
    let netns = &network.server.netns;
    let state = on_ping(netns, "inet", "");
    let shown = hooks(&state).remove(0);
    assert_eq!(
        shown.kind,
        HookKind::Netfilter {
            family: NetfilterFamily::Inet,
            hook: NetfilterHook::Ingress,
            priority: 0,
        }
    );
    assert_eq!(shown.dev.as_deref(), Some("eth0"));
    assert_eq!(
        netns.ctl(&["-j", "show", "ping"]).json()["hooks"][0]["dev"],
        "eth0"
    );
    let text = netns.ctl(&["show", "ping"]);
    let row = text.success().lines().last().expect("a row");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells[..4], ["inet", "ingress", "eth0", "0"], "{text:?}");
    let output = netns.lua("print(require 'lunatik'.getstate 'ping':hooks()[1].dev)");
    assert_eq!(output.success(), "eth0\n");
    assert_eq!(
        string(&state, "return tostring(hook)"),
        "hook (inet ingress eth0)"
    );
    // Errors tell it, too.
    lua(
        &state,
        "nf.register{family = 'inet', hook = 'ingress', dev = 'eth0', priority = 1,
           function() error 'no' end}",
    );
    assert!(reaches(&network, 3 * SOON));
    eventually("a line", || {
        let lines = state.log(None).expect("a log").lines;
        let mut texts = lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.text).into_owned());
        texts.any(|text| text.starts_with("inet ingress eth0: ") && text.contains("no"))
    });
}

/// The last in nft's order, and those of one place by their priorities.
#[test]
fn hooks_of_a_device_have_priorities() {
    let network = Network::direct();
    let state = network.server.netns.filter("order");
    lua(
        &state,
        "local nf = require 'netfilter'
         order = {}
         local function add(hook, dev, priority)
           nf.register{family = 'inet', hook = hook, dev = dev, priority = priority, function(pkt)
             local off, protocol = pkt:transport_offset()
             if protocol == 1 then order[#order + 1] = ('%s %s'):format(hook, priority) end
           end}
         end
         add('prerouting', nil, 'raw') add('ingress', 'eth0', 5) add('ingress', 'eth0', 'raw')
         add('ingress', 'eth0', 'filter')",
    );
    assert!(reaches(&network, 3 * SOON));
    assert_eq!(
        string(&state, "return table.concat(order, ', ')"),
        "ingress raw, ingress filter, ingress 5, prerouting raw"
    );
}

#[test]
fn errors_about_devices_are_named() {
    let netns = Netns::new();
    let state = netns.filter("a");
    lua(&state, "nf = require 'netfilter' f = function() end");
    for (arguments, named) in [
        ("hook = 'ingress'", "'dev' is missing"),
        ("hook = 'ingress', dev = 'veth9'", "no such device"),
        ("hook = 'ingress', dev = 'lo\\0'", "no name of a device"),
        ("hook = 'ingress', dev = ''", "no name of a device"),
        (
            "hook = 'ingress', dev = ('x'):rep(1000)",
            "no name of a device",
        ),
        ("hook = 'ingress', dev = 1", "must be a name, not a number"),
        ("hook = 'ingress', dev = {}", "must be a name, not a table"),
        ("hook = 'input', dev = 'lo'", "hook 'input' is of no device"),
        ("hook = 'ingres'", "none of prerouting, input"),
        ("hook = 'egress', dev = 'lo'", "'egress' is none of"),
    ] {
        let code = format!("nf.register{{family = 'inet', {arguments}, f}}");
        let text = lua_error(&state, &code, ErrorKind::Script);
        assert!(text.contains(named), "{arguments}: {text}");
    }
    for family in ["ipv4", "ipv6", "arp", "bridge"] {
        let code = format!("nf.register{{family = '{family}', hook = 'ingress', dev = 'lo', f}}");
        let text = lua_error(&state, &code, ErrorKind::Script);
        assert!(text.contains("'ingress' is none of"), "{text}");
    }
    assert_eq!(hooks(&state), []);
    lua(
        &state,
        "nf.register{family = 'inet', hook = 'ingress', dev = 'lo', f}",
    );
    // A device of another namespace is none.
    let other = Netns::new();
    other.ip("link add there type dummy").success();
    let text = lua_error(
        &state,
        "nf.register{family = 'inet', hook = 'ingress', dev = 'there', f}",
        ErrorKind::Script,
    );
    assert!(text.contains("no such device"), "{text}");
}

#[test]
fn a_hook_stays_with_a_device_that_is_renamed() {
    let network = Network::direct();
    let netns = &network.server.netns;
    let state = on_ping(netns, "inet", "if dropping then return nf.DROP end");
    assert!(reaches(&network, 3 * SOON));
    netns
        .ip("link property add dev eth0 altname another")
        .success();
    netns.ip("link set eth0 down").success();
    netns.ip("link set eth0 name wan0").success();
    netns.ip("link set wan0 up").success();
    eventually("the device is up", || reaches(&network, SHORT));
    lua(&state, "dropping = true");
    assert!(!reaches(&network, SHORT));
    assert_eq!(hooks(&state)[0].dev.as_deref(), Some("wan0"));
    let register = "h = nf.register{family = 'inet', hook = 'ingress', dev = NAME, print}";
    lua_error(
        &state,
        &register.replace("NAME", "'eth0'"),
        ErrorKind::Script,
    );
    for name in ["'wan0'", "'another'"] {
        lua(&state, &register.replace("NAME", name));
        assert_eq!(hooks(&state)[1].dev.as_deref(), Some("wan0"));
        lua(&state, "h:unregister()");
    }
    lua(&state, "hook:unregister()");
    assert!(reaches(&network, 3 * SOON));
    assert_eq!(hooks(&state), []);
}

/// A state of that many replicas, with hooks of two devices and one of none.
fn with_hooks(netns: &Netns, percpu: bool) -> State {
    netns.ip("link add d0 type dummy").success();
    let state = filter(netns, "a", percpu);
    lua(
        &state,
        "nf = require 'netfilter'
         kept = setmetatable({}, {__mode = 'k'})
         function add(hook, dev)
           local t = {}
           kept[t] = true
           return nf.register{family = 'inet', hook = hook, dev = dev, function() return t and nil end}
         end
         first, second, lo, input = add('ingress', 'd0'), add('ingress', 'd0'), add('ingress', 'lo'), add 'input'",
    );
    assert_eq!(hooks(&state).len(), 4);
    state
}

fn are_gone(state: &State, left: usize) {
    eventually("the device's hooks are gone", || hooks(state).len() == left);
    assert_eq!(
        string(state, "return tostring(first) .. tostring(second)"),
        "hook (inet ingress d0, unregistered)".repeat(2)
    );
    // Their functions are garbage.
    eventually("the functions are gone", || {
        let count = "collectgarbage() local n = 0 for _ in pairs(kept) do n = n + 1 end return n";
        integer(state, count) == i64::try_from(left).expect("few")
    });
}

#[test]
fn hooks_go_with_their_device() {
    for percpu in [false, true] {
        let netns = Netns::new();
        let state = with_hooks(&netns, percpu);
        lua(&state, "collectgarbage()");
        let before = state.description().expect("a description");
        netns.ip("link delete d0").success();
        are_gone(&state, 2);
        let after = state.description().expect("a description");
        let bytes = [before, after].map(|state| state.curr_alloc);
        assert!(bytes[1] < bytes[0], "{bytes:?}");
        // Others are in their places now, which the old handles do not know.
        lua(&state, "third, fourth = add 'output', add 'forward'");
        lua(
            &state,
            "first:unregister() second:unregister() first:unregister()",
        );
        assert_eq!(hooks(&state).len(), 4);
        // One of the same name is another one.
        netns.ip("link add d0 type dummy").success();
        assert_eq!(hooks(&state).len(), 4);
        lua(&state, "fifth = add('ingress', 'd0')");
        assert_eq!(hooks(&state).len(), 5);
        lua(&state, "lo:unregister() input:unregister()");
        assert_eq!(hooks(&state).len(), 3);
        netns.ip("link delete d0").success();
        eventually("the hook is gone", || hooks(&state).len() == 2);
        state.close().expect("closes");
    }
}

#[test]
fn hooks_do_not_follow_their_device_to_another_namespace() {
    let netns = Netns::new();
    let other = Netns::new();
    let state = with_hooks(&netns, false);
    let there = other.filter("there");
    netns
        .ip(&format!("link set d0 netns {}", other.name()))
        .success();
    are_gone(&state, 2);
    lua(
        &there,
        "h = require 'netfilter'.register{family = 'inet', hook = 'ingress', dev = 'd0', print}",
    );
    assert_eq!(hooks(&there)[0].dev.as_deref(), Some("d0"));
    other
        .ip(&format!("link set d0 netns {}", netns.name()))
        .success();
    eventually("the other's hook is gone", || hooks(&there).is_empty());
    lua(&there, "h:unregister()");
    // What comes back does not bring them along.
    assert_eq!(hooks(&state).len(), 2);
    lua(&state, "first:unregister() first = add('ingress', 'd0')");
    assert_eq!(hooks(&state).len(), 3);
    // A device of a namespace that ends goes, too; nobody waits for it.
    drop(there);
    netns.delete();
}

#[test]
fn a_moved_device_drops_nothing_any_more() {
    let network = Network::direct();
    let state = on_ping(&network.server.netns, "inet", "return nf.DROP");
    assert!(!reaches(&network, SHORT));
    let server = &network.server;
    let other = Netns::new();
    server
        .netns
        .ip(&format!("link set eth0 netns {}", other.name()))
        .success();
    let address = server.address(Family::V4);
    other
        .ip(&format!("addr add {address}/24 dev eth0"))
        .success();
    other.ip("link set eth0 up").success();
    eventually("the device is up", || reaches(&network, SHORT));
    eventually("the hook is gone", || hooks(&state).is_empty());
    holds(
        &state,
        "return tostring(hook) == 'hook (inet ingress eth0, unregistered)'",
    );
}

/// Everything that arrives comes by it.
#[test]
fn everything_arrives_through_hooks_of_devices() {
    undisturbed(|| {
        let network = Network::router();
        let states = [&network.client.netns, &network.server.netns].map(|netns| {
        let state = netns.filter("look");
        lua(
            &state,
            "local nf = require 'netfilter'
             for _, hook in ipairs {'ingress', 'egress'} do
               nf.register{family = 'netdev', hook = hook, dev = 'eth0', on_error = 'drop', function(pkt)
                 local off = pkt:transport_offset()
                 if off and #pkt >= off + 4 and pkt:u16(off + 2) == 9999 then return nf.DROP end
                 -- Writes that change nothing but make the packet this one's own
                 pkt:setu8(0, pkt:u8(0)) pkt:setu8(#pkt - 1, pkt:u8(#pkt - 1))
               end}
             end",
        );
        state
    });
        let amounts = Amounts {
            tcp: by_kernel(16 << 20, 1 << 19),
            aggregated: by_kernel(4 << 20, 1 << 18),
            single: by_kernel(4 << 20, 1 << 18),
        };
        network.everything_arrives("through hooks of devices", amounts);
        network.nobody_answers(9999);
        for state in &states {
            none_was_missed(state);
        }
    });
}

/// Registers hooks of the devices that there are, and unregisters older ones.
const REGISTER: &str = "for _, dev in ipairs {'d0', 'd1', 'd2'} do
    for _, hook in ipairs {'ingress', 'egress', 'ingress'} do
      local ok, h = pcall(nf.register, {family = 'netdev', hook = hook, dev = dev,
        function() n = (n or 0) + 1 end})
      assert(ok or h:find 'no such device', h)
      if ok then hooks[#hooks + 1] = h made = made + 1 end
    end
  end
  while #hooks > 4 do table.remove(hooks, 1):unregister() end";

/// Makes a state, lets it register hooks, and closes it; how many hooks, and how many
/// scripts were too slow, as they are where others have the CPU.
fn register_and_close(netns: &Netns, percpu: bool, unregister: bool) -> (i64, u32) {
    let state = filter(netns, &format!("state-{percpu}"), percpu);
    lua(&state, "nf = require 'netfilter' hooks, made = {}, 0");
    let mut slow = 0;
    for _ in 0..20 {
        match state.do_string(REGISTER) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Deadline => slow += 1,
            Err(error) => panic!("{error}"),
        }
        let listed = hooks(&state);
        assert!(listed.iter().all(|hook| hook.dev.is_some()), "{listed:?}");
    }
    let made = integer(&state, "return made");
    if unregister {
        lua(&state, "for _, h in ipairs(hooks) do h:unregister() end");
        // One that was too slow may have a hook without a handle.
        assert!(slow > 0 || hooks(&state).is_empty());
    }
    state.close().expect("closes");
    (made, slow)
}

/// Devices come and go, get other names and namespaces, while scripts register hooks
/// of them, and states with such hooks are closed.
#[test]
fn devices_and_hooks_come_and_go_at_once() {
    let [netns, other] = [Netns::new(), Netns::new()];
    let lines = format!(
        "link add d0 up type veth peer name d1
         link set d1 up
         link delete d0
         link add d0 up type veth peer name d1
         link set d1 up
         link set d1 netns {}
         link delete d0
         link add d0 up type veth peer name d1
         link set d1 name d2
         link set d2 up
         link delete d0
        ",
        other.name()
    );
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Over(&over);
        let registering = [false, true].map(|percpu| {
            let (netns, over) = (&netns, &over);
            scope.spawn(move || {
                let (mut states, mut made, mut slow) = (0, 0, 0);
                while !over.load(Relaxed) {
                    let more = register_and_close(netns, percpu, states % 2 == 0);
                    (made, slow) = (made + more.0, slow + more.1);
                    states += 1;
                }
                (states, made, slow)
            })
        });
        let mut batch = Command::new("ip");
        batch.args(["-n", netns.name(), "-batch", "-"]);
        let start = Instant::now();
        let mut devices = 0;
        while start.elapsed() < by_kernel(Duration::from_secs(8), Duration::from_secs(10)) {
            run_with(&mut batch, lines.as_bytes()).success();
            devices += 3;
        }
        drop(end);
        for thread in registering {
            let (states, made, slow) = thread.join().expect("no failure");
            tell!("{devices} devices; {states} states, {made} hooks, {slow} scripts too slow");
            assert!(made > 0);
        }
    });
    // Nothing holds a device: the kernel would wait for it here.
    other.delete();
    netns.delete();
    let messages = run(&mut Command::new("dmesg"));
    assert!(
        !messages
            .success()
            .contains("unregister_netdevice: waiting for d"),
        "{messages:?}"
    );
}
