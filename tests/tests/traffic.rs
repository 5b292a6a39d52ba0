// SPDX-License-Identifier: MIT OR Apache-2.0
//! What other tests send traffic with: that it arrives in every kind of network, and
//! that what filters do to it, here rules of nftables, shows.

use std::{thread, time::Duration};

use lunatik_tests::{
    Broken, Datagrams, Family, Network, SOON, Server, Transfer, by_kernel, eventually, run, tell,
};

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(700);

/// Everything that the library can send, in both families.
fn all_arrives(what: &str, network: &Network) {
    for family in Family::ALL {
        let to = network.server.address(family);
        // Fragments, too.
        for size in [56, 3000] {
            assert_eq!(network.client.ping(to, 5, size, 3 * SOON), 5, "{size}");
        }
        let transfer = Transfer {
            family,
            bytes: by_kernel(1 << 20, 1 << 18),
            ..Transfer::default()
        };
        let tcp = network.tcp(&transfer).expect("arrives");
        assert_eq!(tcp.bytes, transfer.bytes);
        tell!("{what}, {family:?}: TCP {tcp}");
        for datagrams in [
            Datagrams::Single(1400),
            Datagrams::Single(8000),
            Datagrams::Segmented(1400),
            Datagrams::Aggregated(1400),
        ] {
            let udp = network.udp(&transfer, datagrams).expect("arrives");
            assert_eq!(udp.bytes, transfer.bytes);
            tell!("{what}, {family:?}: UDP {datagrams:?} {udp}");
        }
    }
}

#[test]
fn everything_arrives_directly() {
    all_arrives("directly", &Network::direct());
}

#[test]
fn everything_arrives_through_a_bridge() {
    let network = Network::bridge();
    network.middle().nft(
        "table bridge t { counter seen { }
           chain c { type filter hook forward priority 0; counter name seen; }
         }
         table inet t { counter seen { }
           chain c { type filter hook forward priority 0; counter name seen; }
         }",
    );
    all_arrives("through a bridge", &network);
    let seen = |family| network.middle().nft_counter([family, "t"], "seen");
    assert!(seen("bridge") > 100);
    assert_eq!(seen("inet"), 0);
}

#[test]
fn everything_arrives_through_a_router() {
    let network = Network::router();
    network.middle().nft(
        "table inet t { counter seen { }
           chain c { type filter hook forward priority 0; counter name seen; }
         }",
    );
    all_arrives("through a router", &network);
    assert!(network.middle().nft_counter(["inet", "t"], "seen") > 100);
}

/// Less, or nothing, of these sizes too.
#[test]
fn odd_amounts_arrive() {
    let network = Network::direct();
    for bytes in [0, 1, 65_535, 65_537] {
        let transfer = Transfer {
            bytes,
            ..Transfer::default()
        };
        assert_eq!(network.tcp(&transfer).expect("arrives").bytes, bytes);
        for datagrams in [
            Datagrams::Single(1400),
            Datagrams::Segmented(1000),
            Datagrams::Aggregated(1000),
        ] {
            let udp = network.udp(&transfer, datagrams).expect("arrives");
            assert_eq!(udp.bytes, bytes);
        }
    }
}

#[test]
fn a_dropped_port_is_silent() {
    let network = Network::direct();
    network.server.netns.nft(
        "table inet t { counter dropped { }
           chain c { type filter hook input priority 0;
             tcp dport 5000 counter name dropped drop
             udp dport 5000 counter name dropped drop; }
         }",
    );
    let counted = || network.server.netns.nft_counter(["inet", "t"], "dropped");
    for family in Family::ALL {
        let dropped = Transfer {
            family,
            patience: SHORT,
            ..Transfer::default()
        };
        let before = counted();
        let error = network.tcp(&dropped).unwrap_err();
        assert!(matches!(error, Broken::Connect(_)), "{error:?}");
        assert!(error.is_silence() && !error.is_refusal(), "{error:?}");
        let of_tcp = counted();
        assert!(of_tcp > before);

        let error = network.udp(&dropped, Datagrams::Single(1000)).unwrap_err();
        assert!(matches!(error, Broken::Stopped { bytes: 0, .. }));
        assert!(error.is_silence() && !error.is_refusal(), "{error:?}");
        assert!(counted() > of_tcp);

        let other = Transfer {
            port: 5001,
            patience: 3 * SOON,
            ..dropped
        };
        network.tcp(&other).expect("arrives");
        network
            .udp(&other, Datagrams::Single(1000))
            .expect("arrives");
    }
}

#[test]
fn a_rejected_port_refuses() {
    let network = Network::router();
    network.middle().nft(
        "table inet t { chain c { type filter hook forward priority 0;
           tcp dport 5000 reject with tcp reset; udp dport 5000 reject; }
         }",
    );
    for family in Family::ALL {
        let rejected = Transfer {
            family,
            ..Transfer::default()
        };
        let error = network.tcp(&rejected).unwrap_err();
        assert!(error.is_refusal() && !error.is_silence(), "{error:?}");
        let error = network.udp(&rejected, Datagrams::Single(1000)).unwrap_err();
        assert!(error.is_refusal() && !error.is_silence(), "{error:?}");
    }
}

