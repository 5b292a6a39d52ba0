// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs that call Lua, and Lua that calls eBPF programs and uses their maps.

use std::{thread, time::Duration};

use lunatik::{ErrorKind, Hook, HookKind, State, Verdict};
use lunatik_tests::{
    Family, Netns, Network, SOON,
    bpf::{ASK, COUNT, MORE, Pins, bpftool, kfuncs},
    by_kernel, cpus, eventually, integer, lua, lua_error, run, string, undisturbed,
};
use serde_json::json;

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(700);

/// A state for packets, with time enough for a slow machine.
fn packets(netns: &Netns, name: &str) -> State {
    netns.filter(name)
}

fn id(state: &State) -> u32 {
    state.snapshot().expect("a description").id
}

/// A packet with 0x0800 where the ethertype is, which some programs look for.
fn packet() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..100).collect();
    bytes[12] = 8;
    bytes[13] = 0;
    bytes
}

/// Sends 3 echo requests of the client; `expected` of them come back.
#[track_caller]
fn ping(network: &Network, expected: u32) {
    let to = network.server.address(Family::V4);
    let patience = if expected < 3 { SHORT } else { 3 * SOON };
    assert_eq!(network.client.ping(to, 3, 56, patience), expected);
}

/// A script that counts the pings that it sees in `seen` and drops them if told to. Neighbours
/// and routers are looked for at any time.
const ICMP: &str = "
    local xdp, tc = require 'xdp', require 'tc'
    seen = 0
    local function is_echo(pkt)
      return pkt:protocol() == 0x800 and pkt:u8(23) == 1
    end
    xdp.register(function(pkt)
      if not is_echo(pkt) then return end
      seen = seen + 1
      arg = pkt:arg()
      if dropping then return xdp.DROP end
    end)
    tc.register(function(pkt)
      if not is_echo(pkt) then return end
      seen = seen + 1
      arg = pkt:arg()
      ways = (pkt:indev() or '') .. '>' .. (pkt:outdev() or '')
      if dropping then return tc.SHOT end
    end)";

#[test]
fn xdp_on_devices() {
    if !kfuncs() {
        return;
    }
    for mode in ["native", "generic", "auto"] {
        let network = Network::direct();
        let netns = &network.server.netns;
        let fw = packets(netns, "fw");
        // The same in another namespace, which sees nothing of this one's.
        let elsewhere = packets(&network.client.netns, "fw");
        for state in [&fw, &elsewhere] {
            lua(state, ICMP);
        }
        netns
            .ctl(&[
                "xdp", "attach", "fw", "--dev", "eth0", "--mode", mode, "--arg", "-7",
            ])
            .success();
        ping(&network, 3);
        assert_eq!(integer(&fw, "return seen"), 3, "{mode}");
        assert_eq!(integer(&fw, "return arg"), -7, "{mode}");
        assert_eq!(integer(&elsewhere, "return seen"), 0, "{mode}");
        lua(&fw, "dropping = true");
        lua(&elsewhere, "dropping = true");
        ping(&network, 0);

        let list = netns.ctl(&["-j", "xdp", "list"]).json();
        assert_eq!(list[0]["device"], "eth0", "{list}");
        assert_eq!(list[0]["name"], "fw", "{list}");
        assert_eq!(list[0]["state"], id(&fw), "{list}");
        assert_eq!(list[0]["arg"], -7, "{list}");
        let shown = if mode == "auto" { "native" } else { mode };
        assert_eq!(list[0]["mode"], shown, "{list}");
        let program = list[0]["program"].to_string();
        bpftool(&["prog", "show", "id", &program]).success();
        assert_eq!(
            network.client.netns.ctl(&["-j", "xdp", "list"]).json(),
            json!([])
        );
        assert_eq!(netns.ctl(&["-j", "tc", "list"]).json(), json!([]));

        // A state that fails, and one that is gone, lets packets pass.
        lua(&fw, "seen = nil");
        ping(&network, 3);
        fw.close().expect("closes");
        ping(&network, 3);
        let text = netns.ctl(&["xdp", "list"]);
        assert!(text.success().contains("(closed)"), "{text:?}");
        assert_eq!(
            netns.ctl(&["-j", "xdp", "list"]).json()[0]["name"],
            json!(null)
        );
        netns.ctl(&["xdp", "detach", "--dev", "eth0"]).success();
        assert_eq!(netns.ctl(&["-j", "xdp", "list"]).json(), json!([]));
    }
}

