// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what: `CAP_NET_ADMIN` over the network namespace, for every operation
//! and every multicast group. It runs alone, because it forks processes that become
//! other users, and changes the module's parameters.

use std::{collections::BTreeSet, process::Command, time::Duration};

use lunatik::{ErrorKind, Session, limits};
use lunatik_sys::{lunatik_attr as A, lunatik_cmd as C};
use lunatik_tests::{
    CAP_NET_ADMIN, Message, NLM_F_DUMP, NOBODY, Netns, Output, Parameter, Process, Raw, SOON,
    become_user, become_user_with, enter_user_namespace, enter_user_namespace_only, eventually,
    every_operation, integer, lua, namespaces_end, references, refused, run, run_with,
    set_capabilities, sh,
};
use nix::{errno::Errno, libc};

/// `GENL_CMD_CAP_DO`, `GENL_CMD_CAP_DUMP`, `GENL_UNS_ADMIN_PERM` of linux/genetlink.h.
const CAN_DO: u32 = 2;
const CAN_DUMP: u32 = 4;
const NEEDS_NET_ADMIN: u32 = 0x10;

/// The family's multicast groups.
const GROUPS: [&str; 2] = ["events", "log"];

/// Two users without rights.
const ALICE: u32 = 1000;
const BOB: u32 = 1001;

/// What the kernel tells who is in a user namespace that is not served.
const NOT_SERVED: &str = "user namespaces are refused unless lunatik.allow_user_ns is set";

/// Long enough for a message that was sent to be there: they are delivered at once.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Fails unless every operation is refused with EPERM and `text`.
#[track_caller]
fn all_refused(raw: &mut Raw, state: &str, text: Option<&str>) {
    for (name, message) in every_operation(state) {
        let answer = raw.request(&message);
        assert_eq!(answer.errno, libc::EPERM, "{name}: {answer:?}");
        assert_eq!(answer.text.as_deref(), text, "{name}: {answer:?}");
        assert!(answer.replies.is_empty(), "{name}: {answer:?}");
    }
}

/// Fails unless every operation succeeds; there must be no state of that name.
#[track_caller]
fn all_allowed(raw: &mut Raw, state: &str) {
    for (name, message) in every_operation(state) {
        let answer = raw.request(&message);
        assert_eq!(answer.errno, 0, "{name}: {answer:?}");
    }
}

#[track_caller]
fn groups_refused(raw: &mut Raw) {
    for group in GROUPS {
        assert_eq!(raw.join(group), Err(Errno::EPERM), "joining {group}");
        assert_eq!(raw.bind(group), Err(Errno::EPERM), "binding to {group}");
    }
}

fn named(command: C, name: &str) -> Message {
    Message::new(command).name(name)
}

fn code(name: &str, code: &str) -> Message {
    named(C::LUNATIK_CMD_DOSTRING, name).attr(A::LUNATIK_A_CODE, code.as_bytes())
}

/// Runs `code` in the state, which must succeed.
#[track_caller]
fn succeeds(raw: &mut Raw, message: &Message) {
    let answer = raw.request(message);
    assert_eq!(answer.errno, 0, "{answer:?}");
}

#[track_caller]
fn fails(raw: &mut Raw, message: &Message, errno: i32) {
    let answer = raw.request(message);
    assert_eq!(answer.errno, errno, "{answer:?}");
}

/// The names that a listing over `raw` has.
#[track_caller]
fn listed(raw: &mut Raw) -> Vec<String> {
    let answer = raw.request(&Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP));
    assert_eq!(answer.errno, 0, "{answer:?}");
    let names = answer
        .replies
        .iter()
        .map(|reply| reply.text(A::LUNATIK_A_STATE_NAME));
    names.map(|name| name.expect("a name")).collect()
}

