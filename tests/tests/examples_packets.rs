// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scripts of docs/examples.md, loaded as it says. Each runs in two namespaces at
//! once, and there is a third one whose traffic it leaves alone.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use lunatik::Hook;
use lunatik_tests::{
    Block, Datagrams, Family, Netns, Network, SOON, Server, Transfer,
    bpf::{Pins, bpftool, kfuncs},
    by_kernel, eventually, run, undisturbed,
};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

const PAGE: &str = include_str!("../../docs/examples.md");
const FOLDER: &str = "/files/examples/packets";

/// How long to wait for what does not come.
const SHORT: Duration = Duration::from_millis(1500);

/// The commands that the page has under a title.
fn commands(title: &str) -> Vec<Block<'static>> {
    let (_, section) = PAGE
        .split_once(&format!("\n## {title}\n"))
        .unwrap_or_else(|| panic!("no section {title}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    Block::all(section, "sh")
}

fn run_command(netns: &Netns, (code, block): &(String, Block<'_>)) {
    let output = block.output;
    Block { code, output }.run_in(netns, FOLDER);
}

/// A script at work.
struct Example<'a> {
    netns: &'a Netns,
    state: lunatik::State,
    /// The page's commands for it
    commands: Vec<(String, Block<'static>)>,
}

impl<'a> Example<'a> {
    /// Loads the one under `title`; its commands are changed by `adapt`.
    fn load(netns: &'a Netns, title: &str, adapt: impl Fn(String) -> String) -> Self {
        let commands: Vec<_> = commands(title)
            .into_iter()
            .map(|block| {
                // The guests of tests may be slow.
                let softirq = "--context softirq";
                let patient = format!("{softirq} --timeout 100ms");
                (adapt(block.code.replace(softirq, &patient)), block)
            })
            .collect();
        run_command(netns, &commands[0]);
        let session = netns.session();
        let [state] = &session.states().expect("a listing")[..] else {
            panic!("one state");
        };
        Self {
            netns,
            state: session.get_state(&state.name).expect("a state"),
            commands,
        }
    }

    /// Runs one of its other commands.
    fn run(&self, number: usize) {
        run_command(self.netns, &self.commands[number]);
    }

    /// What the script said to `data`.
    fn ask(&self, data: &str) -> String {
        let answer = self.state.send_data(data).expect("an answer");
        String::from_utf8(answer.unwrap_or_default()).expect("UTF-8")
    }

    /// Fails if the script has, and closes its state.
    fn close(self) {
        let description = self.state.description().expect("a state");
        let log = self.netns.ctl(&["log", &description.name]).stdout;
        let calls: u64 = description.hooks.iter().map(|hook| hook.calls).sum();
        assert!(calls > 0, "{description:?}");
        for hook in &description.hooks {
            // A machine may be so slow that it has too little time.
            assert_eq!(hook.errors, hook.deadline_kills, "{hook:?}\n{log}");
        }
        self.state.close_force().expect("closes");
    }
}

/// Where a script is loaded.
#[derive(Clone, Copy)]
enum Place {
    /// Between client and server
    Middle,
    Server,
}

/// Three networks, which `prepare` gives servers, in two of which the example under a
/// title works, at a place of each; `check` gets its script, if there is one. When the
/// state is closed its traffic is as that of the third.
fn in_networks<T>(
    title: &str,
    places: [Place; 2],
    prepare: impl Fn(&Network) -> T + Sync,
    check: impl Fn(&Network, &T, Option<&Example<'_>>) + Sync,
) {
    let one = &|place| {
        let network = Network::router();
        let servers = prepare(&network);
        let netns = match place {
            None => return check(&network, &servers, None),
            Some(Place::Middle) => network.middle(),
            Some(Place::Server) => &network.server.netns,
        };
        let example = Example::load(netns, title, |code| code);
        check(&network, &servers, Some(&example));
        example.close();
        check(&network, &servers, None);
    };
    undisturbed(|| {
        thread::scope(|scope| {
            for place in [Some(places[0]), Some(places[1]), None] {
                scope.spawn(move || one(place));
            }
        });
    });
}

#[test]
fn ports() {
    let places = [Place::Middle, Place::Server];
    in_networks(
        "A filter of ports",
        places,
        |_| (),
        |network, (), example| {
            for family in Family::ALL {
                let to = |port, patience| Transfer {
                    family,
                    port,
                    bytes: by_kernel(1 << 20, 1 << 18),
                    patience,
                    ..Transfer::default()
                };
                let open = to(5000, 3 * SOON);
                network.tcp(&open).expect("arrives");
                // Datagrams in one piece, in fragments, and many in one buffer
                let kinds = [
                    Datagrams::Single(1000),
                    Datagrams::Single(4000),
                    Datagrams::Segmented(1000),
                ];
                for datagrams in kinds {
                    network.udp(&open, datagrams).expect("arrives");
                }
                let address = network.server.address(family);
                assert_eq!(network.client.ping(address, 3, 3000, SOON), 3);
                if example.is_some() {
                    let error = network.tcp(&to(23, SHORT)).unwrap_err();
                    assert!(error.is_silence(), "{error:?}");
                    for datagrams in kinds {
                        let error = network.udp(&to(69, SHORT), datagrams).unwrap_err();
                        assert!(error.is_silence(), "{error:?}");
                    }
                } else {
                    network.tcp(&to(23, 3 * SOON)).expect("arrives");
                    for datagrams in kinds {
                        network.udp(&to(69, 3 * SOON), datagrams).expect("arrives");
                    }
                }
                // The other protocol's ports are its own.
                network.tcp(&to(69, 3 * SOON)).expect("arrives");
            }
        },
    );
}

/// A question for the address of a name, as DNS has it.
fn question(name: &str) -> Vec<u8> {
    let mut message = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        message.push(label.len().try_into().expect("a label"));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(b"\x00\x00\x01\x00\x01");
    message
}

/// How many answers come to two questions of the same length that are sent as one
/// datagram that the kernel cuts.
fn answers_to_both(
    network: &Network,
    family: Family,
    names: [&str; 2],
    patience: Duration,
) -> usize {
    let [first, second] = names.map(question);
    assert_eq!(first.len(), second.len());
    let own = network.client.port(family, 0);
    let socket = network
        .client
        .netns
        .within(|| UdpSocket::bind(own).expect("a port"));
    let length = first.len().try_into().expect("a size");
    setsockopt(&socket, UdpGsoSegment, &length).expect("an option");
    let server = network.server.port(family, 53);
    socket
        .send_to(&[first, second].concat(), server)
        .expect("is sent");
    let mut buffer = [0; 512];
    // There is no third one.
    [patience, patience, SHORT]
        .into_iter()
        .take_while(|&patience| {
            socket.set_read_timeout(Some(patience)).expect("a time");
            socket.recv(&mut buffer).is_ok()
        })
        .count()
}

#[test]
fn dns() {
    let addresses = ["ads.example", "good.example", "news.example"]
        .map(|name| (name, IpAddr::from(Ipv4Addr::new(192, 0, 2, 1))));
    let places = [Place::Middle; 2];
    let prepare = |network: &Network| Server::dns(&network.server, &addresses);
    in_networks(
        "A blocklist for DNS",
        places,
        prepare,
        |network, _, example| {
            let asked = |family, question: &[&str], patience| {
                let question = [question, &["+noshort", "+comments", "+answer"]].concat();
                let server = network.server.address(family);
                network.client.dig(server, &question, patience)
            };
            let status = |family, question: &[&str]| {
                let output = asked(family, question, 3 * SOON);
                let (_, rest) = output.success().split_once("status: ").expect("a status");
                rest.split(',').next().unwrap_or_default().to_owned()
            };
            let blocked = if example.is_some() {
                "NXDOMAIN"
            } else {
                "NOERROR"
            };
            for family in Family::ALL {
                assert_eq!(status(family, &["good.example"]), "NOERROR");
                assert_eq!(status(family, &["news.example"]), "NOERROR");
                for question in [
                    &["ads.example"][..],
                    &["WWW.Ads.Example"],
                    &["a.b.c.ads.example", "+noedns"],
                    &["ads.example", "+bufsize=4096", "+dnssec"],
                ] {
                    assert_eq!(status(family, question), blocked, "{question:?}");
                }
                assert_eq!(status(family, &["notads.example"]), "NXDOMAIN");
                assert_eq!(status(family, &["+tcp", "good.example"]), "NOERROR");
                if example.is_some() {
                    let output = asked(family, &["+tcp", "ads.example"], SHORT);
                    assert_eq!(output.status, 9, "{output:?}");
                }
                let names = ["xxx.news.example", "yyyy.ads.example"];
                let (answers, patience) = match example {
                    Some(_) => (0, SHORT),
                    None => (2, 3 * SOON),
                };
                let both = answers_to_both(network, family, names, patience);
                assert_eq!(both, answers);
            }
            if let Some(example) = example {
                example.run(1);
                assert_eq!(status(Family::V4, &["www.news.example"]), "NXDOMAIN");
                assert_eq!(example.ask("remove news.example"), "");
                assert_eq!(status(Family::V4, &["www.news.example"]), "NOERROR");
                let error = example.state.send_data("nonsense").unwrap_err();
                assert!(error.to_string().contains("add NAME"), "{error}");
            }
        },
    );
}

/// The connections that a client gets who asks for many at once, or why it gets none.
fn connections(network: &Network, family: Family, patience: Duration) -> Vec<io::Result<()>> {
    let address = network.server.port(family, 5000);
    // Nobody accepts them; the kernel does.
    let _listener = network
        .server
        .netns
        .within(|| TcpListener::bind(address).expect("a free port"));
    let connect = || TcpStream::connect_timeout(&address, patience).map(drop);
    network.client.netns.within(|| {
        thread::scope(|scope| {
            let tries: Vec<_> = (0..40).map(|_| scope.spawn(connect)).collect();
            let results = tries.into_iter().map(|one| one.join().expect("a result"));
            results.collect()
        })
    })
}

/// What the limit says: how many it let pass and dropped, and of how many sources.
fn limited(example: &Example<'_>) -> [usize; 3] {
    let status = example.ask("status");
    let numbers: Vec<_> = status
        .split(", ")
        .map(|part| part.split(' ').next().unwrap_or_default())
        .map(|number| number.parse().expect("a number"))
        .collect();
    numbers.try_into().expect("three numbers")
}

#[test]
fn syn() {
    let places = [Place::Middle, Place::Server];
    let others = ["10.0.1.3", "fd00:0:0:1::3"];
    let prepare = |network: &Network| {
        for address in others {
            let add = ["addr", "add", address, "dev", "eth0", "nodad"];
            run(network.client.netns.command("ip").args(add)).success();
        }
        Server::http(&network.server, &[("file", b"hello\n")])
    };
    in_networks(
        "A limit for new connections",
        places,
        prepare,
        |network, _, example| {
            for (family, other) in Family::ALL.into_iter().zip(others) {
                if let Some(example) = example {
                    let (start, before) = (Instant::now(), limited(example));
                    let made = connections(network, family, SHORT);
                    let made = made.into_iter().flatten().count();
                    let after = limited(example);
                    let passed = after[0] - before[0];
                    let rate = usize::try_from(start.elapsed().as_millis() * 5 / 1000);
                    // The burst, and what has come since
                    let most = 10 + rate.expect("a number") + 1;
                    assert!((10..=most).contains(&passed), "{passed} of {most}");
                    assert!(made <= passed, "{made} of {passed}");
                    assert!(after[1] > before[1], "{after:?}");
                } else {
                    let made = connections(network, family, SOON);
                    assert!(made.iter().all(Result::is_ok), "{made:?}");
                }
                // Connections of others, and packets of other protocols, are not limited.
                let address = network.server.address(family);
                assert_eq!(network.client.ping(address, 5, 56, SOON), 5);
                let url = format!("http://{}/file", network.server.port(family, 80));
                let fetched = network.client.curl(&["--interface", other, &url], 3 * SOON);
                assert_eq!(fetched.success(), "hello\n");
                let Some(example) = example else { continue };
                // Both addresses of IPv6 are one source.
                let most = if family == Family::V4 { 2 } else { 1 };
                let [_, _, sources] = limited(example);
                assert!(sources <= most, "{sources}");
                eventually("buckets are full", || limited(example)[2] == 0);
            }
        },
    );
}

/// A client's first message of TLS 1.2 for the server called `name`.
fn client_hello(name: &str) -> Vec<u8> {
    let block = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("a length");
        [&length.to_be_bytes(), bytes].concat()
    };
    let extension = |kind: u8, data: &[u8]| [&[0, kind][..], &block(data)].concat();
    let extensions = [
        // Padding, so that it is long
        extension(21, &[0; 1200]),
        extension(0, &block(&[&[0][..], &block(name.as_bytes())].concat())),
        extension(10, &block(&[0, 0x17, 0, 0x1d])),
        extension(11, &[1, 0]),
        extension(13, &block(&[4, 3])),
    ];
    let body = [
        &[3, 3][..],
        &[0x55; 32],
        &[0],
        &block(&[0xc0, 0x2b]),
        &[1, 0],
        &block(&extensions.concat()),
    ]
    .concat();
    // What is before it: type and a length of three bytes, the first of which is 0.
    let message = [&[1, 0][..], &block(&body)].concat();
    [&[22, 3, 1][..], &block(&message)].concat()
}

/// Whether the server answers a first message that comes in pieces which end at `cuts`, in
/// `patience`.
fn greets(
    network: &Network,
    family: Family,
    name: &str,
    cuts: &[usize],
    patience: Duration,
) -> bool {
    let address = network.server.port(family, 443);
    let mut stream = network
        .client
        .netns
        .within(|| TcpStream::connect(address).expect("connects"));
    stream.set_nodelay(true).expect("an option");
    let hello = client_hello(name);
    let mut begin = 0;
    for &end in cuts.iter().chain([&hello.len()]) {
        stream.write_all(&hello[begin..end]).expect("is sent");
        begin = end;
        thread::sleep(Duration::from_millis(20));
    }
    stream.set_read_timeout(Some(patience)).expect("a time");
    let mut kind = [0];
    match stream.read(&mut kind) {
        Ok(n) => (n, kind) == (1, [22]),
        Err(error) => {
            let ends = [ErrorKind::WouldBlock, ErrorKind::ConnectionReset];
            assert!(ends.contains(&error.kind()), "{error}");
            false
        }
    }
}

#[test]
fn tls() {
    let places = [Place::Middle, Place::Server];
    let prepare =
        |network: &Network| Server::tls(&network.server, &["good.example", "bad.example"]);
    in_networks(
        "A filter of TLS servers",
        places,
        prepare,
        |network, server, example| {
            let fetch = |family, name: &str, patience| {
                let place = format!("{name}:443:{}", network.server.address(family));
                let url = format!("https://{name}/");
                let authority = server.authority();
                let arguments = ["--cacert", &authority, "--resolve", &place, &url];
                network.client.curl(&arguments, patience)
            };
            for family in Family::ALL {
                let page = fetch(family, "good.example", 3 * SOON);
                assert!(page.success().contains("TLSv1.3"), "{page:?}");
                if example.is_some() {
                    let page = fetch(family, "bad.example", SHORT);
                    // Too long, or reset
                    assert!([28, 35].contains(&page.status), "{page:?}");
                } else {
                    let page = fetch(family, "bad.example", 3 * SOON);
                    assert!(page.success().contains("TLSv1.3"), "{page:?}");
                }
                for cuts in [&[][..], &[1], &[1, 2, 5, 43, 44, 45, 100, 1300]] {
                    let greets = |name, patience| greets(network, family, name, cuts, patience);
                    assert!(greets("good.example", 3 * SOON), "{cuts:?}");
                    let patience = example.map_or(3 * SOON, |_| SHORT);
                    let bad = greets("Www.Bad.Example", patience);
                    assert_eq!(bad, example.is_none(), "{cuts:?}");
                }
            }
        },
    );
}

#[test]
fn count() {
    let places = [Place::Middle; 2];
    in_networks(
        "Counters",
        places,
        |_| (),
        |network, (), example| {
            let pings = || {
                for family in Family::ALL {
                    let address = network.server.address(family);
                    assert_eq!(network.client.ping(address, 5, 56, SOON), 5);
                }
            };
            pings();
            let Some(example) = example else { return };
            example.run(1);
            let mut messages = example.state.subscribe().expect("messages");
            let replicas = example.state.description().expect("a state").replicas;
            let mut sums: Vec<String> = Vec::new();
            // Of each CPU what is new since the pings
            let start = Instant::now();
            while sums.len() < 2 * replicas as usize {
                assert!(start.elapsed() < SOON, "no news: {sums:?}");
                if let Some(message) = messages.recv_timeout(SOON).expect("open") {
                    sums.push(String::from_utf8(message.data).expect("UTF-8"));
                }
            }
            let hooks = example.state.description().expect("a state").hooks;
            // The last of each CPU
            let sum = |name: &str| -> (u64, u64) {
                let mut total = (0, 0);
                for cpu in 0..replicas {
                    let of_cpu =
                        |one: &&String| replicas == 1 || one.contains(&format!(" cpu={cpu}\n"));
                    let last = sums.iter().rfind(of_cpu).expect("each sends");
                    let Some((_, rest)) = last.split_once(&format!("\n{name} packets=")) else {
                        continue;
                    };
                    let line = rest.lines().next().unwrap_or_default();
                    let (packets, bytes) = line.split_once(" bytes=").expect("bytes");
                    total.0 += packets.parse::<u64>().expect("a number");
                    total.1 += bytes.parse::<u64>().expect("a number");
                }
                total
            };
            // A machine may be so slow that the script has too little time for a packet.
            let beyond = |hook: &Hook| hook.deadline_kills + hook.missed;
            let killed: u64 = hooks.iter().map(beyond).sum();
            // Neighbours are looked for by icmp6, too, but not by what is forwarded.
            for (name, size) in [("forward icmp", 84), ("forward icmp6", 104)] {
                let (packets, bytes) = sum(name);
                assert!(
                    packets <= 10 && packets + killed >= 10,
                    "{sums:?} {hooks:?}"
                );
                assert!(
                    bytes <= packets * size && bytes + killed * size >= 10 * size,
                    "{sums:?}"
                );
            }
            assert_eq!(sum("forward tcp"), (0, 0), "{sums:?}");
        },
    );
}

#[test]
fn nat() {
    let places = [Place::Middle; 2];
    let file = vec![b'x'; by_kernel(4 << 20, 1 << 19)];
    let prepare = |network: &Network| Server::http(&network.server, &[("file", &file)]);
    in_networks("NAT of a mark", places, prepare, |network, _, example| {
        for router in ["10.0.1.254", "[fd00:0:0:1::fe]"] {
            let url = format!("http://{router}:8080/file");
            let fetched = network.client.curl(&[&url], 3 * SOON);
            if example.is_some() {
                assert!(fetched.success().as_bytes() == file);
            } else {
                fetched.failure(7);
            }
        }
        // What has no mark goes where it went.
        for family in Family::ALL {
            let transfer = Transfer {
                family,
                bytes: by_kernel(4 << 20, 1 << 19),
                ..Transfer::default()
            };
            network.tcp(&transfer).expect("arrives");
            network
                .udp(&transfer, Datagrams::Single(3000))
                .expect("arrives");
        }
    });
}

#[test]
fn droplist() {
    if !kfuncs() {
        return;
    }
    let ping = |network: &Network, family, expected| {
        let address = network.server.address(family);
        let patience = if expected == 0 { SHORT } else { 3 * SOON };
        assert_eq!(network.client.ping(address, 5, 56, patience), expected);
    };
    let listed = |listing| {
        let (network, maps) = (Network::router(), Pins::new());
        let server = &network.server.netns;
        let adapt = |code: String| code.replace("/sys/fs/bpf/droplist", &maps.path("droplist"));
        let example = Example::load(server, "A list of addresses in a map of eBPF", adapt);
        ping(&network, Family::V4, 5);
        if listing {
            example.run(1);
        }
        let lost = if listing { 0 } else { 5 };
        ping(&network, Family::V4, lost);
        ping(&network, Family::V6, 5);
        // Others are not in the list.
        let address = network.server.address(Family::V4).to_string();
        let three = ["-c", "3", "-i", "0.01", &address];
        run(network.middle().command("ping").args(three)).success();
        if listing {
            let map = bpftool(&["-j", "map", "dump", "pinned", &maps.path("droplist")]).json();
            let [entry] = &map.as_array().expect("entries")[..] else {
                panic!("{map}");
            };
            let count = |value: &serde_json::Value| -> u64 {
                let bytes = value["value"].as_array().expect("bytes").iter();
                let byte = |byte: &serde_json::Value| -> u8 {
                    let digits = byte.as_str().expect("a byte").trim_start_matches("0x");
                    u8::from_str_radix(digits, 16).expect("a byte")
                };
                let bytes: Vec<_> = bytes.map(byte).collect();
                u64::from_ne_bytes(bytes.try_into().expect("8 bytes"))
            };
            let values = entry["values"].as_array().expect("a value of each CPU");
            assert_eq!(values.iter().map(count).sum::<u64>(), 5, "{map}");
            example.run(2);
            ping(&network, Family::V4, 5);
            // The same for IPv6
            let client = match network.client.address(Family::V6) {
                IpAddr::V6(address) => address.octets().map(|byte| byte.to_string()),
                IpAddr::V4(_) => unreachable!("it is IPv6"),
            };
            let path = maps.path("droplist");
            let key = ["pinned", &path, "key"];
            let key = key.into_iter().chain(client.iter().map(String::as_str));
            let key: Vec<_> = key.collect();
            let value = ["value", "0", "0", "0", "0", "0", "0", "0", "0"];
            bpftool(&[&["map", "update"][..], &key, &value].concat()).success();
            ping(&network, Family::V6, 0);
            ping(&network, Family::V4, 5);
            bpftool(&[&["map", "delete"][..], &key].concat()).success();
            ping(&network, Family::V6, 5);
            example.run(1);
        }
        example.close();
        // The program is still there, and the entry, but not the state.
        ping(&network, Family::V4, 5);
    };
    undisturbed(|| {
        thread::scope(|scope| {
            for listing in [true, true, false] {
                scope.spawn(move || listed(listing));
            }
        });
    });
}