#[test]
fn what_stops_midway_shows() {
    let network = Network::direct();
    let server = &network.server.netns;
    server.nft(
        "table inet t { counter seen { }
           chain c { type filter hook input priority 0; tcp dport 5000 counter name seen; }
         }",
    );
    let transfer = Transfer {
        bytes: 1 << 40,
        patience: 4 * SHORT,
        ..Transfer::default()
    };
    let result = thread::scope(|scope| {
        let transfer = scope.spawn(|| network.tcp(&transfer));
        eventually("data comes", || {
            server.nft_counter(["inet", "t"], "seen") > 20
        });
        server.nft("add rule inet t c tcp dport 5000 drop");
        transfer.join().expect("a result")
    });
    let error = result.unwrap_err();
    assert!(matches!(error, Broken::Stopped { bytes, .. } if bytes > 0));
    assert!(error.is_silence(), "{error:?}");
}

#[test]
fn what_is_lost_is_sent_again() {
    let network = Network::direct();
    run(network
        .client
        .netns
        .command("tc")
        .args("qdisc add dev eth0 root netem loss 5% limit 10000".split(' ')))
    .success();
    let transfer = Transfer {
        bytes: 300_000,
        ..Transfer::default()
    };
    let udp = network
        .udp(&transfer, Datagrams::Single(1000))
        .expect("arrives");
    assert!(udp.resent > 0, "{udp:?}");
    network.tcp(&transfer).expect("arrives");
}

#[test]
fn altered_data_shows() {
    let network = Network::direct();
    // Behind UDP's header and a datagram's number.
    network.client.netns.nft(
        "table ip t { chain c { type filter hook output priority 0;
           udp dport 5000 @th,256,32 set 0x12345678; }
         }",
    );
    let error = network
        .udp(&Transfer::default(), Datagrams::Single(1000))
        .unwrap_err();
    let Broken::Altered { sent, came } = error else {
        panic!("{error:?}");
    };
    assert_eq!(sent.0, came.0);
    assert_ne!(sent.1, came.1);
}

#[test]
fn http() {
    let network = Network::bridge();
    let file = vec![b'x'; 1 << 20];
    let _server = Server::http(&network.server, &[("small", b"hello\n"), ("large", &file)]);
    for family in Family::ALL {
        let url = |name| format!("http://{}/{name}", network.server.port(family, 80));
        let fetch = |name| network.client.curl(&[&url(name)], 3 * SOON);
        assert_eq!(fetch("small").success(), "hello\n");
        assert!(fetch("large").success().as_bytes() == file);
        fetch("nosuch").failure(22);
    }
    network.middle().nft(
        "table bridge t { chain c { type filter hook forward priority 0;
           tcp sport 80 drop; }
         }",
    );
    let url = format!("http://{}/small", network.server.address(Family::V4));
    network.client.curl(&[&url], SHORT).failure(28);
}

#[test]
fn dns() {
    let network = Network::direct();
    let names = [
        ("good.example", "192.0.2.1".parse().expect("an address")),
        ("good.example", "2001:db8::1".parse().expect("an address")),
    ];
    let _server = Server::dns(&network.server, &names);
    for family in Family::ALL {
        let ask = |question: &[&str]| {
            let server = network.server.address(family);
            network.client.dig(server, question, 3 * SOON)
        };
        assert_eq!(ask(&["good.example", "A"]).success(), "192.0.2.1\n");
        let tcp = ["+tcp", "www.good.example", "AAAA"];
        assert_eq!(ask(&tcp).success(), "2001:db8::1\n");
    }
    let server = network.server.address(Family::V4);
    let ask = |name, patience| network.client.dig(server, &[name], patience);
    assert_eq!(ask("bad.example", 3 * SOON).success(), "");
    network.server.netns.nft(
        "table inet t { chain c { type filter hook input priority 0;
           udp dport 53 drop; }
         }",
    );
    let answer = ask("good.example", SHORT);
    assert_eq!(answer.status, 9, "{answer:?}");
}

#[test]
fn tls() {
    let network = Network::direct();
    let server = Server::tls(&network.server, &["good.example", "other.example"]);
    let fetch = |family, name: &str| {
        let place = format!("{name}:443:{}", network.server.address(family));
        let url = format!("https://{name}/");
        let authority = server.authority();
        let arguments = ["--cacert", &authority, "--resolve", &place, &url];
        network.client.curl(&arguments, 3 * SOON)
    };
    for family in Family::ALL {
        for name in ["good.example", "other.example"] {
            let page = fetch(family, name);
            assert!(page.success().contains("TLSv1.3"), "{page:?}");
        }
    }
    fetch(Family::V4, "bad.example").failure(60);
}

#[test]
fn networks_do_not_meet() {
    let networks = [Network::direct(), Network::direct()];
    networks[0].server.netns.nft(
        "table inet t { chain c { type filter hook input priority 0; tcp dport 5000 drop; }
         }",
    );
    let transfer = Transfer {
        patience: SHORT,
        ..Transfer::default()
    };
    thread::scope(|scope| {
        let dropped = scope.spawn(|| networks[0].tcp(&transfer));
        let patient = Transfer {
            patience: 3 * SOON,
            ..transfer
        };
        networks[1].tcp(&patient).expect("arrives");
        assert!(dropped.join().expect("a result").unwrap_err().is_silence());
    });
}