/// What a hook of that kind did, and its row of `lunatikctl show` as long as nothing calls it.
fn figures(netns: &Netns, state: &State, kind: HookKind) -> (Hook, Vec<String>) {
    let hooks = state.description().expect("a description").hooks;
    let hook = hooks.into_iter().find(|hook| hook.kind == kind);
    let shown = netns.ctl(&["show", "fw"]);
    let mut lines = shown.success().lines();
    let name = kind.to_string();
    let row = lines.find(|line| line.split_whitespace().next() == Some(&name));
    let cells = row.expect("a row").split_whitespace();
    (hook.expect("a hook"), cells.map(str::to_owned).collect())
}

#[test]
fn verdicts_of_packets_are_counted() {
    undisturbed(|| {
        if !kfuncs() {
            return;
        }
        let network = Network::direct();
        let netns = &network.server.netns;
        let fw = packets(netns, "fw");
        lua(&fw, ICMP);
        let xdp = ["--dev", "eth0"];
        let tc = ["--dev", "eth0", "ingress"];
        for (kind, place, accepted, dropped) in [
            (HookKind::Xdp, &xdp[..], Verdict::Pass, Verdict::Drop),
            (HookKind::Tc, &tc[..], Verdict::Pipe, Verdict::Shot),
        ] {
            let command = kind.to_string();
            netns
                .ctl(&[&[&command, "attach", "fw"], place].concat())
                .success();
            lua(&fw, "seen, dropping = 0, false");
            ping(&network, 3);
            lua(&fw, "dropping = true");
            ping(&network, 0);
            // An error for each
            lua(&fw, "seen = nil");
            ping(&network, 3);
            netns
                .ctl(&[&command, "detach", "fw", "--dev", "eth0"])
                .success();

            let (hook, row) = figures(netns, &fw, kind);
            // Other packets than pings may have come.
            let count = |wanted| -> u64 {
                let verdicts = hook.verdicts.iter();
                let counts = verdicts.filter(|(verdict, _)| *verdict == wanted);
                counts.map(|(_, count)| count).sum()
            };
            let passed = count(accepted);
            assert!(passed >= 3 && count(dropped) == 3, "{hook:?}");
            assert_eq!((hook.errors, hook.missed, hook.deadline_kills), (3, 0, 0));
            assert_eq!(hook.calls, passed + 6, "{hook:?}");
            assert!(!hook.run_time.is_zero(), "{hook:?}");
            let expected = format!("{command} - - - native {} 3 0 0", hook.calls);
            assert_eq!(row[..9].join(" "), expected);
            // In the order of their numbers
            let verdicts = format!("{dropped} 3, {accepted} {passed}");
            assert_eq!(row[11..].join(" "), verdicts, "{row:?}");
        }
    });
}

#[test]
fn tc_on_devices() {
    if !kfuncs() {
        return;
    }
    let network = Network::direct();
    let netns = &network.server.netns;
    let fw = packets(netns, "fw");
    let second = packets(netns, "second");
    lua(&fw, ICMP);
    lua(&second, ICMP);
    netns
        .ctl(&[
            "tc", "attach", "fw", "--dev", "eth0", "ingress", "--arg", "0xff",
        ])
        .success();
    ping(&network, 3);
    assert_eq!(integer(&fw, "return seen"), 3);
    assert_eq!(integer(&fw, "return arg"), 255);
    assert_eq!(string(&fw, "return ways"), "eth0>");
    netns
        .ctl(&[
            "tc",
            "attach",
            "fw",
            "--dev",
            "eth0",
            "egress",
            "--priority",
            "20",
        ])
        .success();
    ping(&network, 3);
    assert_eq!(integer(&fw, "return seen"), 9);
    assert_eq!(string(&fw, "return ways"), ">eth0");
    // The first without a verdict leaves it to the second, and one that fails, too.
    netns
        .ctl(&[
            "tc",
            "attach",
            "second",
            "--dev",
            "eth0",
            "egress",
            "--priority",
            "30",
        ])
        .success();
    lua(&second, "dropping = true");
    ping(&network, 0);
    assert_eq!(integer(&second, "return seen"), 3);
    lua(&fw, "seen = nil");
    ping(&network, 0);
    assert!(integer(&second, "return seen") >= 6);

    let list = netns.ctl(&["-j", "tc", "list"]).json();
    let rows: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| (&row["direction"], &row["name"]))
        .collect();
    let (ingress, egress) = (json!("ingress"), json!("egress"));
    let (first, other) = (json!("fw"), json!("second"));
    assert_eq!(
        rows,
        [(&ingress, &first), (&egress, &first), (&egress, &other)]
    );
    assert_eq!(list[1]["priority"], 20);

    let again = netns.ctl(&["tc", "attach", "fw", "--dev", "eth0", "ingress"]);
    assert!(again.failure(1).contains("EEXIST"), "{again:?}");
    netns
        .ctl(&["tc", "detach", "second", "--dev", "eth0"])
        .success();
    let again = netns.ctl(&["tc", "detach", "second", "--dev", "eth0"]);
    assert!(again.failure(1).contains("ENOENT"), "{again:?}");
    netns
        .ctl(&["tc", "detach", "fw", "egress", "--dev", "eth0"])
        .success();
    assert_eq!(
        netns
            .ctl(&["-j", "tc", "list"])
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    netns.ctl(&["tc", "detach", "--dev", "eth0"]).success();
    assert_eq!(netns.ctl(&["-j", "tc", "list"]).json(), json!([]));
    ping(&network, 3);
}

