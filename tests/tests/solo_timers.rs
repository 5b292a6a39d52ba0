// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timers that use up the time that all states' timers have on a CPU, which those of other
//! tests would wait for.

use std::{
    thread,
    time::{Duration, Instant},
};

use lunatik::State;
use lunatik_tests::{Netns, eventually, integer, lua, stay_on, tell};

/// However many states have timers that never end, others have their share of the CPU.
#[test]
fn hostile_timers_leave_the_cpu_to_others() {
    let work = || {
        let start = Instant::now();
        let mut x = 1_u64;
        for n in 0..4_000_000_u64 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n));
        }
        std::hint::black_box(x);
        start.elapsed()
    };
    // Where all of it is to be.
    stay_on(0);
    let alone = work().min(work());
    let netns = Netns::new();
    let session = netns.session();
    let states: Vec<_> = (0..8)
        .flat_map(|n| {
            [
                session
                    .new_state(&format!("p{n}"))
                    .create()
                    .expect("a state"),
                netns.filter(&format!("s{n}")),
            ]
        })
        .collect();
    for state in &states {
        lua(
            state,
            "for i = 1, 20 do
               require 'lunatik'.every(1, function() while true do end end)
             end",
        );
    }
    let kills = || -> u64 {
        let kills = |state: &State| state.description().expect("a description").deadline_kills;
        states.iter().map(kills).sum()
    };
    eventually("they run", || kills() > 10);
    // Another namespace's come, on the same CPU, when one that is under way has ended.
    let other = Netns::new().filter("other");
    lua(
        &other,
        "n = 0
         start = require 'linux'.monotonic()
         require 'lunatik'.every(20, function() n = n + 1 end)",
    );
    let beside = work().min(work());
    thread::sleep(Duration::from_secs(2));
    let n = integer(&other, "return n");
    let due = integer(
        &other,
        "return (require 'linux'.monotonic() - start) // 20000000",
    );
    tell!("{n} of {due} timers of another namespace came");
    assert!(n >= due / 8, "{n} of {due}");
    tell!("work takes {alone:?} alone, {beside:?} beside hostile timers");
    assert!(
        beside < 8 * alone + Duration::from_secs(1),
        "{alone:?} alone, {beside:?} beside them"
    );
    // They are closed as soon as others.
    for state in states {
        state.close().expect("closes");
    }
}
