// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples of docs/libraries.md give what it says.

use lunatik_tests::{Netns, lua};

const DOCS: &str = include_str!("../../docs/libraries.md");

#[test]
fn examples_of_the_libraries_give_what_they_say() {
    let netns = Netns::new();
    let session = netns.session();
    let mut blocks = DOCS.split("\n```").skip(1);
    let mut examples = 0;
    while let Some(block) = blocks.next() {
        let Some(code) = block.strip_prefix("lua\n") else {
            continue;
        };
        // The end of this block, then what it prints
        let expected = blocks.nth(1).and_then(|block| block.strip_prefix("text\n"));
        let expected = expected.unwrap_or_else(|| panic!("no output of {code}"));
        let state = session.new_state("a").ephemeral(true).create();
        let state = state.expect("a state");
        let values = lua(&state, code);
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        assert_eq!(values.join("\t"), expected, "{code}");
        state.close().expect("no other session");
        examples += 1;
    }
    assert_eq!(examples, DOCS.matches("```lua").count());
    assert!(examples > 4);
}