#[test]
fn what_cannot_be_attached() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let _fw = packets(&netns, "fw");
    let _other = packets(&netns, "other");
    netns.state("process");
    run(netns
        .command("ip")
        .args(["link", "add", "d0", "type", "dummy"]))
    .success();
    let pins = Pins::new();
    pins.load(ASK);
    let attach = |state: &str, more: &[&str]| {
        let mut all = vec!["xdp", "attach", state, "--dev", "d0"];
        all.extend(more);
        netns.ctl(&all)
    };
    for (output, status, said) in [
        (
            netns.ctl(&["xdp", "attach", "fw", "--dev", "none"]),
            1,
            "ENODEV",
        ),
        (
            netns.ctl(&["tc", "attach", "fw", "--dev", "none", "ingress"]),
            1,
            "ENODEV",
        ),
        (netns.ctl(&["xdp", "detach", "--dev", "none"]), 1, "ENODEV"),
        (attach("none", &[]), 5, "no such state"),
        (attach("process", &[]), 1, "softirq"),
        (attach("fw", &["--mode", "native"]), 1, "native mode"),
        (attach("fw", &["--mode", "fast"]), 2, "fast"),
        (netns.ctl(&["xdp", "detach", "--dev", "d0"]), 1, "ENOENT"),
        (
            netns.ctl(&["tc", "detach", "fw", "--dev", "d0"]),
            1,
            "ENOENT",
        ),
    ] {
        let text = output.failure(status);
        assert!(text.contains(said), "{text}");
    }
    attach("fw", &[]).success();
    let text = attach("fw", &[]);
    assert!(text.failure(1).contains("EEXIST"), "{text:?}");
    let text = attach("other", &[]);
    assert!(
        text.failure(1).contains("EBUSY") && text.stderr.contains("--force"),
        "{text:?}"
    );
    attach("other", &["--force"]).success();
    assert_eq!(netns.ctl(&["-j", "xdp", "list"]).json()[0]["name"], "other");
    let text = netns.ctl(&["xdp", "detach", "fw", "--dev", "d0"]);
    assert!(text.failure(1).contains("ENOENT"), "{text:?}");
    netns
        .ctl(&["xdp", "detach", "other", "--dev", "d0"])
        .success();

    // Someone else's program is neither listed, nor detached, nor replaced unasked.
    let path = pins.path("ask");
    let foreign = ["net", "attach", "xdpgeneric", "pinned", &path, "dev", "d0"];
    netns.within(|| bpftool(&foreign)).success();
    assert_eq!(netns.ctl(&["-j", "xdp", "list"]).json(), json!([]));
    let text = attach("fw", &[]);
    assert!(text.failure(1).contains("XDP program ask"), "{text:?}");
    let text = netns.ctl(&["xdp", "detach", "--dev", "d0"]);
    assert!(text.failure(1).contains("ENOENT"), "{text:?}");
    attach("fw", &["--force", "--arg", "1"]).success();
    assert_eq!(netns.ctl(&["-j", "xdp", "list"]).json()[0]["arg"], 1);
    // Without rights.
    let output = run(netns.command("setpriv").args([
        "--bounding-set=-sys_admin,-bpf",
        "--inh-caps=-sys_admin,-bpf",
        "lunatikctl",
        "xdp",
        "list",
    ]));
    assert!(output.failure(4).contains("EPERM"), "{output:?}");
}

