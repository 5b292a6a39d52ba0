// SPDX-License-Identifier: MIT OR Apache-2.0
//! What clients are told of hooks and timers.

use std::{net::UdpSocket, thread, time::Duration};

use lunatik::{Context, HookKind, NetfilterFamily, NetfilterHook, OnError, State, Verdict};
use lunatik_tests::{Netns, lua, undisturbed};
use serde_json::json;

/// Sends so many datagrams over the loopback device of `netns`.
fn datagrams(netns: &Netns, count: u32) {
    netns.ip("link set lo up").success();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            netns.enter();
            let here = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let to = here.local_addr().expect("an address");
            for _ in 0..count {
                // One that the hook drops may be told to the sender.
                let _ = here.send_to(b"x", to);
            }
        });
        sender.join().expect("sends");
    });
}

/// A state with two hooks, of which the first fails, drops and accepts, and takes its time
/// when it is called first.
fn with_hooks(netns: &Netns) -> State {
    let session = netns.session();
    let new = session.new_state("a").context(Context::Softirq);
    // What a slow machine needs for an error and its traceback.
    let timeout = session.info().expect("info").max_softirq_timeout;
    let state = new.timeout(timeout).create().expect("a state");
    lua(
        &state,
        "local nf = require 'netfilter'
         local clock = require 'linux'.monotonic
         local n = 0
         hook = nf.register{family = 'ipv4', hook = 'output', priority = -150, function(pkt)
           n = n + 1
           if n == 1 then
             -- Longer than the tick of a kernel that times calls by its ticks.
             local start = clock()
             repeat until clock() - start > 20000000
           end
           if n % 5 == 0 then error('fifth') end
           if n % 5 == 1 then return nf.DROP end
         end}
         nf.register{family = 'ipv4', hook = 'forward', priority = 7, on_error = 'drop',
           function() end}",
    );
    state
}

#[test]
fn figures_of_a_hook() {
    undisturbed(|| {
        let netns = Netns::new();
        let state = with_hooks(&netns);
        // The others come when the namespace's hooks have rested from the first, if they have to.
        datagrams(&netns, 1);
        thread::sleep(state.description().expect("a description").hooks[0].run_time);
        datagrams(&netns, 9);

        let description = state.description().expect("a description");
        let [output, forward] = &description.hooks[..] else {
            panic!("{description:?}");
        };
        assert_eq!(
            output.kind,
            HookKind::Netfilter {
                family: NetfilterFamily::Ipv4,
                hook: NetfilterHook::Output,
                priority: -150,
            }
        );
        assert_eq!(output.on_error, OnError::Native);
        assert_eq!((output.calls, output.errors), (10, 2));
        assert_eq!((output.deadline_kills, output.missed), (0, 0));
        assert!(output.run_time > Duration::from_millis(9), "{output:?}");
        let count = |wanted| {
            let mut verdicts = output.verdicts.iter();
            let found = verdicts.find(|(verdict, _)| *verdict == wanted);
            found.map_or(0, |(_, count)| *count)
        };
        assert_eq!((count(Verdict::Accept), count(Verdict::Drop)), (6, 2));
        assert_eq!(forward.on_error, OnError::Drop);
        assert_eq!((forward.calls, forward.run_time.as_nanos()), (0, 0));
        assert_eq!(
            forward.kind,
            HookKind::Netfilter {
                family: NetfilterFamily::Ipv4,
                hook: NetfilterHook::Forward,
                priority: 7,
            }
        );

        let mut told = netns.ctl(&["-j", "show", "a"]).json()["hooks"].take();
        let time = told[0]["run_time_ns"].take();
        assert_eq!(time, json!(output.run_time.as_nanos()));
        assert_eq!(
            told[0],
            json!({
                "kind": "netfilter", "family": "ipv4", "hook": "output", "priority": -150,
                "on_error": "native", "calls": 10, "errors": 2, "deadline_kills": 0,
                "missed": 0, "run_time_ns": null, "verdicts": {"accept": 6, "drop": 2},
            })
        );
        let shown = netns.ctl(&["show", "a"]);
        assert!(shown.success().contains("\nhooks: 2\n"), "{shown:?}");
        let mut rows = shown
            .success()
            .lines()
            .skip_while(|line| !line.starts_with("FAMILY"));
        assert!(rows.next().is_some(), "{shown:?}");
        let cells: Vec<Vec<_>> = rows.map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(cells.len(), 2, "{shown:?}");
        assert_eq!(
            cells[0][..9],
            ["ipv4", "output", "-", "-150", "native", "10", "2", "0", "0"]
        );
        assert_eq!(cells[1][..5], ["ipv4", "forward", "-", "7", "drop"]);
        assert_eq!(cells[1][10..], ["-", "-"]);

        let output = netns.lua(
            "local s = assert(require 'lunatik'.getstate 'a')
         for _, h in ipairs(s:hooks()) do
           print(h.kind, h.family, h.hook, h.priority, h.on_error, h.calls, h.errors,
             h.deadlinekills, h.missed, h.runtime > 0, h.verdicts.accept, h.verdicts.drop)
         end
         local described = s:describe()
         assert(#described.hooks == 2 and described.runtime >= described.hooks[1].runtime)
         assert(s:hooks()[1].runtime > 0.009 and s:hooks()[1].runtime < 10)",
        );
        assert_eq!(
            output.success(),
            "netfilter\tipv4\toutput\t-150\tnative\t10\t2\t0\t0\ttrue\t6\t2\n\
         netfilter\tipv4\tforward\t7\tdrop\t0\t0\t0\t0\tfalse\tnil\tnil\n"
        );

        lua(&state, "hook:unregister()");
        let description = state.description().expect("a description");
        assert_eq!(description.hooks.len(), 1, "{description:?}");
    });
}

#[test]
fn timers_that_have_yet_to_fire_are_counted() {
    let netns = Netns::new();
    for context in [Context::Process, Context::Softirq] {
        let name = context.to_string();
        let session = netns.session();
        let new = session.new_state(&name).context(context);
        let state = new.create().expect("a state");
        let timers = || state.description().expect("a description").timers;
        lua(
            &state,
            "local lunatik = require 'lunatik'
             a = lunatik.after(60000, print)
             b = lunatik.every(60000, print)",
        );
        assert_eq!(timers(), 2, "{name}");
        lua(&state, "a:cancel()");
        assert_eq!(timers(), 1, "{name}");
        lua(&state, "b:cancel()");
        assert_eq!(timers(), 0, "{name}");
    }
}
