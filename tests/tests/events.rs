// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens to states, told to who listens.

use std::time::Duration;

use lunatik::{ErrorKind, Event, Events};
use lunatik_tests::{Netns, SOON, lua, refused};
use nix::{libc, sys::signal::Signal};

/// Of a run that has no end.
const SHORT: Duration = Duration::from_millis(500);

fn next(events: &mut Events) -> Event {
    events
        .recv_timeout(SOON)
        .expect("open")
        .expect("an event came")
}

fn created(name: &str, id: u32) -> Event {
    Event::Created {
        state: name.to_owned(),
        state_id: id,
    }
}

fn closed(name: &str, id: u32) -> Event {
    Event::Closed {
        state: name.to_owned(),
        state_id: id,
    }
}

#[test]
fn states_come_and_go() {
    let netns = Netns::new();
    let session = netns.session();
    let mut events = session.events().expect("events");
    let mut ids = Vec::new();
    for force in [false, true] {
        let state = session.new_state("a").create().expect("a state");
        let id = state.id().expect("a number");
        assert_eq!(next(&mut events), created("a", id));
        lua(&state, "return 1");
        if force {
            state.close_force().expect("closes");
        } else {
            state.close().expect("closes");
        }
        assert_eq!(next(&mut events), closed("a", id));
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(events.try_recv().expect("open"), None);
}

#[test]
fn refusals_are_no_events() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    let mut events = session.events().expect("events");
    refused(session.new_state("a").create(), ErrorKind::Exists);
    refused(session.new_state("a/b").create(), ErrorKind::Invalid);
    refused(session.state("nosuch").close(), ErrorKind::NoState);
    refused(session.state("a").close(), ErrorKind::Busy);
    lua(&state, "return 1");
    assert_eq!(events.try_recv().expect("open"), None);
}

#[test]
fn failures_are_told_with_their_errno_and_text() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session
        .new_state("a")
        .timeout(SOON)
        .create()
        .expect("a state");
    let id = state.id().expect("a number");
    let mut events = session.events().expect("events");
    for (code, number, text) in [
        ("error 'boom'", libc::EREMOTEIO, "dostring:1: boom"),
        (
            "x =",
            libc::ENOEXEC,
            "dostring:1: unexpected symbol near <eof>",
        ),
        (
            "return ('x'):rep(1 << 30)",
            libc::ENOMEM,
            "not enough memory",
        ),
        ("while true do end", libc::ETIME, "deadline"),
    ] {
        // A run on a slow machine takes its time, but for the one that has no end.
        let timeout = if number == libc::ETIME { SHORT } else { SOON };
        assert!(state.call(code).timeout(timeout).run().is_err());
        match next(&mut events) {
            Event::Failed {
                state,
                state_id,
                errno,
                error,
            } => {
                assert_eq!((&state[..], state_id, errno), ("a", id, number), "{code}");
                let error = String::from_utf8_lossy(&error.expect("a text")).into_owned();
                assert!(error.contains(text), "{code}: {error}");
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    refused(state.send_data("x"), ErrorKind::NoReceiver);
    assert!(matches!(
        next(&mut events),
        Event::Failed {
            errno: libc::ENOTCONN,
            ..
        }
    ));
    assert_eq!(events.try_recv().expect("open"), None);
}

#[test]
fn a_text_that_is_too_long_is_left_out() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    let mut events = session.events().expect("events");
    refused(
        state.do_string("error(('x'):rep(60000), 0)"),
        ErrorKind::Script,
    );
    match next(&mut events) {
        Event::Failed { errno, error, .. } => {
            assert_eq!(errno, libc::EREMOTEIO);
            assert!(error.is_none_or(|text| text.len() == 60_000));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ephemeral_states_tell_of_their_end() {
    let netns = Netns::new();
    let session = netns.session();
    let mut events = session.events().expect("events");
    let state = session
        .new_state("e")
        .ephemeral(true)
        .create()
        .expect("a state");
    let id = state.id().expect("a number");
    state.put().expect("drops");
    assert_eq!(next(&mut events), created("e", id));
    assert_eq!(next(&mut events), closed("e", id));
    let mut client = netns
        .client("s = assert(l.newstate{name = 'f', ephemeral = true}) print 'ready' io.read()");
    assert_eq!(next(&mut events).state(), "f");
    client.end(Signal::SIGKILL);
    assert!(matches!(next(&mut events), Event::Closed { state, .. } if state == "f"));
}

#[test]
fn a_flood_of_events_is_told() {
    let netns = Netns::new();
    let session = netns.session();
    let state = netns.state("a");
    let mut events = session.events().expect("events");
    for _ in 0..400 {
        refused(
            state.do_string("error(('x'):rep(30000), 0)"),
            ErrorKind::Script,
        );
    }
    let (mut received, mut told) = (0, 0);
    loop {
        match events.try_recv() {
            Ok(Some(_)) => received += 1,
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
                told += 1;
            }
        }
    }
    assert!(
        received == 400 || told > 0,
        "{received} of 400, not told of"
    );
    refused(state.do_string("error 'last'"), ErrorKind::Script);
    assert!(matches!(next(&mut events), Event::Failed { .. }));
}

#[test]
fn the_namespace_has_its_own() {
    let (red, blue) = (Netns::new(), Netns::new());
    let mut events = red.session().events().expect("events");
    let _in_blue = blue.state("a");
    let in_red = red.state("b");
    assert_eq!(
        next(&mut events),
        created("b", in_red.id().expect("a number"))
    );
}