/// Operations and groups of the kernel that these tests do not know would go
/// untested: a new one belongs into `every_operation` or into `GROUPS`.
#[test]
fn these_tests_know_every_operation_and_every_group() {
    let netns = Netns::new();
    let mut raw = netns.raw();
    let mut real = BTreeSet::new();
    for (number, flags) in raw.operations() {
        assert_ne!(flags & NEEDS_NET_ADMIN, 0, "operation {number}: {flags:#x}");
        for (kind, dumps) in [(CAN_DO, false), (CAN_DUMP, true)] {
            if flags & kind != 0 {
                real.insert((number, dumps));
            }
        }
    }
    let known: BTreeSet<_> = every_operation("a")
        .iter()
        .map(|(_, message)| message.operation())
        .collect();
    assert_eq!(known, real);
    // The other numbers are those of messages that only the kernel sends.
    let sent = [
        C::LUNATIK_CMD_STATE_CREATED_NTF,
        C::LUNATIK_CMD_STATE_CLOSED_NTF,
        C::LUNATIK_CMD_STATE_FAILED_NTF,
        C::LUNATIK_CMD_LOG_NTF,
    ];
    let mut numbers: BTreeSet<u8> = sent.iter().map(|command| command.as_u8()).collect();
    numbers.extend(real.iter().map(|(number, _)| number));
    assert!(numbers.into_iter().eq(1..C::__LUNATIK_CMD_MAX.as_u8()));
    for command in sent {
        fails(&mut raw, &named(command, "a"), libc::EOPNOTSUPP);
    }
    let groups: Vec<_> = raw.groups().into_iter().map(|(name, _)| name).collect();
    assert_eq!(groups, GROUPS);
}

#[test]
fn root_may_do_everything() {
    let netns = Netns::new();
    all_allowed(&mut netns.raw(), "a");
    all_allowed(&mut netns.raw().addressed(), "a");
    for group in GROUPS {
        assert_eq!(netns.raw().join(group), Ok(()));
        assert_eq!(netns.raw().bind(group), Ok(()));
    }
}

#[test]
fn a_user_without_the_capability_may_do_nothing() {
    let netns = Netns::new();
    let state = netns.state("a");
    Process::fork(|_| {
        netns.enter();
        become_user(ALICE);
        for state in ["a", "b"] {
            all_refused(&mut Raw::here(), state, None);
            all_refused(&mut Raw::here().addressed(), state, None);
        }
        groups_refused(&mut Raw::here());
    })
    .join();
    // Neither may one with all others.
    Process::fork(|_| {
        netns.enter();
        set_capabilities(!(1 << CAP_NET_ADMIN));
        all_refused(&mut Raw::here(), "a", None);
        all_refused(&mut Raw::here().addressed(), "a", None);
        groups_refused(&mut Raw::here());
    })
    .join();
    let description = state.description().expect("a description");
    assert_eq!((description.runs, description.references), (0, 2));
    assert_eq!(netns.session().states().expect("a listing").len(), 1);
}

#[test]
fn a_user_with_that_one_capability_may_do_everything() {
    let netns = Netns::new();
    Process::fork(|_| {
        netns.enter();
        become_user_with(ALICE, CAP_NET_ADMIN);
        all_allowed(&mut Raw::here(), "a");
        all_allowed(&mut Raw::here().addressed(), "a");
        for group in GROUPS {
            assert_eq!(Raw::here().join(group), Ok(()));
            assert_eq!(Raw::here().bind(group), Ok(()));
        }
    })
    .join();
    assert_eq!(netns.session().states().expect("a listing"), []);
}

#[test]
fn a_socket_of_root_gives_its_next_holder_no_right() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let user = Process::fork(|parent| {
        become_user(ALICE);
        let mut given: Raw = parent.take().into();
        all_refused(&mut given, "a", None);
        all_refused(&mut given.addressed(), "a", None);
        // A group is joined by who asks for it, whoever opened the socket.
        groups_refused(&mut parent.take().into());
    });
    user.peer().give(netns.raw());
    user.peer().give(netns.raw());
    user.join();
    // One that was open when the rights went.
    let mut raw = netns.raw();
    Process::fork(|_| {
        all_allowed(&mut raw, "b");
        become_user(ALICE);
        all_refused(&mut raw, "a", None);
        groups_refused(&mut raw);
    })
    .join();
}

/// A set-user-id program can be made to write to a descriptor of its caller's
/// choice: that must not carry the program's rights. With an address on the
/// message the sender means it, and Linux asks for the sender's rights alone
/// (`NETLINK_SKB_DST` in `__netlink_ns_capable`).
#[test]
fn a_socket_of_a_user_does_not_borrow_roots_rights() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let user = Process::fork(|parent| {
        netns.enter();
        become_user(ALICE);
        parent.give(Raw::here());
        parent.hear("end");
    });
    let mut raw: Raw = user.peer().take().into();
    all_refused(&mut raw, "a", None);
    all_allowed(&mut raw.addressed(), "b");
    user.peer().say("end");
    user.join();
}

