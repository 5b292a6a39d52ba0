// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client library's examples and the tour of hostile scripts, each in a namespace of its own.

use std::fs;

use lunatik_tests::{Netns, run};

#[test]
fn every_example_succeeds() {
    let mut names: Vec<String> = fs::read_dir("/examples")
        .expect("the examples are installed")
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("a name in UTF-8"))
        .collect();
    names.sort();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let netns = Netns::new();
        // For the packets of `hooks`.
        netns.ip("link set lo up").success();
        let mut command = netns.command(&format!("/examples/{name}"));
        if name == "netns" {
            command.arg(netns.name());
        }
        let output = run(&mut command);
        println!("{name}: {}", output.success());
    }
}

#[test]
fn the_hostile_tour_succeeds() {
    let netns = Netns::new();
    let mut command = netns.command("sh");
    let output = run(command.arg("/files/examples/hostile/tour.sh"));
    println!("{}", output.success());
}
