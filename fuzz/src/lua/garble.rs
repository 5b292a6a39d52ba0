// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs with a few words in the wrong place, for the compiler.

use crate::random::Random;

/// Words that may come anywhere.
const WORDS: &[&str] = &[
    "and",
    "break",
    "do",
    "else",
    "elseif",
    "end",
    "false",
    "for",
    "function",
    "global",
    "goto",
    "if",
    "in",
    "local",
    "nil",
    "not",
    "or",
    "repeat",
    "return",
    "then",
    "true",
    "until",
    "while",
    "...",
    "..",
    "::",
    ";",
    ",",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "=",
    "==",
    "<const>",
    "<close>",
    "1e5",
    "0x",
    "'",
    "[[",
    "--[[",
    "\\",
    "~",
    "//",
    "<<",
    "#",
    "@",
    "\u{1b}",
    "9223372036854775808",
    "1.5",
    "v1",
    "g0",
];

/// `text` with one to four words removed, doubled, exchanged or added.
pub(super) fn program(random: &mut Random, text: &str) -> String {
    let mut words: Vec<&str> = text.split_inclusive([' ', '\n', '(', ')', ',']).collect();
    for _ in 0..random.within(1, 4) {
        if words.is_empty() {
            break;
        }
        let (at, other) = (random.below(words.len()), random.below(words.len()));
        match random.below(5) {
            0 => {
                words.remove(at);
            }
            1 => words.insert(at, words[at]),
            2 => words.swap(at, other),
            3 => words.truncate(at + 1),
            _ => words
                .splice(at..at, [" ", random.pick(WORDS), " "])
                .for_each(drop),
        }
    }
    words.concat()
}
