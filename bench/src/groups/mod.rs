// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, a file for each group of them.

mod calls;
mod clients;
mod data;
mod ebpf;
mod limit;
mod lua;
mod others;
mod packets;
mod scale;

use crate::case::Case;

/// All cases. Those that unload the module come last: whoever has a session by then loses it.
pub(crate) fn cases() -> Vec<Case> {
    [
        calls::cases(),
        data::cases(),
        lua::cases(),
        scale::cases(),
        clients::cases(),
        packets::cases(),
        ebpf::cases(),
        others::cases(),
        limit::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_group_can_be_named() {
        let cases: Vec<_> = cases().iter().map(Case::listed).collect();
        let groups: BTreeSet<&str> = cases.iter().map(|case| &*case.group).collect();
        let expected = [
            "calls", "clients", "data", "ebpf", "limit", "lua", "others", "packets", "scale",
        ];
        assert_eq!(groups, BTreeSet::from(expected));
        assert!(cases.iter().all(|case| !case.machines.is_empty()));
        let readme = include_str!("../../../README.md");
        let performance = include_str!("../../../docs/performance.md");
        for group in groups {
            assert!(readme.contains(&format!("| `{group}` |")), "{group}");
            assert!(performance.contains(&format!("\n## `{group}`")), "{group}");
        }
    }
}
