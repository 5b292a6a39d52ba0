// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the README and `docs/` say of the tests and of our commands.

use std::collections::BTreeSet;
use std::fs;

use clap::Parser;

use crate::{Cli, host};

/// The tests that a text names, as `file::test`.
fn named(text: &str) -> BTreeSet<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once("::"))
        .filter(|(file, test)| {
            let is_name = |name: &str| {
                !name.is_empty()
                    && name
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            is_name(file) && is_name(test) && (*file, *test) != ("file", "test")
        })
        .collect()
}

#[test]
fn the_tests_that_show_a_promise_exist() {
    let workspace = host::workspace().unwrap();
    let text = fs::read_to_string(workspace.join("docs/security.md")).unwrap();
    let tests = named(&text);
    assert!(tests.len() > 40, "{tests:?}");
    for (file, test) in tests {
        let path = workspace
            .join("tests/tests")
            .join(file)
            .with_extension("rs");
        let source = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}::{test}: {e}"));
        let heading = format!("#[test]\nfn {test}(");
        assert!(source.contains(&heading), "{file}::{test}");
    }
}

#[test]
fn names_of_tests() {
    let text = "`a::b_1`, `file::test`, `Not::this`, `x` a::c";
    assert_eq!(named(text), BTreeSet::from([("a", "b_1")]));
}

/// The commands of `cargo xtask` in blocks of a text, word by word.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("$ cargo xtask "));
    lines.map(words).collect()
}

/// The words of a line, of which some are in quotes.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(at, part)| {
            if at % 2 == 1 {
                vec![part]
            } else {
                part.split_whitespace().collect()
            }
        })
        .collect()
}

#[test]
fn commands_that_are_shown_are_understood() {
    let workspace = host::workspace().unwrap();
    let mut count = 0;
    for file in ["README.md", "docs/performance.md", "docs/security.md"] {
        let text = fs::read_to_string(workspace.join(file)).unwrap();
        for command in commands(&text) {
            let words = ["cargo xtask"].iter().chain(&command);
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{file}: {command:?}: {error}");
            }
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn words_of_commands() {
    let text = "cargo xtask no\n$ cargo xtask bench \"a b\" c -- d\n$ ls\n";
    assert_eq!(commands(text), [["bench", "a b", "c", "--", "d"]]);
}