#[test]
fn a_capability_that_is_dropped_after_opening_is_gone() {
    let netns = Netns::new();
    let state = netns.state("kept");
    Process::fork(|_| {
        netns.enter();
        become_user_with(ALICE, CAP_NET_ADMIN);
        let mut raw = Raw::here();
        all_allowed(&mut raw, "a");
        succeeds(&mut raw, &named(C::LUNATIK_CMD_GETSTATE, "kept"));
        set_capabilities(0);
        all_refused(&mut raw, "kept", None);
        all_refused(&mut raw.addressed(), "kept", None);
        groups_refused(&mut Raw::here());
    })
    .join();
    eventually("the reference goes with its socket", || {
        references(&state) == 1
    });
    assert_eq!(state.description().expect("a description").runs, 0);
}

/// A group is joined with the right to; what comes then comes to who holds the
/// socket, as a file that is open stays readable.
#[test]
fn a_group_is_left_with_its_socket_and_not_with_the_right() {
    let netns = Netns::new();
    let listener = Process::fork(|parent| {
        netns.enter();
        become_user_with(ALICE, CAP_NET_ADMIN);
        let mut sockets = GROUPS.map(|group| {
            let mut raw = Raw::here();
            raw.join(group).expect("the right is there");
            (raw, group)
        });
        set_capabilities(0);
        parent.say("dropped");
        parent.hear("sent");
        for (raw, group) in &mut sockets {
            let message = raw.receive(SOON);
            let name = message.and_then(|message| message.text(A::LUNATIK_A_STATE_NAME));
            assert_eq!(name.as_deref(), Some("a"), "{group}");
            // Leaving needs no right, coming back does.
            raw.leave(group).expect("everyone may leave");
            groups_refused(raw);
        }
    });
    listener.peer().hear("dropped");
    lua(&netns.state("a"), "print 'x'");
    listener.peer().say("sent");
    listener.join();
}

#[test]
fn a_socket_acts_on_the_namespace_where_it_was_opened() {
    let (red, blue) = (Netns::new(), Netns::new());
    let (mut in_red, in_blue) = (red.raw(), blue.state("only-blue"));
    Process::fork(|_| {
        blue.enter();
        assert_eq!(listed(&mut in_red), [""; 0]);
        succeeds(&mut in_red, &named(C::LUNATIK_CMD_NEWSTATE, "a"));
        fails(
            &mut in_red,
            &named(C::LUNATIK_CMD_GETSTATE, "only-blue"),
            libc::ENOENT,
        );
        assert_eq!(listed(&mut in_red), ["a"]);
        // Nor does it hear of where its holder is.
        for group in GROUPS {
            in_red.join(group).expect("root may");
        }
        lua(&in_blue, "print 'blue'");
        let message = in_red.receive(A_MOMENT);
        assert!(message.is_none(), "{message:?}");
    })
    .join();
    let states = red.session().states().expect("a listing");
    assert_eq!(states.len(), 1);
    assert_eq!(blue.session().states().expect("a listing").len(), 1);
}

#[test]
fn a_user_namespace_is_refused_unless_the_host_allows_it() {
    let user = Process::fork(|parent| {
        become_user(ALICE);
        enter_user_namespace();
        let mut raw = Raw::here();
        all_refused(&mut raw, "a", Some(NOT_SERVED));
        // The right to its groups it has, but nothing is said in them.
        for group in GROUPS {
            let mut raw = Raw::here();
            assert_eq!(raw.join(group), Ok(()));
            all_refused(&mut raw, "a", Some(NOT_SERVED));
            assert!(raw.receive(A_MOMENT).is_none());
        }
        parent.say("refused");
        parent.hear("allowed");
        all_allowed(&mut raw, "a");
        // Who is nobody there is nobody for its namespace, too.
        set_capabilities(0);
        all_refused(&mut raw, "a", None);
    });
    user.peer().hear("refused");
    let _allowed = Parameter::set("allow_user_ns", "1");
    user.peer().say("allowed");
    user.join();
}