#[test]
fn programs_of_ones_own_ask_states() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let fw = packets(&netns, "fw");
    lua(
        &fw,
        "require 'xdp'.register(function(pkt)
           if pkt:u8(20) == 20 then return 1 end   -- XDP_DROP
           if pkt:u8(20) == 21 then error 'no' end
           return 3                                -- XDP_TX
         end)",
    );
    let pins = Pins::new();
    pins.load(ASK);
    let mut bytes = packet();
    let ask = |bytes: &[u8]| netns.within(|| pins.run("ask", bytes).0);
    // No state is named yet.
    assert_eq!(ask(&bytes), 2);
    pins.set("state", id(&fw));
    assert_eq!(ask(&bytes), 1);
    bytes[20] = 22;
    assert_eq!(ask(&bytes), 3);
    // A failure is told to the program, which passes.
    bytes[20] = 21;
    assert_eq!(ask(&bytes), 2);
    // It asks about IPv4 only.
    bytes[13] = 6;
    bytes[20] = 20;
    assert_eq!(ask(&bytes), 2);
    let hooks = fw.description().expect("a description").hooks;
    assert_eq!((hooks[0].calls, hooks[0].errors), (3, 1), "{hooks:?}");
    // In another namespace there is no state of that number.
    bytes[13] = 0;
    let other = Netns::new();
    assert_eq!(other.within(|| pins.run("ask", &bytes).0), 2);
    fw.close().expect("closes");
    assert_eq!(ask(&bytes), 2);
}

/// A state whose function for XDP is `body`, with `pkt` and the programs of MORE and
/// COUNT as globals, that for TC being the global `tc`, and what runs it on a packet.
fn calling(netns: &Netns, body: &str) -> (State, Pins) {
    let pins = Pins::new();
    for object in [ASK, COUNT, MORE] {
        pins.load(object);
    }
    let state = packets(netns, "fw");
    pins.set("state", id(&state));
    pins.set("asked", id(&state));
    let programs: String = ["count", "count_tc", "longer", "verdict", "again", "rewrite"]
        .map(|name| format!("{name} = bpf.prog '{}'\n", pins.path(name)))
        .concat();
    let code = format!(
        "bpf = require 'bpf'
         {programs}
         counts = bpf.map('{}', '=I8', '=I8')
         function xdp(pkt) {body} end
         require 'xdp'.register(function(pkt) return xdp(pkt) end)
         require 'tc'.register(function(pkt) return tc(pkt) end)",
        pins.path("counts")
    );
    lua(&state, &code);
    (state, pins)
}

#[test]
fn lua_calls_a_program_whose_verdict_decides() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let (state, pins) = calling(
        &netns,
        "local v, n = count(pkt, pkt:u8(0), 3) last = n return v",
    );
    let mut bytes = packet();
    let verdicts: Vec<u32> = (0..5)
        .map(|_| netns.within(|| pins.run("ask", &bytes).0))
        .collect();
    assert_eq!(verdicts, [2, 2, 2, 1, 1]);
    assert_eq!(integer(&state, "return last"), 5);
    assert_eq!(integer(&state, "return counts:lookup(0)"), 5);
    bytes[0] = 9;
    assert_eq!(netns.within(|| pins.run("ask", &bytes).0), 2);
    assert_eq!(integer(&state, "return counts:lookup(9)"), 1);
    // Nothing of a call is left for programs that nobody calls.
    assert_eq!(netns.within(|| pins.run("lonely", &bytes).0), 3);
}

#[test]
fn verdicts_arguments_and_results_of_calls() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let (state, pins) = calling(&netns, "results = {pcall(test, pkt)} return 2");
    let bytes = packet();
    let call = |code: &str| {
        lua(&state, &format!("function test(pkt) {code} end"));
        assert_eq!(netns.within(|| pins.run("ask", &bytes).0), 2, "{code}");
        let results = lua(
            &state,
            "for i = 1, #results do results[i] = tostring(results[i]) end
             return table.concat(results, ' ')",
        );
        results[0].as_str().expect("text").to_owned()
    };
    assert_eq!(call("return verdict(pkt, 3)"), "true 3");
    assert_eq!(call("return verdict(pkt, -1)"), "true -1");
    assert_eq!(call("return verdict(pkt)"), "true 0");
    assert_eq!(
        call("return count(pkt, 1 << 60, math.maxinteger)"),
        "true 2 1"
    );
    assert_eq!(
        call("return select('#', verdict(pkt, 1, 2, 3, 4, 5, 6, 7, 8))"),
        "true 1"
    );
    // While Lua runs, Lua cannot be called: EBUSY.
    assert_eq!(
        call(&format!("return again(pkt, {})", id(&state))),
        "true 2 -16"
    );
    for (code, said) in [
        (
            "return verdict(pkt, 1, 2, 3, 4, 5, 6, 7, 8, 9)",
            "too many arguments",
        ),
        ("return verdict(pkt, 'x')", "number expected"),
        ("return verdict(7)", "packet expected"),
        ("return verdict()", "packet expected"),
        ("return rewrite(pkt)", "packets of tc"),
        ("kept = pkt return verdict(pkt)", "true 0"),
        ("return verdict(kept)", "outside its callback"),
        ("return bpf.prog '/sys/fs/bpf/x'", "in requests only"),
        ("return bpf.map '/sys/fs/bpf/x'", "in requests only"),
    ] {
        let text = call(code);
        assert!(text.contains(said), "{code}: {text}");
    }
    let text = lua_error(&state, "verdict(kept)", ErrorKind::Script);
    assert!(text.contains("outside its callback"), "{text}");
}

