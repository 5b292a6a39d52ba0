// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Lua module, under lua5.4 as Debian has it.

use lunatik_tests::Netns;

#[test]
fn the_line_of_the_issue() {
    let netns = Netns::new();
    let line = "local l=require\"lunatik\"; local s=l.newstate(\"b\"); print(s:dostring(\"return 6*7\")); s:close()";
    let output = lunatik_tests::run(netns.command("lua5.4").args(["-e", line]));
    assert_eq!(output.success(), "42\n");
    assert_eq!(netns.session().states().expect("a listing"), []);
}

macro_rules! scripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let netns = Netns::new();
            let script = include_str!(concat!(
                "../../lua-bindings/tests/kernel/",
                stringify!($name),
                ".lua"
            ));
            let output = netns.lua(script);
            assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
        }
    )*};
}

scripts! { contexts data netns run state }

#[test]
fn failures_are_values_and_misuse_raises() {
    let netns = Netns::new();
    let output = netns.lua(
        r#"
        local l = require "lunatik"
        local s, message, code = l.getstate "nosuch"
        print(s, message, code)
        print(pcall(l.newstate))
        print(pcall(l.newstate, {}))
        local s <close> = assert(l.newstate "a")
        print(select(3, s:dostring "x ="))
        print(s.name, s.maxalloc, s.curralloc > 0)
        "#,
    );
    let lines: Vec<_> = output.success().lines().collect();
    assert_eq!(lines[0], "nil\tno such state in this namespace\tENOENT");
    assert!(lines[1].starts_with("false\t"), "{output:?}");
    assert!(lines[2].starts_with("false\t"), "{output:?}");
    assert_eq!(lines[3], "ENOEXEC");
    assert_eq!(lines[4], "a\t1048576\ttrue");
}

#[test]
fn a_script_that_ends_leaves_no_reference() {
    let netns = Netns::new();
    let state = netns.state("a");
    netns
        .lua("local l = require 'lunatik' for i = 1, 100 do s = assert(l.getstate 'a') end os.exit(0)")
        .success();
    assert_eq!(lunatik_tests::references(&state), 1);
}
