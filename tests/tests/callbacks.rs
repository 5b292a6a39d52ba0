// SPDX-License-Identifier: MIT OR Apache-2.0
//! What callbacks stand on, which scripts cannot take away: the coroutine that they run
//! in, and memory for errors.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use lunatik::{Context, ErrorKind, State};
use lunatik_tests::{Netns, SOON, holds, integer, lua, refused, string};

/// A state whose function does `body` with each datagram that leaves the namespace,
/// and then counts it in `n`.
fn on_datagram(netns: &Netns, max_alloc: u32, body: &str) -> State {
    let session = netns.session();
    let new = session.new_state("a").context(Context::Softirq);
    let longest = session.info().expect("info").max_softirq_timeout;
    let new = new.max_alloc(max_alloc).timeout(longest);
    let state = new.create().expect("a state");
    lua(
        &state,
        &format!(
            "n = 0
             require 'netfilter'.register{{family = 'ipv4', hook = 'output', function(pkt)
               if pkt:u8(9) ~= 17 then return end
               {body}
               n = n + 1
             end}}"
        ),
    );
    state
}

/// Sends so many datagrams to nobody.
fn send(netns: &Netns, count: u32) {
    netns.within(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for _ in 0..count {
            socket.send_to(b"data", "127.0.0.1:9").expect("sends");
        }
    });
}

#[test]
fn their_coroutine_cannot_be_closed() {
    let netns = Netns::with_loopback();
    let state = on_datagram(
        &netns,
        1 << 20,
        "co = coroutine.running()
         closed = table.pack(pcall(coroutine.close))
         resumed = table.pack(coroutine.resume(co, 1, 2, 3))
         yielded = pcall(coroutine.yield)
         main = main and table.pack(pcall(coroutine.close, request))",
    );
    lua(&state, "request, main = coroutine.running(), true");
    for n in 1..=3 {
        send(&netns, 1);
        assert_eq!(integer(&state, "return n"), n);
        holds(&state, "return not closed[1] and not main[1]");
        assert!(string(&state, "return closed[2]").contains("cannot close main thread"));
        assert!(string(&state, "return main[2]").contains("cannot close main thread"));
        holds(&state, "return not resumed[1] and not yielded");
        assert_eq!(
            string(&state, "return resumed[2]"),
            "cannot resume non-suspended coroutine"
        );
        // From outside it looks as if it had not begun.
        holds(&state, "return not pcall(coroutine.close, co)");
        holds(
            &state,
            "return coroutine.resume(co) == false and coroutine.resume(co, 1, 2) == false",
        );
        holds(
            &state,
            "return not pcall(coroutine.wrap(coroutine.close), co)",
        );
    }
    let hooks = state.description().expect("a description").hooks;
    assert_eq!(hooks[0].errors, 0, "{hooks:?}");
}

/// Where memory is gone to the last byte, there is none for the text either.
#[test]
fn coroutines_that_are_dead_need_no_memory() {
    let netns = Netns::with_loopback();
    let state = on_datagram(
        &netns,
        96 << 10,
        "tries = tries + 1
         local filler, t = ('x'):rep(tries * 3), {}
         pcall(function() while true do t = {t} end end)
         -- The call itself may be too much.
         pcall(coroutine.resume, dead)
         t = nil",
    );
    lua(
        &state,
        "dead, tries = coroutine.create(function() end), 0
         coroutine.resume(dead)",
    );
    for _ in 0..100 {
        send(&netns, 1);
        // A namespace's hooks rest when they have had their share of a CPU.
        thread::sleep(Duration::from_millis(10));
    }
    assert!(integer(&state, "return tries") > 50);
    assert!(integer(&state, "return n") > 25);
}

/// Who registers hooks or opens maps lets go of its deadline meanwhile, and has it again
/// then. A timer that is set anew each time may come too late each time.
#[test]
fn hooks_that_come_and_go_end_with_their_deadline() {
    const LIMIT: Duration = Duration::from_millis(50);
    let netns = Netns::with_loopback();
    let (packets, process) = (netns.filter("a"), netns.state("b"));
    let spec = "{family = 'ipv4', hook = 'input', function() end}";
    lua(
        &packets,
        "require 'netfilter'.register{family = 'arp', hook = 'input', function() end}",
    );
    for (state, name, argument) in [
        (&packets, "require 'netfilter'.register", spec),
        (&packets, "require 'bpf'.map", "'/'"),
        (&process, "require 'bpf'.map", "'/'"),
    ] {
        // How often it returned after the deadline.
        let code = format!(
            "local now, f, argument = require 'linux'.monotonic, {name}, {argument}
             local over = now() + {}
             while true do
               local ok, hook = pcall(f, argument)
               if now() > over then late = late + 1 end
               if ok then hook:unregister() end
             end",
            LIMIT.as_nanos()
        );
        for _ in 0..10 {
            lua(state, "late = 0");
            let start = Instant::now();
            refused(state.call(&code).timeout(LIMIT).run(), ErrorKind::Deadline);
            assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
            let late = integer(state, "return late");
            assert!(late < 3, "{name}: {late} times");
        }
    }
}