#[test]
fn programs_for_tc_have_arguments_and_results_too() {
    const PIPE: u32 = 3;
    const SHOT: u32 = 2;
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let (state, pins) = calling(&netns, "");
    let bytes = packet();
    let run = || netns.within(|| pins.run("watch_tc", &bytes).0);
    // Without an argument, with two, and with two once the packet has moved.
    for (before, called, verdicts) in [
        ("", "count_tc(pkt)", [SHOT; 4]),
        ("", "count_tc(pkt, pkt:u8(1), 2)", [PIPE, PIPE, SHOT, SHOT]),
        (
            "rewrite(pkt)",
            "count_tc(pkt, math.mininteger, 3, 0, 0, 0, 0, 0, 0)",
            [PIPE, PIPE, PIPE, SHOT],
        ),
    ] {
        lua(
            &state,
            &format!(
                "function tc(pkt)
                   {before}
                   results = {{{called}}}
                   return results[1]
                 end"
            ),
        );
        for (count, verdict) in (1..).zip(verdicts) {
            assert_eq!(run(), verdict, "{called}");
            let results = string(&state, "return table.concat(results, ' ')");
            let returned = if verdict == SHOT { 2 } else { -1 };
            assert_eq!(results, format!("{returned} {count}"), "{called}");
        }
    }
    let counts = "return ('%d %d %d'):format(counts:lookup(0), counts:lookup(1),
                    counts:lookup(math.mininteger))";
    assert_eq!(string(&state, counts), "4 4 4");
    for (called, said) in [
        (
            "count_tc(pkt, 1, 2, 3, 4, 5, 6, 7, 8, 9)",
            "too many arguments",
        ),
        ("count_tc(pkt, 'x')", "number expected"),
        ("count_tc(7)", "packet expected"),
        ("verdict(pkt, 1)", "packets of xdp"),
    ] {
        lua(
            &state,
            &format!("function tc(pkt) ok, why = pcall(function() {called} end) end"),
        );
        assert_eq!(run(), PIPE, "{called}");
        let why = string(&state, "return why");
        assert!(why.contains(said), "{called}: {why}");
    }
    // Other numbers below 0 are no verdicts.
    lua(&state, "function tc(pkt) return -2 end");
    assert!(run().cast_signed() < 0);
    let lines = state.log(None).expect("a log").lines;
    let last = String::from_utf8_lossy(&lines.last().expect("a line").text).into_owned();
    assert!(last.contains("returned -2, which is no verdict"), "{last}");
}

#[test]
fn programs_may_move_the_packet() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let (state, pins) = calling(
        &netns,
        "before = #pkt longer(pkt) after = #pkt first = pkt:u32(0) pkt:setu8(4, 77) return 3",
    );
    let bytes = packet();
    let (verdict, after) = netns.within(|| pins.run("ask", &bytes));
    assert_eq!(verdict, 3);
    assert_eq!(integer(&state, "return before"), 100);
    assert_eq!(integer(&state, "return after"), 104);
    assert_eq!(integer(&state, "return first"), 0xcafe_babe);
    assert_eq!(&after[..6], [0xca, 0xfe, 0xba, 0xbe, 77, bytes[1]]);
    // In TC, where the program that asked has a pointer to the packet as it was.
    lua(
        &state,
        "function tc(pkt)
           local before = #pkt
           verdict, len = rewrite(pkt)
           grown, first, text = #pkt - before, pkt:u8(0), pkt:string(1, 5)
           return verdict
         end",
    );
    for _ in 0..50 {
        let (verdict, after) = netns.within(|| pins.run("keep", &bytes));
        assert_eq!(verdict, 0);
        assert_eq!(after.len(), 1100);
        assert_eq!(after[0], 0x5a);
        assert_eq!(&after[1..100], &bytes[1..]);
    }
    assert_eq!(integer(&state, "return grown"), 1000);
    assert_eq!(integer(&state, "return first"), 0x5a);
    assert_eq!(integer(&state, "return len"), 1100);
    // Each time its bytes are others.
    lua(
        &state,
        "function tc(pkt)
           for i = 1, 5 do verdict, len = rewrite(pkt) end
           pkt:setu8(1, 7)
           pkt:trim(len - 10)
           return verdict
         end",
    );
    for _ in 0..50 {
        let (verdict, after) = netns.within(|| pins.run("keep", &bytes));
        assert_eq!(verdict, 0);
        assert_eq!(after.len(), 5090);
        assert_eq!(after[..2], [0x5a, 7]);
        assert_eq!(&after[2..100], &bytes[2..]);
    }
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().all(|hook| hook.errors == 0), "{hooks:?}");
}

