// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README is true: its `sh`, `lua` and `rust` blocks run, and give what the
//! `text` block after them says, in which `...` stands for anything.

use std::{fs::File, thread};

use lunatik_tests::{Netns, run};
use nix::sched::{CloneFlags, setns};

const README: &str = include_str!("../../README.md");
const ITSELF: &str = include_str!("readme.rs");

/// A block of code, and what it should print.
struct Block<'a> {
    code: &'a str,
    output: Option<&'a str>,
}

/// The blocks of the README in `language`.
fn blocks(language: &str) -> Vec<Block<'static>> {
    let mut blocks = Vec::new();
    let mut rest = README;
    let mut last = "";
    while let Some((_, fence)) = rest.split_once("\n```") {
        let (tag, body) = fence.split_once('\n').expect("a block has lines");
        let end = body.find("```").expect("a block ends");
        let code = &body[..end];
        rest = &body[end + "```".len()..];
        if tag == language {
            blocks.push(Block { code, output: None });
        } else if tag == "text" && last == language {
            blocks.last_mut().expect("one came before").output = Some(code);
        }
        last = tag;
    }
    assert!(!blocks.is_empty(), "the README has no {language}");
    blocks
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

#[test]
fn shell_blocks_do_what_they_say() {
    const END: &str = "--- end of block:";
    let blocks = blocks("sh");
    let mut script = "exec 2>&1; cd \"$(mktemp -d)\"\n".to_owned();
    for block in &blocks {
        script += block.code;
        script.extend(["echo '", END, "' $?\n"]);
    }
    let netns = Netns::new();
    let output = run(netns.command("sh").args(["-c", &script]));
    let mut rest = output.success();
    for Block { code, output } in blocks {
        let (printed, end) = rest.split_once(END).expect("each block ends");
        let (status, next) = end.split_once('\n').expect("a line");
        rest = next;
        match output {
            Some(output) => assert!(matches(printed, output), "{code}\nprinted\n{printed}"),
            None => assert_eq!((printed, status.trim()), ("", "0"), "{code}"),
        }
    }
}

#[test]
fn lua_blocks_do_what_they_say() {
    let netns = Netns::new();
    for Block { code, output } in blocks("lua") {
        let printed = netns.lua(code);
        let output = output.unwrap_or_default();
        assert!(
            matches(printed.success(), output),
            "{code}\nprinted\n{printed:?}"
        );
    }
}

/// The README's Rust.
fn rust() -> lunatik::Result<()> {
    // BEGIN
    let session = lunatik::Session::open()?; // or in_netns("red"), of_pid(4711)
    let fw = session.new_state("rust").max_alloc(1 << 20).create()?;

    let values = fw.do_string("return 1 + 1, {x = 2}")?;
    assert_eq!(values[0].as_integer(), Some(2));

    fw.do_string("lunatik = require 'lunatik' lunatik.receive(string.upper)")?;
    assert_eq!(fw.send_data("ping")?.as_deref(), Some(&b"PING"[..]));

    // Many messages in one system call; each has its own answer or error.
    for answer in fw.send_all(["a", "b", "c"]) {
        assert_eq!(answer?.map(|reply| reply.len()), Some(1));
    }

    let mut messages = fw.subscribe()?;
    fw.do_string("lunatik.send('from the kernel')")?;
    assert_eq!(messages.recv()?.data, b"from the kernel");

    let error = fw.do_string("error('boom')").unwrap_err();
    assert_eq!(error.kind(), lunatik::ErrorKind::Script);
    fw.close()?;
    // END
    Ok(())
}

#[test]
fn rust_block_runs_as_it_is() {
    let [Block { code, .. }] = &blocks("rust")[..] else {
        panic!("the README has more Rust than this test");
    };
    let (_, body) = ITSELF.split_once("// BEGIN\n").expect("it begins");
    let (body, _) = body.split_once("    // END").expect("it ends");
    let body = body
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    assert_eq!(code.lines().collect::<Vec<_>>(), body.collect::<Vec<_>>());

    let netns = Netns::new();
    let file = File::open(netns.path()).expect("a namespace");
    thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).expect("enters the namespace");
        rust().expect("it works");
    })
    .join()
    .expect("it does not panic");
}