#[test]
fn root_of_a_user_namespace_has_no_right_over_the_hosts_namespaces() {
    let netns = Netns::new();
    let state = netns.state("a");
    for allowed in ["0", "1"] {
        let _parameter = Parameter::set("allow_user_ns", allowed);
        // A socket of the host, in a namespace of the host.
        let user = Process::fork(|parent| {
            become_user(ALICE);
            enter_user_namespace();
            let mut given: Raw = parent.take().into();
            all_refused(&mut given, "a", None);
            groups_refused(&mut given);
            all_refused(&mut given.addressed(), "a", None);
        });
        user.peer().give(netns.raw());
        user.join();
        // A socket of its own, in a namespace of the host.
        Process::fork(|_| {
            netns.enter();
            become_user(ALICE);
            enter_user_namespace_only();
            all_refused(&mut Raw::here(), "a", None);
            all_refused(&mut Raw::here().addressed(), "a", None);
            groups_refused(&mut Raw::here());
        })
        .join();
        // The same as the host's root, who is nobody special in there.
        Process::fork(|_| {
            netns.enter();
            enter_user_namespace_only();
            all_refused(&mut Raw::here(), "a", None);
            all_refused(&mut Raw::here().addressed(), "a", None);
            groups_refused(&mut Raw::here());
        })
        .join();
    }
    assert_eq!(state.description().expect("a description").runs, 0);
}

/// Linux gives a user namespace's owner every right in it, from outside as well;
/// other users have none.
#[test]
fn a_socket_out_of_a_user_namespace_serves_its_owner_only() {
    let _allowed = Parameter::set("allow_user_ns", "1");
    let container = Process::fork(|parent| {
        become_user(ALICE);
        enter_user_namespace();
        for _ in 0..2 {
            parent.give(Raw::here());
        }
        parent.hear("end");
        assert_eq!(listed(&mut Raw::here()), ["made-outside"]);
    });
    for (uid, may) in [(ALICE, true), (BOB, false)] {
        let mut raw: Raw = container.peer().take().into();
        Process::fork(|_| {
            become_user(uid);
            if may {
                all_allowed(&mut raw, "a");
                succeeds(&mut raw, &named(C::LUNATIK_CMD_NEWSTATE, "made-outside"));
            } else {
                all_refused(&mut raw, "made-outside", None);
                groups_refused(&mut raw);
            }
        })
        .join();
    }
    container.peer().say("end");
    container.join();
}

#[test]
fn an_admin_of_a_user_namespace_has_exactly_their_own() {
    let _allowed = Parameter::set("allow_user_ns", "1");
    let hosts = Netns::new();
    let theirs = hosts.state("theirs");
    let id = theirs.id().expect("a number");
    let quota = Parameter::set("max_states", "2");
    let second = hosts.state("second");
    refused(
        hosts.session().new_state("third").create(),
        ErrorKind::Quota,
    );
    let number = (id + 1000).to_string();
    let user = Process::fork(|parent| {
        become_user(ALICE);
        enter_user_namespace();
        let mut raw = Raw::here();
        assert_eq!(listed(&mut raw), [""; 0]);
        for (name, message) in every_operation("theirs") {
            let (number, dumps) = message.operation();
            let by_state = !["NEWSTATE", "GETINFO", "GETSTATE as a dump"].contains(&name);
            if by_state {
                let answer = raw.request(&message);
                assert_eq!(answer.errno, libc::ENOENT, "{name}: {answer:?}");
                let by_id = Message::new(C::from(number))
                    .flags(if dumps { NLM_F_DUMP } else { 0 })
                    .u32(A::LUNATIK_A_STATE_ID, id);
                let by_id = match name {
                    "DOSTRING" => by_id.attr(A::LUNATIK_A_CODE, b"x = 1"),
                    "SENDDATA" => by_id.attr(A::LUNATIK_A_DATA, b"x"),
                    _ => by_id,
                };
                let answer = raw.request(&by_id);
                assert_eq!(answer.errno, libc::ENOENT, "{name}: {answer:?}");
            }
        }
        all_allowed(&mut raw, "theirs");
        // Quotas are counted for each namespace.
        succeeds(&mut raw, &named(C::LUNATIK_CMD_NEWSTATE, "a"));
        succeeds(&mut raw, &named(C::LUNATIK_CMD_NEWSTATE, "b"));
        fails(&mut raw, &named(C::LUNATIK_CMD_NEWSTATE, "c"), libc::EDQUOT);
        let answer = raw.request(&Message::new(C::LUNATIK_CMD_GETINFO));
        assert_eq!(answer.replies[0].u32(A::LUNATIK_A_STATES), Some(2));
        // Groups, even with the wish to hear of a namespace that has a number here.
        let mut listeners = GROUPS.map(|group| {
            let mut listener = Raw::here();
            listener.join(group).expect("its own");
            listener.listen_everywhere().expect("everyone may");
            listener
        });
        let output = run(Command::new("ip").args(["netns", "set", hosts.name(), &number]));
        output.success();
        parent.say("listening");
        parent.hear("sent");
        for listener in &mut listeners {
            let message = listener.receive(A_MOMENT);
            assert!(message.is_none(), "{message:?}");
        }
        succeeds(&mut raw, &code("a", "print 'mine'"));
        fails(&mut raw, &code("a", "error 'mine'"), libc::EREMOTEIO);
        for listener in &mut listeners {
            let message = listener.receive(SOON).expect("its own");
            let name = message.text(A::LUNATIK_A_STATE_NAME);
            assert_eq!(name.as_deref(), Some("a"));
        }
    });
    user.peer().hear("listening");
    lua(&theirs, "print 'theirs'");
    refused(theirs.do_string("error 'theirs'"), ErrorKind::Script);
    second.close().expect("closes");
    user.peer().say("sent");
    user.join();
    drop(quota);
    assert_eq!(theirs.description().expect("a description").runs, 2);
}

