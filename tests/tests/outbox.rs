// SPDX-License-Identifier: MIT OR Apache-2.0
//! What callbacks send and print: it leaves when the packet has gone, in its order, and as
//! much of it as may wait.

use std::{net::UdpSocket, thread, time::Duration};

use lunatik::{ErrorKind, Event, State, Subscription};
use lunatik_tests::{Netns, SOON, eventually, integer, lua, refused, tell, undisturbed};

/// A state whose function does `body` for each datagram that leaves the namespace.
fn on_datagram(netns: &Netns, body: &str) -> State {
    let state = netns.filter("a");
    lua(
        &state,
        &format!(
            "n = 0
             require 'netfilter'.register{{family = 'ipv4', hook = 'output', function(pkt)
               if pkt:u8(9) ~= 17 then return end
               n = n + 1
               {body}
             end}}"
        ),
    );
    state
}

fn socket(netns: &Netns) -> UdpSocket {
    netns.within(|| UdpSocket::bind("127.0.0.1:0").expect("a socket"))
}

/// Sends a datagram to nobody.
fn send(socket: &UdpSocket) {
    socket.send_to(b"data", "127.0.0.1:9").expect("sends");
}

/// Sends datagrams until the function was called once more.
fn call(state: &State, socket: &UdpSocket) {
    let before = integer(state, "return n");
    // Hooks rest when they have had their share of the CPU.
    eventually("a packet is met", || {
        send(socket);
        integer(state, "return n") > before
    });
}

fn text(subscription: &mut Subscription) -> String {
    let message = subscription.recv_timeout(SOON).expect("no loss");
    String::from_utf8(message.expect("a message").data).expect("text")
}

#[test]
fn what_a_callback_sends_comes_before_what_a_request_sends_after_it() {
    const ROUNDS: u64 = 300;
    undisturbed(|| {
        let netns = Netns::with_loopback();
        let state = on_datagram(
            &netns,
            "told = require 'lunatik'.send('packet ' .. n) print('packet ' .. n)",
        );
        let mut first = state.subscribe().expect("subscribes");
        let session = netns.session();
        let mut second = session.state("a").subscribe().expect("subscribes");
        let mut log = session.log_follow().expect("the log");
        let socket = socket(&netns);
        for n in 1..=ROUNDS {
            send(&socket);
            lua(
                &state,
                "require 'lunatik'.send('request ' .. n) print('request ' .. n)",
            );
            for subscription in [&mut first, &mut second] {
                assert_eq!(text(subscription), format!("packet {n}"));
                assert_eq!(text(subscription), format!("request {n}"));
            }
            for who in ["packet", "request"] {
                let line = log.recv_timeout(SOON).expect("no loss").expect("a line");
                assert_eq!(line.text, format!("{who} {n}").into_bytes());
            }
        }
        // It says to how many it is sent.
        assert_eq!(integer(&state, "return told"), 2);
        lua(&state, "require 'lunatik'.send('last')");
        let last = first.recv_timeout(SOON).expect("no loss").expect("last");
        assert_eq!((last.sequence, last.lost), (2 * ROUNDS + 1, 0));
    });
}

#[test]
fn a_state_that_closes_lets_its_last_words_out() {
    let mut netns = Netns::with_loopback();
    // All of a namespace that close one after the other have a tenth of a second for it.
    for round in 0..40 {
        if round % 10 == 9 {
            netns = Netns::with_loopback();
        }
        let socket = socket(&netns);
        let state = on_datagram(
            &netns,
            "for i = 1, 10 do require 'lunatik'.send('packet') end",
        );
        let mut subscription = state.subscribe().expect("subscribes");
        call(&state, &socket);
        let packets = integer(&state, "return n");
        state.close().expect("closes");
        for _ in 0..10 * packets {
            assert_eq!(text(&mut subscription), "packet");
        }
        refused(subscription.recv_timeout(SOON), ErrorKind::Closed);
    }
}

/// Subscribers who read nothing, so that each message takes its time.
fn many(netns: &Netns) -> Vec<Subscription> {
    let one = || netns.session().state("a").subscribe().expect("subscribes");
    (0..300).map(|_| one()).collect()
}

#[test]
fn one_callback_sends_no_more_than_may_wait() {
    // So often that all together is more than the namespace may have.
    const ROUNDS: u32 = 80;
    const EACH: i64 = 150;
    let netns = Netns::with_loopback();
    let state = on_datagram(
        &netns,
        "sent, refused = 0, 0
         for i = 1, 150 do
           if require 'lunatik'.send(data) > 0 then sent = sent + 1 else refused = refused + 1 end
         end",
    );
    lua(&state, "data = ('x'):rep(60000)");
    let mut subscription = state.subscribe().expect("subscribes");
    let _others = many(&netns);
    let socket = socket(&netns);
    let (mut newest, mut most, mut refused) = (0, 0, 0);
    for _ in 0..ROUNDS {
        let before = newest;
        call(&state, &socket);
        most = most.max(integer(&state, "return sent"));
        refused += integer(&state, "return refused");
        // It comes when all that waits has.
        eventually("there is room", || {
            integer(&state, "return require 'lunatik'.send('end')") > 0
        });
        let (mut received, mut missing) = (0, 0);
        loop {
            match subscription.recv_timeout(SOON) {
                Ok(message) => {
                    let message = message.expect("a message");
                    received += 1;
                    missing += message.lost;
                    newest = message.sequence;
                    if message.data == b"end" {
                        break;
                    }
                    assert_eq!(message.data.len(), 60000);
                }
                // Its socket has no room either.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
            }
        }
        assert_eq!(newest - before, received + missing);
    }
    tell!("{most} at once, {refused} did not fit");
    assert!(
        (60..=EACH).contains(&most) && refused > 0,
        "{most} {refused}"
    );
}

#[test]
fn who_follows_hears_that_lines_are_lost() {
    undisturbed(|| {
        let netns = Netns::with_loopback();
        let state = on_datagram(
            &netns,
            "for i = 1, 70 do require 'lunatik'.send(data) end
             for i = 1, 300 do print(line) end",
        );
        lua(&state, "data, line = ('x'):rep(60000), ('x'):rep(4000)");
        let _others = many(&netns);
        let mut log = netns.session().log_follow().expect("the log");
        let socket = socket(&netns);
        call(&state, &socket);
        let (mut counted, mut told) = (0, 0);
        loop {
            match log.recv_timeout(Duration::from_secs(1)) {
                Ok(Some(line)) => counted += 1 + line.lost,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
                    told += 1;
                }
            }
        }
        tell!("{counted} lines, told of a loss {told} times");
        assert!(told > 0, "{counted} lines");
        lua(&state, "print 'last'");
        let line = log.recv_timeout(SOON).expect("open").expect("a line");
        assert_eq!(line.text, b"last");
        assert_eq!(counted + line.lost + 1, line.sequence, "{line:?}");
    });
}

#[test]
fn failures_of_callbacks_are_told_after_what_they_printed() {
    let netns = Netns::with_loopback();
    let state = on_datagram(&netns, "error('no ' .. n, 0)");
    let session = netns.session();
    let mut events = session.events().expect("events");
    let socket = socket(&netns);
    for n in 1..=5 {
        call(&state, &socket);
        let event = events.recv_timeout(SOON).expect("no loss");
        match event.expect("an event") {
            Event::Failed { error, .. } => {
                assert_eq!(error, Some(format!("no {n}").into_bytes()));
            }
            other => panic!("{other:?}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}
