// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples of docs/packets.md do what it says, and it says all that packets can do.

use lunatik_tests::{Block, Netns, run};
use std::process::Command;

const PAGE: &str = include_str!("../../docs/packets.md");

#[test]
fn examples_of_packets_and_timers_print_what_they_say() {
    for block in Block::all(PAGE, "sh") {
        let netns = Netns::new();
        let up = netns.within(|| run(Command::new("ip").args(["link", "set", "lo", "up"])));
        up.success();
        block.run_in(&netns, "/");
    }
}

#[test]
fn every_method_of_packets_is_told() {
    let (_, table) = include_str!("../../kmod/packet.c")
        .split_once("luaL_Reg methods[] = {\n")
        .expect("packets have methods");
    let names: Vec<_> = table
        .lines()
        .map_while(|line| line.trim().strip_prefix("{ \"")?.split_once('"'))
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"append"), "{names:?}");
    for name in names {
        assert!(
            PAGE.contains(&format!("| `pkt:{name}(")) || PAGE.contains(&format!("` `pkt:{name}(")),
            "{name}"
        );
    }
}