#[test]
fn a_namespace_that_is_no_longer_allowed_loses_its_states_with_its_end() {
    let allowed = Parameter::set("allow_user_ns", "1");
    let user = Process::fork(|parent| {
        become_user(ALICE);
        enter_user_namespace();
        let mut raw = Raw::here();
        let mut events = Raw::here();
        events.join("events").expect("its own");
        let ephemeral = named(C::LUNATIK_CMD_NEWSTATE, "ephemeral").u32(A::LUNATIK_A_FLAGS, 1);
        succeeds(&mut raw, &ephemeral);
        let mut other = Raw::here();
        succeeds(&mut other, &named(C::LUNATIK_CMD_NEWSTATE, "a"));
        succeeds(&mut other, &code("a", "x = ('x'):rep(100000)"));
        for _ in 0..2 {
            events.receive(SOON).expect("a state was made");
        }
        parent.say("made");
        parent.hear("no longer allowed");
        for raw in [&mut raw, &mut other] {
            all_refused(raw, "a", Some(NOT_SERVED));
            all_refused(raw, "ephemeral", Some(NOT_SERVED));
        }
        // References drop with their sockets as ever.
        drop(raw);
        let message = events.receive(SOON).expect("a state was closed");
        assert_eq!(message.command, C::LUNATIK_CMD_STATE_CLOSED_NTF.as_u8());
        assert_eq!(
            message.text(A::LUNATIK_A_STATE_NAME).as_deref(),
            Some("ephemeral")
        );
        drop(other);
        parent.say("dropped");
        parent.hear("allowed again");
        let mut raw = Raw::here();
        assert_eq!(listed(&mut raw), ["a"]);
        let answer = raw.request(&named(C::LUNATIK_CMD_GETSTATE, "a"));
        let description = &answer.replies[0];
        assert_eq!(description.u32(A::LUNATIK_A_REFERENCES), Some(1));
        parent.say("seen");
        parent.hear("no longer allowed");
    });
    let peer = user.peer();
    peer.hear("made");
    allowed.change("0");
    peer.say("no longer allowed");
    peer.hear("dropped");
    allowed.change("1");
    peer.say("allowed again");
    peer.hear("seen");
    allowed.change("0");
    peer.say("no longer allowed");
    user.join();
    namespaces_end(ALICE, 0);
}

/// What lunatikctl says in the present process, for every command.
fn every_command(mut check: impl FnMut(&str, Output)) {
    for line in [
        "newstate b",
        "dostring a 'return 1'",
        "dofile a -",
        "senddata a x",
        "receive a",
        "close a",
        "close --force a",
        "list",
        "show a",
        "log a",
        "log --follow a",
        "status",
        "-j list",
    ] {
        check(line, sh(&format!("lunatikctl {line} < /dev/null")));
    }
}

