// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timers of states, of both contexts.

use std::{thread, time::Duration};

use lunatik::{ErrorKind, State};
use lunatik_tests::{
    Netns, by_kernel, eventually, holds, integer, lua, lua_error, string, tell, undisturbed,
};

/// A state of each context.
fn both(netns: &Netns) -> [State; 2] {
    [netns.state("process"), netns.filter("softirq")]
}

fn timers(state: &State) -> u32 {
    state.description().expect("a description").timers
}

#[test]
fn after_comes_once_and_not_before_its_time() {
    let netns = Netns::new();
    for state in both(&netns) {
        lua(
            &state,
            "lunatik, linux = require 'lunatik', require 'linux'
             local start = linux.monotonic()
             order, early = {}, 0
             local function after(ms)
               lunatik.after(ms, function()
                 order[#order + 1] = ms
                 if linux.monotonic() - start < ms * 1000000 then early = early + 1 end
               end)
             end
             for _, ms in ipairs {150, 0, 50, 250, 100} do after(ms) end",
        );
        eventually("all came", || integer(&state, "return #order") == 5);
        // Those that are late together come in any order, but none comes early.
        assert_eq!(integer(&state, "return early"), 0);
        assert_eq!(integer(&state, "return order[1]"), 0);
        assert_eq!(timers(&state), 0);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(integer(&state, "return #order"), 5);
    }
}

/// Each comes at a multiple of its interval after it was made, whatever the calls before took.
#[test]
fn every_does_not_drift() {
    const WINDOWS: i64 = 5;
    undisturbed(|| {
        let netns = Netns::new();
        for state in both(&netns) {
            // The last call of each window takes longer than an interval: a timer that counts
            // from its last call is late from then on. Of the others the least late tells,
            // for a busy machine delays some.
            lua(
                &state,
                "lunatik, linux = require 'lunatik', require 'linux'
                 local interval, calls = 40000000, 8
                 n, least = 0, {}
                 local function tick()
                   local now = linux.monotonic()
                   local window = n // calls + 1
                   n = n + 1
                   if n % calls == 0 then
                     while linux.monotonic() - now < interval * 7 // 5 do end
                     return
                   end
                   local late = (now - start) % interval
                   least[window] = math.min(least[window] or late, late)
                 end
                 -- It begins between the two.
                 repeat
                   if timer then timer:cancel() end
                   start = linux.monotonic()
                   timer = lunatik.every(40, tick)
                 until linux.monotonic() - start < 2000000
                 function due() return (linux.monotonic() - start) // interval end",
            );
            eventually("they come", || integer(&state, "return n // 8") >= WINDOWS);
            lua(&state, "was = timer:cancel()");
            holds(&state, "return was");
            let n = integer(&state, "return n");
            let due = integer(&state, "return due()");
            let late: Vec<_> = (1..=WINDOWS)
                .map(|window| integer(&state, &format!("return least[{window}] // 1000")))
                .collect();
            tell!("{n} of {due} timers came, the least late of each window by {late:?} us");
            assert!(n <= due, "{n} of {due}");
            assert!(late.iter().all(|late| *late < 10_000), "{late:?} us");
            thread::sleep(Duration::from_millis(100));
            assert_eq!(integer(&state, "return n"), n);
            holds(&state, "return timer:cancel() == false");
            assert_eq!(string(&state, "return tostring(timer)"), "timer (gone)");
        }
    });
}

#[test]
fn timers_are_cancelled_from_anywhere() {
    let netns = Netns::new();
    for state in both(&netns) {
        lua(
            &state,
            "lunatik = require 'lunatik'
             n = {own = 0, other = 0, closed = 0, again = 0, late = 0}
             own = lunatik.every(1, function() n.own = n.own + 1 result = own:cancel() end)
             other = lunatik.after(60000, function() n.other = n.other + 1 end)
             lunatik.after(1, function() second = other:cancel() end)
             do local closed <close> = lunatik.after(1, function() n.closed = n.closed + 1 end) end
             -- One that makes the next, whose handle nobody keeps
             local function again()
               n.again = n.again + 1
               if n.again < 5 then lunatik.after(1, again) end
             end
             again()
             -- Both are late at once: the first cancels the second.
             a = lunatik.after(5, function() n.late = n.late + 1 b:cancel() end)
             b = lunatik.after(5, function() n.late = n.late + 1 a:cancel() end)
             collectgarbage()",
        );
        eventually("all came", || {
            integer(&state, "return n.again") == 5 && timers(&state) == 0
        });
        holds(
            &state,
            "return n.own == 1 and result and n.other == 0 and second and n.closed == 0 and n.late == 1",
        );
        for (code, named) in [
            ("lunatik.after(-1, print)", "negative"),
            ("lunatik.every(0, print)", "at least 1"),
            ("lunatik.after(1 << 62, print)", "out of range"),
            ("lunatik.after(1)", "function"),
            ("lunatik.after('x', print)", "number"),
            ("own.cancel()", "timer"),
            ("own.cancel(io)", "timer"),
        ] {
            let text = lua_error(&state, code, ErrorKind::Script);
            assert!(text.contains(named), "{code}: {text}");
        }
    }
}

#[test]
fn so_many_may_be_pending() {
    let netns = Netns::new();
    for state in both(&netns) {
        lua(
            &state,
            "lunatik = require 'lunatik'
             t = {}
             for i = 1, 1000 do t[i] = lunatik.after(100000, print) end
             for i = 1001, 1024 do t[i] = lunatik.after(100000, print) end",
        );
        let text = lua_error(&state, "lunatik.after(1, print)", ErrorKind::Script);
        assert!(text.contains("1024"), "{text}");
        assert_eq!(timers(&state), 1024);
        lua(&state, "t[7]:cancel() t[7] = lunatik.after(100000, print)");
        state.close().expect("closes");
    }
}

#[test]
fn failures_of_timers_are_counted_and_logged() {
    let netns = Netns::new();
    for state in both(&netns) {
        for (body, named) in [
            ("error 'failed'", "failed"),
            ("while true do end", "deadline"),
            (
                "local t = {} for i = 1, 1 << 40 do t[i] = i end",
                "not enough memory",
            ),
        ] {
            let before = state.description().expect("a description").errors;
            lua(
                &state,
                &format!("require 'lunatik'.after(1, function() {body} end)"),
            );
            eventually("it fails", || {
                state.description().expect("a description").errors > before
            });
            // What is counted is logged next.
            eventually("it is logged", || {
                let lines = state.log(None).expect("a log").lines;
                let last = lines.last().map(|line| String::from_utf8_lossy(&line.text));
                last.is_some_and(|last| last.contains(named) && last.contains("timer"))
            });
            assert_eq!(integer(&state, "return 6 * 7"), 42);
        }
    }
}

/// A function that makes and cancels others until it is ended, which is when its state is
/// closed.
#[test]
fn a_state_is_closed_while_its_timers_change() {
    let netns = Netns::new();
    for round in 0..by_kernel(30, 6) {
        for state in both(&netns) {
            lua(
                &state,
                "lunatik, n = require 'lunatik', 0
                 for i = 1, 1000 do lunatik.after(100000 + i, print) end
                 lunatik.every(1, function()
                   while true do
                     n = n + 1
                     lunatik.after(200000, print):cancel()
                   end
                 end)",
            );
            if round % 2 == 0 {
                eventually("it fires", || {
                    state.description().expect("one").run_time > Duration::ZERO
                });
            } else {
                thread::sleep(Duration::from_millis(3));
            }
            state.close().expect("closes");
        }
    }
}

#[test]
fn timers_go_with_their_state_and_namespace() {
    for deleted in [false, true] {
        let netns = Netns::new();
        let states = both(&netns);
        for state in &states {
            lua(
                state,
                "for i = 1, 50 do
                   require 'lunatik'.every(1, function() n = (n or 0) + 1 end)
                   require 'lunatik'.after(100000, print)
                 end",
            );
            eventually("they fire", || integer(state, "return n or 0") > 50);
        }
        if deleted {
            drop(states);
            netns.delete();
        } else {
            for state in states {
                state.close().expect("closes");
            }
            assert_eq!(netns.session().states().expect("a listing"), []);
        }
    }
}
