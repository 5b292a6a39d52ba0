// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network namespaces: each has states of its own.

use std::{
    fs::File,
    thread,
    time::{Duration, Instant},
};

use lunatik::{ErrorKind, Session, Value};
use lunatik_tests::{Client, Netns, SOON, integer, lua, refused, run, sh, string};
use nix::sched::{CloneFlags, setns};

#[test]
fn one_name_in_two_namespaces_is_two_states() {
    let (red, blue) = (Netns::new(), Netns::new());
    let (in_red, in_blue) = (red.state("a"), blue.state("a"));
    lua(&in_red, "x = 'red'");
    assert_eq!(lua(&in_blue, "return x"), [Value::Nil]);
    lua(&in_blue, "x = 'blue'");
    assert_eq!(lua(&in_red, "return x"), ["red".into()]);
    for netns in [&red, &blue] {
        let session = netns.session();
        assert_eq!(session.states().expect("a listing").len(), 1);
        assert_eq!(session.info().expect("info").states, 1);
    }
    in_red.close().expect("closes");
    assert_eq!(lua(&in_blue, "return x"), ["blue".into()]);
    assert_eq!(red.session().states().expect("a listing"), []);
}

#[test]
fn states_of_one_are_invisible_in_another() {
    let (red, blue) = (Netns::new(), Netns::new());
    let state = red.state("only-red");
    let id = state.id().expect("a number");
    let session = blue.session();
    refused(session.get_state("only-red"), ErrorKind::NoState);
    refused(session.state("only-red").close_force(), ErrorKind::NoState);
    refused(session.get_state_by_id(id), ErrorKind::NoState);
    refused(
        session.state_by_id(id).do_string("x = 1"),
        ErrorKind::NoState,
    );
    assert_eq!(lua(&state, "return x"), [Value::Nil]);
}

/// What hashes alike is found by looking at the order of keys, in a namespace of
/// one's own only.
#[test]
fn each_namespace_hashes_strings_in_its_own_way() {
    const ORDER: &str = "local t, order = {}, {}
        for i = 1, 64 do t['key' .. i] = true end
        for key in pairs(t) do order[#order + 1] = key end
        return table.concat(order, ' ')";
    let (red, blue) = (Netns::new(), Netns::new());
    let (a, b) = (
        string(&red.state("a"), ORDER),
        string(&red.state("b"), ORDER),
    );
    assert_eq!(a, b);
    assert_ne!(a, string(&blue.state("a"), ORDER));
    assert_ne!(a, string(&Netns::new().state("a"), ORDER));
}

#[test]
fn events_lines_and_data_stay_in_their_namespace() {
    let (red, blue) = (Netns::new(), Netns::new());
    let (watcher, other) = (blue.session(), red.session());
    let mut events = watcher.events().expect("events");
    let mut lines = watcher.log_follow().expect("lines");
    let in_blue = blue.state("blue");
    let mut data = in_blue.subscribe().expect("subscribes");
    let in_red = other.new_state("red").create().expect("a state");
    lua(&in_red, "print 'red' require('lunatik').send('red')");
    refused(in_red.do_string("error 'red'"), ErrorKind::Script);
    in_red.close().expect("closes");
    lua(&in_blue, "print 'blue' require('lunatik').send('blue')");
    let created = events.recv_timeout(SOON).expect("open").expect("an event");
    assert_eq!(created.state(), "blue");
    assert_eq!(events.try_recv().expect("open"), None);
    assert_eq!(lines.recv().expect("a line").text, b"blue");
    assert_eq!(lines.try_recv().expect("open"), None);
    assert_eq!(data.recv().expect("a message").data, b"blue");
    assert_eq!(data.try_recv().expect("open"), None);
}

#[test]
fn the_script_knows_its_namespace() {
    let netns = Netns::new();
    let state = netns.state("a");
    let inode =
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(netns.path()).expect("a namespace"));
    assert_eq!(
        integer(&state, "return require('lunatik').netns"),
        i64::try_from(inode).expect("small")
    );
}

