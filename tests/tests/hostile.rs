// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs that do to a packet what programs may, called by a script that does what
//! scripts may, for a caller that goes on with the packet as it was. Where the kernel
//! has no kfuncs, but checks each access to memory, the probe is the caller.

use std::fs;

use lunatik::State;
use lunatik_tests::{
    Asker, Netns, Packet,
    bpf::{HOSTILE, MORE, Pins},
    by_kernel, eventually, holds, integer, lua, run, string, tell,
};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

const XDP: &[&str] = &[
    "xdp_head",
    "xdp_tail",
    "xdp_meta",
    "xdp_write",
    "xdp_away",
    "xdp_tails",
];
const TC: &[&str] = &[
    "tc_tail",
    "tc_head",
    "tc_room",
    "tc_room_net",
    "tc_pull",
    "tc_vlan",
    "tc_proto",
    "tc_store",
    "tc_write",
    "tc_clone",
    "tc_away",
    "tc_tails",
];

/// Passes a packet of random shape to the state, if its function has time for it.
fn pass(asker: &Asker, state: u32, random: &mut Pcg32) {
    let mut below = |n: u32| random.next_u32() % n;
    let length = 15 + below(1400);
    let mut bytes: Vec<u8> = (0..length).map(|_| below(256).to_le_bytes()[0]).collect();
    // IPv4 or IPv6, mostly
    bytes[12..14].copy_from_slice([&[8, 0], &[8, 0], &[0x86, 0xdd], &[8, 6]][below(4) as usize]);
    bytes[14] = if bytes[12] == 8 { 0x45 } else { 0x60 };
    let packet = Packet {
        bytes: &bytes,
        linear: if below(2) == 0 {
            length
        } else {
            14 + below(length)
        },
        cloned: below(4) == 0,
    };
    let passed = asker.pass(state, &packet);
    // The kernel refuses to run a program on some that are short.
    assert!(by_kernel(true, passed.is_ok()), "{passed:?}");
}

fn id(state: &State) -> u32 {
    state.snapshot().expect("a description").id
}

/// A namespace with programs, and a state that may call them.
fn scene() -> (Netns, State, Pins) {
    let netns = Netns::new();
    run(netns.command("ip").args(["link", "set", "lo", "up"])).success();
    let pins = Pins::new();
    pins.load(HOSTILE);
    pins.link("xdp_next", "xdp_tails");
    pins.link("tc_next", "tc_tails");
    let state = netns.filter("a");
    if by_kernel(true, false) {
        pins.load(MORE);
        pins.set("asked", id(&state));
    }
    let list = |names: &[&str]| -> String {
        let one = |name: &&str| format!("bpf.prog '{}', ", pins.path(name));
        names.iter().map(one).collect()
    };
    lua(
        &state,
        &format!(
            "bpf, xdp, tc = require 'bpf', require 'xdp', require 'tc'
             programs = {{xdp = {{{}}}, tc = {{{}}}}}
             notes = bpf.map('{}', '=I4', '=I8')",
            list(XDP),
            list(TC),
            pins.path("notes")
        ),
    );
    (netns, state, pins)
}

#[test]
fn packets_survive_what_programs_and_scripts_do() {
    let (netns, state, pins) = scene();
    lua(
        &state,
        "calls, ran = 0, {}
         local random = math.random
         local acts = {
           function(pkt) return pkt:string() end,
           function(pkt) pkt:setu8(random(0, #pkt), random(255)) end,
           function(pkt) pkt:setu32(random(0, #pkt), random(1 << 31)) end,
           function(pkt) pkt:setstring(random(0, 20), ('x'):rep(random(64))) end,
           function(pkt) pkt:trim(random(0, #pkt)) end,
           function(pkt) pkt:append(('y'):rep(random(300))) end,
           function(pkt) return pkt:network_offset(), pkt:transport_offset(), pkt:protocol() end,
           function(pkt) return pkt:hash(), pkt:mark(random(1000)), pkt:gso_size(), pkt:time() end,
           function(pkt) notes:update(random(64), random(1000)) end,
           function(pkt) for k, v in notes:pairs() do notes:delete(k) end end,
         }
         local function hostile(kind)
           local programs = programs[kind]
           return function(pkt)
             calls = calls + 1
             for i = 1, random(12) do
               local n = random(#programs)
               if random(3) == 1 then
                 pcall(acts[random(#acts)], pkt)
               elseif pcall(programs[n], pkt) then
                 ran[kind .. n] = true
               end
             end
             return random(0, 4)
           end
         end
         xdp.register(hostile 'xdp')
         tc.register(hostile 'tc')",
    );
    let rounds = by_kernel(2000, 400);
    for xdp in [true, false] {
        lua(&state, "calls = 0");
        let asker = Asker::new(&pins, xdp);
        netns.within(|| {
            let mut random = Pcg32::seed_from_u64(1);
            for _ in 0..rounds {
                pass(&asker, id(&state), &mut random);
            }
        });
        let calls = integer(&state, "return calls");
        assert!(calls > rounds / 4, "{calls} calls");
        let (kind, programs) = if xdp { ("xdp", XDP) } else { ("tc", TC) };
        for (n, name) in (1..).zip(programs) {
            let ran = string(&state, &format!("return tostring(ran.{kind}{n})")) == "true";
            assert!(ran, "{name} never ran");
        }
    }
    let hooks = state.description().expect("a description").hooks;
    assert!(
        hooks.iter().all(|hook| hook.errors == hook.deadline_kills),
        "{hooks:?}"
    );
    holds(&state, "return collectgarbage() == 0");
}

/// Kilobytes of the kernel's that nothing but their owners can free.
fn slab() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").expect("figures");
    let line = text.lines().find(|line| line.starts_with("SUnreclaim:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("a figure").parse().expect("a number")
}

/// Where they were first has to stay as long as the callback lasts, and only that.
#[test]
fn bytes_that_move_again_and_again_fill_no_memory() {
    let (netns, state, pins) = scene();
    if by_kernel(false, true) {
        tell!("skipped: what is freed here stays for the checkers");
        return;
    }
    lua(
        &state,
        "done = 0
         local write = programs.tc[9]
         tc.register(function(pkt)
           for i = 1, 2000 do write(pkt) end
           done = done + 1
         end)",
    );
    let program = pins.open("watch_tc");
    let mut least = i64::MAX;
    let mut rounds = 0;
    eventually("its function has had time enough", || {
        let before = slab();
        netns
            .within(|| program.run(&[8; 3000], 1))
            .expect("a verdict");
        let after = slab();
        let done = integer(&state, "local n = done done = 0 return n");
        if done > 0 {
            least = least.min(after - before);
            rounds += 1;
        }
        rounds == 5
    });
    // One place has 4 KiB.
    assert!(least < 2000, "{least} kB more");
}
