// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples of docs/packets.md do what it says.

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
