// SPDX-License-Identifier: MIT OR Apache-2.0
//! A few cases of the fuzzers, always the same. `cargo xtask fuzz` runs others.

use std::fs;

use lunatik_fuzz::{Limit, Plan, lua, netlink, packets};

/// Another number makes other cases.
const SEED: u64 = 1;

fn plan(cases: u64) -> Plan {
    // A kernel with checkers takes its time for each.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let share = if release.contains("debug") { 20 } else { 1 };
    Plan {
        seed: SEED,
        threads: 2,
        first: 0,
        limit: Limit::Cases(cases / share),
        trace: false,
    }
}

#[test]
fn fuzzed_messages_are_answered() {
    let tally = netlink::run(&plan(1000)).unwrap_or_else(|e| panic!("{e:#}"));
    println!("{tally}");
    for operation in ["NEWSTATE", "DOSTRING", "GETSTATE dump"] {
        for outcome in ["ok", "EINVAL"] {
            assert!(tally.count(operation, outcome) > 0, "{operation}:\n{tally}");
        }
    }
}

#[test]
fn fuzzed_programs_do_no_harm() {
    let plan = plan(600);
    let tally = lua::run(&plan).unwrap_or_else(|e| panic!("{e:#}"));
    println!("{tally}");
    let (all, ended) = (tally.total("program"), tally.count("program", "ok"));
    assert!(matches!(plan.limit, Limit::Cases(cases) if cases == all));
    assert!(ended > all / 10, "{tally}");
}

#[test]
fn fuzzed_programs_for_packets_do_no_harm() {
    let plan = plan(200);
    let tally = packets::run(&plan).unwrap_or_else(|e| panic!("{e:#}"));
    println!("{tally}");
    let (all, ended) = (tally.total("program"), tally.count("program", "ok"));
    assert!(matches!(plan.limit, Limit::Cases(cases) if cases == all));
    assert!(ended > all / 10, "{tally}");
    assert!(tally.count("callbacks", "runs") > all, "{tally}");
}