#[test]
fn programs_under_traffic() {
    if !kfuncs() {
        return;
    }
    let network = Network::direct();
    let netns = &network.server.netns;
    let (state, _pins) = calling(
        netns,
        "if pkt:protocol() == 0x800 and pkt:u8(23) == 1 then return (count(pkt, 1, limit)) end",
    );
    // What its program lets go on goes on for all that the function says.
    lua(
        &state,
        "limit = 1000
         function tc(pkt)
           if pkt:protocol() == 0x800 and pkt:u8(23) == 1 then return count_tc(pkt, 2, limit) end
         end",
    );
    for (attach, key) in [(&["xdp", "attach"][..], 1), (&["tc", "attach"], 2)] {
        let direction: &[_] = if key == 2 { &["ingress"] } else { &[] };
        let to = [attach, &["fw"], direction, &["--dev", "eth0"]].concat();
        netns.ctl(&to).success();
        lua(&state, "limit = 1000");
        ping(&network, 3);
        lua(&state, "limit = 4");
        ping(&network, 1);
        assert_eq!(
            integer(&state, &format!("return counts:lookup({key})")),
            6,
            "{to:?}"
        );
        netns
            .ctl(&[attach[0], "detach", "fw", "--dev", "eth0"])
            .success();
    }
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().all(|hook| hook.errors == 0), "{hooks:?}");
    let transfer = lunatik_tests::Transfer {
        bytes: 1 << 20,
        ..lunatik_tests::Transfer::default()
    };
    assert_eq!(
        network.tcp(&transfer).expect("arrives").bytes,
        transfer.bytes
    );
}

#[test]
fn objects_end_with_their_script_or_their_state() {
    if !kfuncs() {
        return;
    }
    let netns = Netns::new();
    let pins = Pins::new();
    pins.load(COUNT);
    let ids: Vec<String> = ["prog", "map"]
        .into_iter()
        .zip(["count", "counts"])
        .map(|(kind, name)| {
            let path = pins.path(name);
            bpftool(&["-j", kind, "show", "pinned", &path]).json()["id"].to_string()
        })
        .collect();
    let there = || {
        [
            bpftool(&["prog", "show", "id", &ids[0]]).status == 0,
            bpftool(&["map", "show", "id", &ids[1]]).status == 0,
        ]
    };
    let open = format!(
        "bpf = require 'bpf' for i = 1, 200 do p, m = bpf.prog '{}', bpf.map '{}' end",
        pins.path("count"),
        pins.path("counts")
    );
    let kept = packets(&netns, "kept");
    let dropped = packets(&netns, "dropped");
    for state in [&kept, &dropped] {
        lua(state, &open);
    }
    drop(pins);
    assert_eq!(there(), [true, true]);
    lua(&dropped, "p = nil m = nil collectgarbage()");
    assert_eq!(there(), [true, true]);
    kept.close().expect("closes");
    eventually("both are freed", || there() == [false, false]);
}

