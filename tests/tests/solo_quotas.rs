// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host sets for all namespaces. It runs alone, because it changes
//! the module's parameters.

use std::time::Duration;

use lunatik::{ErrorKind, limits};
use lunatik_tests::{Netns, Parameter, integer, refused, sh};
use nix::libc;

#[test]
fn states_of_a_namespace() {
    let netns = Netns::new();
    let session = netns.session();
    let first = session.new_state("1").create().expect("a state");
    let quota = Parameter::set("max_states", "3");
    assert_eq!(session.info().expect("info").max_states, 3);
    session.new_state("2").create().expect("a state");
    session.new_state("3").create().expect("a state");
    let error = refused(session.new_state("4").create(), ErrorKind::Quota);
    assert_eq!(error.errno(), Some(libc::EDQUOT));
    let text = error.message().expect("a text");
    assert!(text.contains('3') && text.contains("quota"), "{text}");
    assert_eq!(session.states().expect("a listing").len(), 3);
    // Another namespace has its own.
    let other = Netns::new();
    other.state("1").close().expect("closes");
    // What is closed makes room.
    first.close().expect("closes");
    let state = session.new_state("4").create().expect("a state");
    assert_eq!(integer(&state, "return 1"), 1);
    // Those that are there stay when the quota falls.
    drop(quota);
    let _quota = Parameter::set("max_states", "1");
    assert_eq!(integer(&state, "return 1"), 1);
    refused(session.new_state("5").create(), ErrorKind::Quota);
}

#[test]
fn bytes_of_a_namespace() {
    let netns = Netns::new();
    let session = netns.session();
    let _quota = Parameter::set("max_total_alloc", "200000");
    let state = session.new_state("a").create().expect("a state");
    refused(
        state.do_string("t = {} for i = 1, 100000 do t[i] = i end"),
        ErrorKind::OutOfMemory,
    );
    assert_eq!(integer(&state, "t = nil return 1"), 1);
    let info = session.info().expect("info");
    assert!(info.alloc <= 200_000, "{info:?}");
    let mut made = 0;
    let error = loop {
        match session.new_state(&format!("s{made}")).create() {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 1000);
    };
    assert_eq!(error.kind(), ErrorKind::Quota, "{error}");
    assert!(error.to_string().contains("200000"), "{error}");
    let info = session.info().expect("info");
    assert!(info.alloc <= 200_000, "{info:?}");
    assert_eq!(info.states, made + 1);
    session.state("a").close().expect("closes");
    for n in 0..made {
        session.state(format!("s{n}")).close().expect("closes");
    }
    lunatik_tests::eventually("nothing is charged", || {
        session.info().expect("info").alloc == 0
    });
}

#[test]
fn ceilings_of_a_state() {
    let netns = Netns::new();
    let session = netns.session();
    let _alloc = Parameter::set("max_alloc", "65536");
    let _timeout = Parameter::set("max_timeout_us", "200000");
    let info = session.info().expect("info");
    assert_eq!(info.max_alloc, 65_536);
    assert_eq!(info.max_timeout, Duration::from_millis(200));
    assert!(info.timeout <= info.max_timeout, "{info:?}");
    let error = refused(
        session.new_state("a").max_alloc(65_537).create(),
        ErrorKind::OutOfRange,
    );
    let text = error.to_string();
    assert!(text.contains("65536"), "{text}");
    assert!(text.contains(&limits::MAX_ALLOC_MIN.to_string()), "{text}");
    let state = session.new_state("a").create().expect("a state");
    assert_eq!(state.snapshot().expect("a description").max_alloc, 65_536);
    let error = refused(
        state
            .call("return 1")
            .timeout(Duration::from_millis(201))
            .run(),
        ErrorKind::OutOfRange,
    );
    assert!(error.to_string().contains("200000"), "{error}");
    refused(state.do_string("while true do end"), ErrorKind::Deadline);
}

#[test]
fn user_namespaces_when_the_host_allows_them() {
    let line = "unshare --user --map-root-user --net sh -c \
                'lunatikctl newstate a && lunatikctl dostring a \"return 6 * 7\"'";
    sh(line).failure(4);
    let _allowed = Parameter::set("allow_user_ns", "1");
    assert_eq!(sh(line).success(), "42\n");
    // Such a user has no right over the host's namespace.
    let output = sh("unshare --user --map-root-user lunatikctl list");
    output.failure(4);
}
