// SPDX-License-Identifier: MIT OR Apache-2.0
//! Documents in Markdown, whose code is run as it is.

use std::process::Command;

use crate::{Netns, run};

/// A block of code, and what it should print.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The code.
    pub code: &'a str,
    /// The `text` block after it, in which `...` stands for anything.
    pub output: Option<&'a str>,
}

impl<'a> Block<'a> {
    /// The blocks of a document that are in `language`.
    #[track_caller]
    pub fn all(document: &'a str, language: &str) -> Vec<Self> {
        let mut blocks = Vec::<Self>::new();
        let mut rest = document;
        let mut last = "";
        while let Some((_, fence)) = rest.split_once("\n```") {
            let (tag, body) = fence.split_once('\n').expect("a block has lines");
            let end = body.find("```").expect("a block ends");
            let code = &body[..end];
            rest = &body[end + "```".len()..];
            if tag == language {
                blocks.push(Self { code, output: None });
            } else if tag == "text" && last == language {
                blocks.last_mut().expect("one came before").output = Some(code);
            }
            last = tag;
        }
        assert!(!blocks.is_empty(), "the document has no {language}");
        blocks
    }

    /// Fails unless it is this that was printed, which is nothing if no text follows it.
    #[track_caller]
    pub fn gives(&self, printed: &str) {
        let Self { code, output } = self;
        let output = output.unwrap_or_default();
        assert!(matches(printed, output), "{code}\nprinted\n{printed}");
    }

    /// Runs shell commands in a namespace and a folder, where they must succeed and
    /// print what they should.
    #[track_caller]
    pub fn run_in(&self, netns: &Netns, folder: &str) {
        let script = format!("set -e; exec 2>&1; cd '{folder}'\n{}", self.code);
        // Unlike `ip netns exec` this leaves /sys as it is, where bpffs is.
        let output = netns.within(|| run(Command::new("sh").args(["-c", &script])));
        self.gives(output.success());
    }
}

/// Whether `text` is what `pattern` says.
fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split("...");
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
