// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `docs/` says of the tests.

use std::collections::BTreeSet;
use std::fs;

use crate::host;

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
