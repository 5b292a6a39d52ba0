// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README is true: its `sh`, `lua` and `rust` blocks run, and give what the
//! `text` block after them says, in which `...` stands for anything; and so are its
//! tables of numbers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    thread,
};

use lunatik::limits;
use lunatik_tests::{Block, Netns, run, string};
use nix::sched::{CloneFlags, setns};

const README: &str = include_str!("../../README.md");
const ITSELF: &str = include_str!("readme.rs");

#[test]
fn shell_blocks_do_what_they_say() {
    const END: &str = "--- end of block:";
    let blocks = Block::all(README, "sh");
    let mut script = "exec 2>&1; cd \"$(mktemp -d)\"\n".to_owned();
    for block in &blocks {
        script += block.code;
        script.extend(["echo '", END, "' $?\n"]);
    }
    let netns = Netns::new();
    let output = run(netns.command("sh").args(["-c", &script]));
    let mut rest = output.success();
    for block in blocks {
        let (printed, end) = rest.split_once(END).expect("each block ends");
        let (status, next) = end.split_once('\n').expect("a line");
        rest = next;
        block.gives(printed);
        // What it prints tells how it ended.
        if block.output.is_none() {
            assert_eq!(status.trim(), "0", "{}", block.code);
        }
    }
}

#[test]
fn lua_blocks_do_what_they_say() {
    let netns = Netns::new();
    for block in Block::all(README, "lua") {
        block.gives(netns.lua(block.code).success());
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
    let [Block { code, .. }] = &Block::all(README, "rust")[..] else {
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

/// The rows of the table that begins with `header`, as cells without their code marks.
fn table(header: &str) -> Vec<Vec<String>> {
    let (_, table) = README
        .split_once(&format!("{header}\n"))
        .unwrap_or_else(|| panic!("no table {header}"));
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect()
    };
    let rows: Vec<_> = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect();
    assert!(!rows.is_empty(), "{header} has no rows");
    rows
}

#[test]
fn parameters_have_the_defaults_that_it_names() {
    let folder = "/sys/module/lunatik/parameters";
    let value = |name: &str| fs::read_to_string(format!("{folder}/{name}")).expect("a parameter");
    let told: BTreeMap<_, _> = table("| parameter | default | meaning |")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let real: BTreeMap<_, _> = fs::read_dir(folder)
        .expect("the module has parameters")
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("UTF-8"))
        .map(|name| (name.clone(), value(&name).trim().to_owned()))
        .collect();
    assert_eq!(told, real);
}

#[test]
fn libraries_and_functions_of_the_states_own_are_told() {
    // Those with a dot are parts of others.
    let (_, text) = include_str!("../../kmod/lib/base.c")
        .split_once("luaL_Reg builtin[] = {\n")
        .expect("there are libraries");
    let mut libraries: Vec<_> = text
        .lines()
        .map_while(|line| line.trim().strip_prefix("{ \"")?.split_once('"'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains('.') && *name != "lunatik")
        .chain(["packet"])
        .collect();
    libraries.sort_unstable();
    let rows = table("| library | |");
    let mut told: Vec<_> = rows
        .iter()
        .flat_map(|row| row[0].split(", "))
        .map(|link| link.trim_start_matches('[').split(']').next())
        .map(|name| name.expect("a name"))
        .collect();
    told.sort_unstable();
    assert_eq!(told, libraries);

    let netns = Netns::new();
    let names = string(
        &netns.state("a"),
        "local names = {}
         for name in pairs(require 'lunatik') do names[#names + 1] = name end
         table.sort(names)
         return table.concat(names, ' ')",
    );
    let rows = table("`require \"lunatik\"` gives:\n\n| | |");
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| row[0].trim_start_matches("lunatik.").split('('))
        .map(|mut name| name.next().expect("a name"))
        // With --percpu only
        .filter(|name| *name != "cpu")
        .collect();
    told.sort_unstable();
    assert_eq!(told.join(" "), names);
}

#[test]
fn limits_are_those_that_it_names() {
    const KIB: usize = 1 << 10;
    let netns = Netns::new();
    let info = netns.session().info().expect("info");
    let state = netns.state("a").description().expect("a description");
    let expected = [
        format!(
            "1 to {} printable ASCII characters without /",
            limits::STATE_NAME
        ),
        format!("{} bytes", limits::CHUNK_NAME),
        format!("{} KiB", limits::CODE / KIB),
        format!("{} KiB", limits::DATA / KIB),
        format!("{} KiB", limits::STRING / KIB),
        format!("{} MiB", limits::REPLY >> 20),
        limits::TABLE_DEPTH.to_string(),
        format!("{} bytes", limits::LOG_LINE),
        // log::the_log_is_bounded_and_tells_what_is_lost
        "the newest lines in 16 KiB, or in a quarter of the memory cap".to_owned(),
        format!(
            "{} KiB to {} MiB, {} MiB if not given",
            limits::MAX_ALLOC_MIN >> 10,
            info.max_alloc >> 20,
            state.max_alloc >> 20
        ),
        format!(
            "{} s, {} s if not given",
            info.max_timeout.as_secs(),
            info.timeout.as_secs()
        ),
        format!(
            "{} ms, {} ms if not given",
            info.max_softirq_timeout.as_millis(),
            info.softirq_timeout.as_millis()
        ),
        limits::HOOKS.to_string(),
        limits::TIMERS.to_string(),
        info.max_states.to_string(),
        // outbox::one_callback_sends_no_more_than_may_wait
        "4 MiB".to_owned(),
        format!("{} MiB", info.max_total_alloc >> 20),
        lunatik_sys::LUNATIK_SUBSCRIBERS_MAX.to_string(),
    ];
    let told: Vec<_> = table("| what | limit |")
        .into_iter()
        .map(|row| row[1].clone())
        .collect();
    assert_eq!(told, expected);
}
