// SPDX-License-Identifier: MIT OR Apache-2.0
//! A few cases of the fuzzers, always the same. `cargo xtask fuzz` runs others.

use lunatik_fuzz::{Limit, Plan, lua, netlink};

/// Another number makes other cases.
const SEED: u64 = 1;

fn plan(cases: u64) -> Plan {
    Plan {
        seed: SEED,
        threads: 2,
        first: 0,
        limit: Limit::Cases(cases),
        trace: false,
    }
}

#[test]
fn fuzzed_messages_are_answered() {
    let tally = netlink::run(&plan(1000)).unwrap_or_else(|e| panic!("{e:#}"));
    println!("{tally}");
    for operation in ["NEWSTATE", "DOSTRING", "GETSTATE dump"] {
        assert!(tally.count(operation, "ok") > 50, "{operation}:\n{tally}");
        assert!(
            tally.count(operation, "EINVAL") > 50,
            "{operation}:\n{tally}"
        );
    }
}

#[test]
fn fuzzed_programs_do_no_harm() {
    let tally = lua::run(&plan(600)).unwrap_or_else(|e| panic!("{e:#}"));
    println!("{tally}");
    let (all, ended) = (tally.total("program"), tally.count("program", "ok"));
    assert_eq!(all, 600);
    assert!(ended > all / 3, "{tally}");
}