#[test]
fn maps_of_each_type() {
    let netns = Netns::new();
    let state = netns.state("a");
    let pins = Pins::new();
    // What is not allocated beforehand is had from a store that the debug kernel fills
    // with its next tick only.
    let count = by_kernel(100, 3);
    for (name, kind, flags) in [
        ("hash", "hash", ""),
        ("sparse", "hash", " flags 1"),
        ("lru", "lru_hash", ""),
        ("percpu", "percpu_hash", ""),
        ("percpu_lru", "lru_percpu_hash", ""),
    ] {
        pins.map(
            name,
            &format!("type {kind} key 4 value 8 entries 4096{flags}"),
        );
        let code = format!(
            "local map = require 'bpf'.map('{}', '>I4', '<i8')
             assert(map:lookup(1) == nil)
             assert(map:update(1, -5) == true and map:lookup(1) == -5)
             assert(map:update(1, 6, 'exist') and map:lookup(1) == 6)
             local ok, why, code = map:update(1, 7, 'noexist')
             assert(ok == nil and code == 'EEXIST' and type(why) == 'string')
             assert(select(3, map:update(2, 7, 'exist')) == 'ENOENT')
             assert(map:delete(1) == true and map:delete(1) == false and map:lookup(1) == nil)
             for i = 1, {count} do assert(map:update(i, i * i)) end
             local n, sum = 0, 0
             for k, v in map:pairs() do
               n, sum = n + 1, sum + k
               assert(v == k * k)
               assert(map:delete(k))
             end
             assert(n == {count} and sum == n * (n + 1) // 2, n .. ' ' .. sum)
             for k in map:pairs() do error 'not empty' end
             return tostring(map)",
            pins.path(name)
        );
        assert_eq!(string(&state, &code), format!("bpf.map ({name})"), "{kind}");
    }
    for kind in ["array", "percpu_array"] {
        pins.map(kind, &format!("type {kind} key 4 value 8 entries 16"));
        let code = format!(
            "local map = require 'bpf'.map('{}', nil, 'I4I2I2')
             assert(map:update(3, {{1, 2, 3}}))
             local v = map:lookup(3)
             assert(#v == 3 and v[1] == 1 and v[2] == 2 and v[3] == 3)
             assert(map:lookup(16) == nil)
             assert(select(3, map:update(16, {{1, 2, 3}})) == 'E2BIG')
             local n = 0
             for k, v in map:pairs() do assert(k == n and #v == 3) n = n + 1 end
             assert(not pcall(map.delete, map, 3))
             return n",
            pins.path(kind)
        );
        assert_eq!(integer(&state, &code), 16, "{kind}");
    }
}

#[test]
fn raw_bytes_and_values_of_other_cpus() {
    let netns = Netns::new();
    let state = netns.state("a");
    let pins = Pins::new();
    pins.map("raw", "type hash key 3 value 5 entries 8");
    let code = format!(
        "local map = require 'bpf'.map '{}'
         assert(map:update('a\\0b', '12345') and map:lookup 'a\\0b' == '12345')
         for k, v in map:pairs() do return k .. v end",
        pins.path("raw")
    );
    assert_eq!(string(&state, &code), "a\0b12345");
    pins.map("each", "type percpu_array key 4 value 8 entries 1");
    let code = format!(
        "local map = require 'bpf'.map('{}', nil, 'I8')
         assert(map:update(0, 7))
         local sum = 0
         for cpu = 0, 1000 do
           local ok, v = pcall(map.lookup, map, 0, cpu)
           if not ok then break end
           sum = sum + v
         end
         return sum",
        pins.path("each")
    );
    assert_eq!(integer(&state, &code), 7);
}

#[test]
fn maps_are_shared_with_user_space() {
    let netns = Netns::new();
    let state = netns.state("a");
    let pins = Pins::new();
    pins.map("shared", "type array key 4 value 4 entries 1");
    let path = pins.path("shared");
    lua(
        &state,
        &format!("map = require 'bpf'.map('{path}', nil, '=I4')"),
    );
    pins.set("shared", 4711);
    assert_eq!(integer(&state, "return map:lookup(0)"), 4711);
    lua(&state, "map:update(0, 1234)");
    let value = bpftool(&[
        "-j", "map", "lookup", "pinned", &path, "key", "0", "0", "0", "0",
    ])
    .json();
    assert_eq!(value["value"], json!(["0xd2", "0x04", "0x00", "0x00"]));
}

#[test]
fn what_scripts_cannot_open() {
    let netns = Netns::new();
    let state = netns.state("a");
    let pins = Pins::new();
    pins.map("queue", "type queue key 0 value 4 entries 4");
    pins.map("wide", "type array key 4 value 70000 entries 1");
    pins.map("hash", "type hash key 4 value 8 entries 4");
    pins.map("readonly", "type array key 4 value 4 entries 1 flags 128");
    pins.map("frozen", "type array key 4 value 4 entries 1");
    bpftool(&["map", "freeze", "pinned", &pins.path("frozen")]).success();
    let path = |name: &str| pins.path(name);
    for (code, said) in [
        (
            format!("map '{}'", path("queue")),
            "not a map that scripts can use",
        ),
        (format!("map '{}'", path("wide")), "too long"),
        (format!("map '{}'", path("none")), "no such file"),
        (format!("map '{}/x'", path("hash")), "no such file"),
        (format!("map '{}'", path("")), "not a map"),
        ("map '/etc/passwd'".into(), "not a map"),
        ("map '/'".into(), "not a map"),
        ("map ''".into(), "not a path"),
        ("map 'a\\0b'".into(), "not a path"),
        ("map(nil)".into(), "string expected"),
        (
            format!("map('{}', '<I4', '<I4')", path("hash")),
            "has 4 bytes",
        ),
        (format!("map('{}', '<I8')", path("hash")), "has 8 bytes"),
        (
            format!("map('{}', 'z')", path("hash")),
            "variable-length format",
        ),
        (format!("map('{}', 4)", path("hash")), "string expected"),
        (
            format!("map('{}'):lookup(1)", path("hash")),
            "string expected",
        ),
        (format!("map('{}'):lookup '12'", path("hash")), "2 bytes"),
        (
            format!("map('{}'):update('1234', '1')", path("hash")),
            "1 bytes",
        ),
        (
            format!(
                "map('{}'):update('1234', '12345678', 'maybe')",
                path("hash")
            ),
            "maybe",
        ),
        (
            format!("map('{}'):lookup('1234', 0)", path("hash")),
            "not per CPU",
        ),
        (
            format!("map('{}').lookup({{}}, '1234')", path("hash")),
            "bpf.map expected",
        ),
        (
            format!("map('{}'):update(0, '1234')", path("readonly")),
            "cannot be changed",
        ),
        (
            format!("map('{}'):update(0, '1234')", path("frozen")),
            "cannot be changed",
        ),
        (format!("prog '{}'", path("hash")), "not a program"),
        ("prog '/etc/passwd'".into(), "permission denied"),
        (format!("prog '{}'", path("none")), "no such file"),
    ] {
        let text = lua_error(&state, &format!("require 'bpf'.{code}"), ErrorKind::Script);
        assert!(text.contains(said), "{code}: {text}");
    }
    // No finalizer of theirs is within reach of a script.
    for code in [
        format!("return getmetatable(require 'bpf'.map '{}')", path("hash")),
        format!("return tostring(require 'bpf'.map '{}'.__gc)", path("hash")),
    ] {
        let value = string(&state, &code);
        assert!(["bpf.map", "nil"].contains(&&*value), "{code}: {value}");
    }
    if kfuncs() {
        pins.load(MORE);
        let code = format!("require 'bpf'.map '{}'", path("locked"));
        let text = lua_error(&state, &code, ErrorKind::Script);
        assert!(text.contains("not a map that scripts can use"), "{text}");
    }
}

#[test]
fn ebpf_is_for_states_of_those_who_may_use_it() {
    let netns = Netns::new();
    let state = netns.state("a");
    let pins = Pins::new();
    pins.map("hash", "type hash key 4 value 8 entries 4");
    let open = format!("return tostring(require 'bpf'.map '{}')", pins.path("hash"));
    assert_eq!(string(&state, &open), "bpf.map (hash)");
    let without = |code: &str| {
        run(netns.command("setpriv").args([
            "--bounding-set=-sys_admin,-bpf",
            "--inh-caps=-sys_admin,-bpf",
            "lunatikctl",
            "dostring",
            "a",
            code,
        ]))
    };
    let text = without(&open);
    assert!(text.failure(1).contains("CAP_BPF"), "{text:?}");
    // And what such a user has left there must not be run with the rights of others.
    let text = lua_error(&state, &open, ErrorKind::Script);
    assert!(text.contains("CAP_BPF"), "{text}");
}

#[test]
fn maps_in_softirq() {
    if !kfuncs() {
        return;
    }
    for kind in [
        "hash",
        "lru_hash",
        "percpu_hash",
        "lru_percpu_hash",
        "array",
        "percpu_array",
    ] {
        count_in(kind);
    }
}

/// Counts pings in a map of that kind, in which each CPU may have its own values.
fn count_in(kind: &str) {
    undisturbed(|| {
        let network = Network::direct();
        let netns = &network.server.netns;
        let fw = packets(netns, "fw");
        let pins = Pins::new();
        pins.map("sources", &format!("type {kind} key 4 value 8 entries 64"));
        lua(
            &fw,
            &format!(
                "local map = require 'bpf'.map('{}', '=I4', '=I8')
             local cpus = {}
             require 'xdp'.register(function(pkt)
               if pkt:protocol() == 0x800 and pkt:u8(23) == 1 then
                 -- Arrays have 64.
                 local source = pkt:u32(26) & 63
                 map:update(source, (map:lookup(source) or 0) + 1)
               end
             end)
             function total()
               local n = 0
               for k, v in map:pairs() do
                 if not cpus then n = n + v end
                 for cpu = 0, (cpus or 0) - 1 do n = n + map:lookup(k, cpu) end
               end
               return n
             end",
                pins.path("sources"),
                if kind.contains("percpu") {
                    cpus().to_string()
                } else {
                    "nil".to_owned()
                },
            ),
        );
        netns
            .ctl(&["xdp", "attach", "fw", "--dev", "eth0"])
            .success();
        ping(&network, 3);
        assert_eq!(integer(&fw, "return total()"), 3, "{kind}");
        // Requests and packets at the same time.
        thread::scope(|scope| {
            let pinging = scope.spawn(|| {
                let to = network.server.address(Family::V4);
                network.client.ping(to, 100, 56, SOON)
            });
            while !pinging.is_finished() {
                integer(&fw, "return total()");
            }
            assert_eq!(pinging.join().expect("pings"), 100);
        });
        assert_eq!(integer(&fw, "return total()"), 103, "{kind}");
    });
}