/// What the three clients say to who is not permitted.
fn every_client(state: &str, hint: Option<&str>) {
    every_command(|line, output| {
        let text = output.failure(4);
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        assert!(text.contains("EPERM"), "{line}: {text}");
        assert!(text.contains(hint.unwrap_or_default()), "{line}: {text}");
        assert_eq!(output.stdout, "", "{line}");
    });
    let script = "local l = require 'lunatik' \
                  for _, f in ipairs{l.newstate, l.getstate, l.list} do \
                  local value, text, code = f 'a' print(value, code) end";
    let output = run_with(Command::new("lua5.4").arg("-"), script.as_bytes());
    assert_eq!(output.success(), "nil\tEPERM\n".repeat(3));
    let session = Session::open().expect("opening needs no right");
    let mut errors = vec![
        refused(session.states(), ErrorKind::NotPermitted),
        refused(session.info(), ErrorKind::NotPermitted),
        refused(session.new_state("b").create(), ErrorKind::NotPermitted),
        refused(session.get_state(state), ErrorKind::NotPermitted),
        refused(
            session.state(state).do_string("x = 1"),
            ErrorKind::NotPermitted,
        ),
        refused(
            session.state(state).subscribe().map(drop),
            ErrorKind::NotPermitted,
        ),
    ];
    if hint.is_none() {
        errors.push(refused(session.events().map(drop), ErrorKind::NotPermitted));
        errors.push(refused(
            session.log_follow().map(drop),
            ErrorKind::NotPermitted,
        ));
    }
    for error in errors {
        assert_eq!(error.errno(), Some(libc::EPERM), "{error}");
        let text = error.to_string();
        assert!(text.contains(hint.unwrap_or_default()), "{text}");
    }
}

#[test]
fn every_client_tells_who_is_not_permitted() {
    let netns = Netns::new();
    let state = netns.state("a");
    Process::fork(|_| {
        netns.enter();
        become_user(ALICE);
        every_client("a", None);
    })
    .join();
    Process::fork(|_| {
        become_user(NOBODY);
        enter_user_namespace();
        every_client("a", Some("lunatik.allow_user_ns"));
    })
    .join();
    assert_eq!(integer(&state, "return 1"), 1);
}

#[test]
fn every_client_serves_an_admin_of_a_user_namespace_when_allowed() {
    let _allowed = Parameter::set("allow_user_ns", "1");
    Process::fork(|_| {
        become_user(ALICE);
        enter_user_namespace();
        sh("lunatikctl newstate a && lunatikctl dostring a 'return 6 * 7'").success();
        let script = "print(require 'lunatik'.getstate 'a':dostring 'return 6 * 7')";
        let output = run_with(Command::new("lua5.4").arg("-"), script.as_bytes());
        assert_eq!(output.success(), "42\n");
        let session = Session::open().expect("a session");
        assert_eq!(integer(&session.state("a"), "return 6 * 7"), 42);
        session.state("a").close().expect("closes");
        // A whole script, the longest result: what needs more room than users have by default.
        let state = session.new_state("b").create().expect("a state");
        let long = format!("return #[[{}]]", "x".repeat(200_000));
        assert_eq!(integer(&state, &long), 200_000);
        let values = lua(
            &state,
            "local t = {} for i = 1, 12 do t[i] = ('x'):rep(60000) end return t",
        );
        assert_eq!(values.len(), 1);
    })
    .join();
}

/// Who may not set the size of a socket's buffer sends fewer messages at once.
#[test]
fn a_batch_of_a_user_namespace_loses_no_answer() {
    let _allowed = Parameter::set("allow_user_ns", "1");
    Process::fork(|_| {
        become_user(ALICE);
        enter_user_namespace();
        let session = Session::open().expect("a session");
        let state = session.new_state("a").create().expect("a state");
        lua(
            &state,
            "require('lunatik').receive(function(data)
               if data == 'fail' then error(('e'):rep(61440), 0) end
               return data .. ('x'):rep(61440 - #data)
             end)",
        );
        let messages = (0..50).map(|n| match n % 10 {
            9 => "fail".to_owned(),
            _ => format!("{n} "),
        });
        for (n, answer) in state.send_all(messages).into_iter().enumerate() {
            match answer {
                Ok(reply) => {
                    let reply = reply.expect("a reply");
                    assert!(reply.starts_with(format!("{n} x").as_bytes()), "{n}");
                    assert_eq!(reply.len(), limits::DATA, "{n}");
                }
                Err(error) => {
                    assert_eq!(
                        (n % 10, error.kind()),
                        (9, ErrorKind::Script),
                        "{error:.100}"
                    );
                }
            }
        }
    })
    .join();
}
