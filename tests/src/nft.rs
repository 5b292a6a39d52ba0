// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules of nftables, for tests that compare with them.

use std::process::Command;

use crate::{Netns, run, run_with};

impl Netns {
    /// Loads rules in nft's language, but none with sets, as in `dport { 1, 2 }`: the
    /// debug kernel complains of how 6.12 looks them up (`nft_set_lookup`).
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        run_with(self.command("nft").args(["-f", "-"]), rules.as_bytes()).success();
    }

    /// How many packets the named counter of a table has counted, `table` being
    /// such as `["inet", "filter"]`.
    #[track_caller]
    pub fn nft_counter(&self, table: [&str; 2], name: &str) -> u64 {
        let mut nft: Command = self.command("nft");
        let output = run(nft.args(["-j", "list", "counter"]).args(table).arg(name));
        let json = output.json();
        let objects = json["nftables"].as_array().expect("an array");
        let counter = objects.iter().find_map(|object| object.get("counter"));
        let packets = counter.and_then(|counter| counter["packets"].as_u64());
        packets.unwrap_or_else(|| panic!("no counter in {json}"))
    }
}
