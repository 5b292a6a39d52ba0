// SPDX-License-Identifier: MIT OR Apache-2.0
//! What packets cost more because of a hook, and what a replica for each CPU is good for.

mod added;
mod cpus;
mod hook;

use figures::Machine;

use crate::case::Case;

const GROUP: &str = "packets";

pub(crate) fn cases() -> Vec<Case> {
    // One case, since a cost that is added takes two measurements. A clock is not exact enough for their difference.
    vec![
        Case::other(GROUP, "netfilter", added::measure).on(&[Machine::Counted]),
        Case::other(GROUP, "2 CPUs", cpus::measure).on(&[Machine::Pair]),
    ]
}