#[test]
fn by_name_path_and_process() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let holder = Client::start(netns.command("sleep").arg("100"));
    let pid = holder.pid();
    let of_pid = || Session::of_pid(pid).expect("a session");
    // `ip` enters the namespace before it becomes `sleep`.
    lunatik_tests::eventually("the process enters", || {
        of_pid().states().is_ok_and(|states| states.len() == 1)
    });
    let by_path = Session::in_netns(netns.path()).expect("a session");
    assert_eq!(by_path.states().expect("a listing")[0].name, "a");
    for place in [netns.name().to_owned(), netns.path(), format!("pid:{pid}")] {
        let output =
            run(std::process::Command::new("lunatikctl").args(["-n", &place, "-j", "list"]));
        let json = output.json();
        assert_eq!(json[0]["name"], "a", "{place}: {json}");
        assert_eq!(json.as_array().expect("an array").len(), 1, "{place}");
    }
    refused(Session::of_pid(4_000_000), ErrorKind::NoNamespace);
    refused(
        Session::in_netns("/run/netns/nosuch"),
        ErrorKind::NoNamespace,
    );
    refused(Session::in_netns("/proc/self/exe"), ErrorKind::NoNamespace);
}

#[test]
fn the_calling_thread_stays_where_it_is() {
    let netns = Netns::new();
    let where_am_i = || std::fs::read_link("/proc/thread-self/ns/net").expect("a link");
    let before = where_am_i();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    let _subscription = state.subscribe().expect("subscribes");
    let _events = session.events().expect("events");
    assert_eq!(where_am_i(), before);
}

#[test]
fn the_namespace_of_the_thread_is_the_default() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let path = netns.path();
    let names = thread::spawn(move || {
        let file = File::open(path).expect("a namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("enters");
        let states = Session::open()
            .expect("a session")
            .states()
            .expect("a listing");
        states
            .into_iter()
            .map(|state| state.name)
            .collect::<Vec<_>>()
    });
    assert_eq!(names.join().expect("a listing"), ["a"]);
}

#[test]
fn a_deleted_namespace_takes_its_states_with_it() {
    // Three times, because what is left shows when the next one is made.
    for _ in 0..3 {
        let netns = Netns::new();
        {
            let session = netns.session();
            for n in 0..20 {
                let state = session
                    .new_state(&format!("s{n}"))
                    .create()
                    .expect("a state");
                lua(
                    &state,
                    "x = ('x'):rep(10000) require('lunatik').receive(print)",
                );
            }
        }
        netns.delete();
    }
    let netns = Netns::new();
    assert_eq!(netns.session().states().expect("a listing"), []);
}

#[test]
fn a_session_keeps_its_namespace_alive() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").create().expect("a state");
    lua(&state, "x = 1");
    netns.delete();
    // A socket keeps the namespace; the states live as long as that.
    assert_eq!(integer(&state, "return x"), 1);
    state.close().expect("closes");
}

#[test]
fn a_namespace_may_end_while_a_script_runs() {
    let netns = Netns::new();
    let _state = netns.state("a");
    let mut lines = netns.session().log_follow().expect("lines");
    let mut client = Client::start(netns.command("lunatikctl").args([
        "dostring",
        "a",
        "print 'running' while true do end",
        "--timeout",
        "2s",
    ]));
    assert_eq!(lines.recv().expect("a line").text, b"running");
    drop(lines);
    netns.delete();
    let (elapsed, _) = client.wait();
    assert!(elapsed < Duration::from_secs(2) + SOON, "{elapsed:?}");
}

#[test]
fn the_issues_example_holds() {
    let netns = Netns::new();
    let red = Netns::new();
    let script = format!(
        "lunatikctl newstate a && lunatikctl -n {0} newstate a && lunatikctl -j list && lunatikctl -j -n {0} list",
        red.name()
    );
    let output = run(netns.command("sh").args(["-c", &script]));
    let listings: Vec<serde_json::Value> = serde_json::Deserializer::from_str(output.success())
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    let names: Vec<_> = listings
        .iter()
        .flat_map(|list| list.as_array().expect("an array"))
        .collect();
    assert_eq!(
        names.iter().filter(|state| state["name"] == "a").count(),
        2,
        "{names:?}"
    );
}

#[test]
fn namespaces_come_and_go_by_the_dozen() {
    let start = Instant::now();
    for _ in 0..24 {
        let netns = Netns::new();
        let state = netns.state("a");
        lua(&state, "x = {}");
    }
    assert!(
        start.elapsed() < Duration::from_mins(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(sh("ip netns list").status, 0);
}
