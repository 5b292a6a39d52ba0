// SPDX-License-Identifier: MIT OR Apache-2.0
//! Networks of namespaces of their own that veth pairs join, for tests with real
//! traffic. The devices are as they come: with GSO and GRO.

use std::{
    ffi::CStr,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    path::Path,
    process::Command,
    ptr,
    time::Duration,
};

use nix::{errno::Errno, libc};

use crate::{Netns, Output, eventually, run_with};

/// Version 4 or 6 of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both, for tests that hold for either.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// A namespace with the device `eth0`, which has an address of each family.
#[derive(Debug)]
pub struct Host {
    /// The namespace.
    pub netns: Netns,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Host {
    fn new(network: u8, number: u8) -> Self {
        let (v4, v6) = Self::addresses(network, number);
        Self {
            netns: Netns::new(),
            v4,
            v6,
        }
    }

    fn addresses(network: u8, number: u8) -> (Ipv4Addr, Ipv6Addr) {
        (
            Ipv4Addr::new(10, 0, network, number),
            Ipv6Addr::new(0xfd00, 0, 0, network.into(), 0, 0, 0, number.into()),
        )
    }

    /// Its address.
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// Its address and a port, which displays as it does in URLs.
    pub fn port(&self, family: Family, port: u16) -> SocketAddr {
        (self.address(family), port).into()
    }

    /// Lets the kernel compute the checksums of what it sends, all of them, as for a
    /// device that cannot. Otherwise nobody does where only software is between.
    pub fn without_offload(&self) {
        self.netns.within(|| ethtool(c"eth0", CHECKSUMS, 0));
    }

    /// Lets the tags of VLANs be among the bytes of what it sends, as on a wire, and not
    /// beside them.
    pub fn with_tags_inside(&self) {
        self.netns.within(|| ethtool(c"eth0", FLAGS, 0));
    }

    /// Sends `count` echo requests with `size` bytes of data at once and gives the
    /// number of replies that came in `patience`.
    #[track_caller]
    pub fn ping(&self, to: IpAddr, count: u32, size: u32, patience: Duration) -> u32 {
        // A ping that has seen one reply has little patience with others.
        self.ping_with(
            to,
            count,
            patience,
            &["-l", &count.to_string(), "-s", &size.to_string()],
        )
    }

    /// As [`ping`](Self::ping), one after the other. It hardly waits for the last of them.
    #[track_caller]
    pub fn ping_slowly(&self, to: IpAddr, count: u32, patience: Duration) -> u32 {
        self.ping_with(to, count, patience, &["-i", "0.01"])
    }

    #[track_caller]
    fn ping_with(&self, to: IpAddr, count: u32, patience: Duration, arguments: &[&str]) -> u32 {
        let mut ping = self.netns.command("ping");
        ping.args(["-n", "-q", "-c", &count.to_string()])
            .args(["-W", &patience.as_secs_f64().to_string()])
            .args(arguments);
        let output = crate::run(ping.arg(to.to_string()));
        // 1 tells that replies are missing.
        assert!([0, 1].contains(&output.status), "{output:?}");
        let mut facts = output.stdout.split(", ");
        let received = facts.find_map(|fact| fact.strip_suffix(" received")?.parse().ok());
        received.unwrap_or_else(|| panic!("no count of replies: {output:?}"))
    }

    /// Runs curl with `arguments`; it ends by itself after `patience`.
    #[track_caller]
    pub fn curl(&self, arguments: &[&str], patience: Duration) -> Output {
        let patience = patience.as_secs_f64().to_string();
        let mut curl = self.netns.command("curl");
        curl.args(["-sS", "--fail", "--noproxy", "*", "--max-time", &patience]);
        crate::run(curl.args(arguments))
    }

    /// Asks the DNS server at `server` once, as in `["www.example", "AAAA"]`; the
    /// short answer. dig fails if there is none in `patience`, but not if the
    /// server answers that there is no such name.
    #[track_caller]
    pub fn dig(&self, server: IpAddr, question: &[&str], patience: Duration) -> Output {
        let time = format!("+time={}", patience.as_secs().max(1));
        let mut dig = self.netns.command("dig");
        dig.args(["+short", "+tries=1", &time, &format!("@{server}")]);
        crate::run(dig.args(question))
    }
}

/// A client, a server, and what is between them.
#[derive(Debug)]
pub struct Network {
    /// Has the address 10.0.1.1 and `fd00:0:0:1::1`.
    pub client: Host,
    /// Has the address 10.0.1.2 and `fd00:0:0:1::2`, or behind a router 10.0.2.2 and
    /// `fd00:0:0:2::2`.
    pub server: Host,
    middle: Option<Netns>,
}

impl Network {
    /// One veth pair between client and server.
    pub fn direct() -> Self {
        let (client, server) = (Host::new(1, 1), Host::new(1, 2));
        veth(&client.netns, "eth0", &server.netns, "eth0");
        Self {
            client,
            server,
            middle: None,
        }
        .up("", "")
    }

    /// A namespace between them with the bridge `br0`, whose ports are `left`, where
    /// the client is, and `right`.
    pub fn bridge() -> Self {
        let (network, middle) = Self::around(1);
        batch(
            &middle,
            "link add br0 type bridge forward_delay 0 mcast_snooping 0
             link set left master br0
             link set right master br0
             link set left up
             link set right up
             link set br0 up",
        );
        // Where the kernel can let bridged packets through the hooks of IP, it does
        // so unless it is told.
        for family in ["ip", "ip6", "arp"] {
            let setting = format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables");
            middle.within(|| {
                if Path::new(&setting).exists() {
                    fs::write(&setting, "0").expect("a setting");
                }
            });
        }
        network.with(middle).up("", "")
    }

    /// A namespace between them that forwards from one network to the other; its
    /// devices are `left`, where the client is, and `right`.
    pub fn router() -> Self {
        let (network, middle) = Self::around(2);
        middle.within(|| {
            for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{setting}"), "1").expect("a setting");
            }
        });
        batch(
            &middle,
            "addr add 10.0.1.254/24 dev left
             addr add fd00:0:0:1::fe/64 dev left nodad
             addr add 10.0.2.254/24 dev right
             addr add fd00:0:0:2::fe/64 dev right nodad
             link set left up
             link set right up",
        );
        let route = |n| {
            format!(
                "route add default via 10.0.{n}.254
                 route add default via fd00:0:0:{n}::fe"
            )
        };
        network.with(middle).up(&route(1), &route(2))
    }

    /// Puts a tunnel between client and server of a router's network, in place of one that
    /// was there: `tunnel0` at each end, with the addresses 10.0.9.1 and 10.0.9.2, and
    /// `fd00:0:0:9::1` and `fd00:0:0:9::2`, which are the hosts' from then on. `link` is
    /// what ip makes it of, with `LOCAL` and `REMOTE` for the ends, which are of `outer`.
    pub fn tunnel(&mut self, outer: Family, link: &str) {
        let inner = [Host::addresses(9, 1), Host::addresses(9, 2)];
        let ends = match outer {
            Family::V4 => ["10.0.1.1", "10.0.2.2"],
            Family::V6 => ["fd00:0:0:1::1", "fd00:0:0:2::2"],
        };
        let hosts = [&mut self.client, &mut self.server];
        for (i, (host, (v4, v6))) in hosts.into_iter().zip(inner).enumerate() {
            let link = link
                .replace("LOCAL", ends[i])
                .replace("REMOTE", ends[1 - i]);
            if (host.v4, host.v6) == (v4, v6) {
                batch(&host.netns, "link delete tunnel0");
            }
            batch(
                &host.netns,
                &format!(
                    "link add tunnel0 {link}
                     addr add {v4}/24 dev tunnel0
                     addr add {v6}/64 dev tunnel0 nodad
                     link set tunnel0 up"
                ),
            );
            (host.v4, host.v6) = (v4, v6);
        }
    }

    /// Lets the kernel compute the checksums of what goes through the router, and cut what
    /// is longer than a packet may be, when it sends it on.
    pub fn without_offload_between(&self) {
        self.middle().within(|| {
            ethtool(c"left", CHECKSUMS, 0);
            ethtool(c"right", CHECKSUMS, 0);
        });
    }

    /// The namespace between client and server.
    pub fn middle(&self) -> &Netns {
        self.middle.as_ref().expect("a bridge or a router")
    }

    /// Client and server with a namespace between them, where nothing is set up.
    fn around(network: u8) -> (Self, Netns) {
        let (client, server) = (Host::new(1, 1), Host::new(network, 2));
        let middle = Netns::new();
        veth(&client.netns, "eth0", &middle, "left");
        veth(&server.netns, "eth0", &middle, "right");
        let network = Self {
            client,
            server,
            middle: None,
        };
        (network, middle)
    }

    fn with(mut self, middle: Netns) -> Self {
        self.middle = Some(middle);
        self
    }

    /// Gives client and server their addresses and routes, and waits until they
    /// reach each other.
    fn up(self, client_routes: &str, server_routes: &str) -> Self {
        for (host, routes) in [(&self.client, client_routes), (&self.server, server_routes)] {
            let (v4, v6) = (host.v4, host.v6);
            // Nobody else has the address; to find that out takes a second.
            batch(
                &host.netns,
                &format!(
                    "addr add {v4}/24 dev eth0
                     addr add {v6}/64 dev eth0 nodad
                     link set lo up
                     link set eth0 up
                     {routes}"
                ),
            );
        }
        for family in Family::ALL {
            let to = self.server.address(family);
            eventually("the network is up", || {
                self.client.ping(to, 1, 56, Duration::from_secs(1)) == 1
            });
        }
        self
    }
}

/// Joins two namespaces by a pair of devices.
fn veth(a: &Netns, name: &str, b: &Netns, peer: &str) {
    let line = format!(
        "link add {name} type veth peer name {peer} netns {}",
        b.name()
    );
    batch(a, &line);
}

/// Runs lines of commands of ip in a namespace.
#[track_caller]
fn batch(netns: &Netns, lines: &str) {
    let mut ip = Command::new("ip");
    ip.args(["-n", netns.name(), "-batch", "-"]);
    run_with(&mut ip, lines.as_bytes()).success();
}

/// `ETHTOOL_STXCSUM`: what the device computes are the checksums of what it sends.
const CHECKSUMS: u32 = 0x17;
/// `ETHTOOL_SFLAGS`: what it does, among other things, is to keep the tags of VLANs apart.
const FLAGS: u32 = 0x26;

/// Sets what a device does for the kernel.
fn ethtool(device: &CStr, command: u32, data: u32) {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    const SIOCETHTOOL: libc::Ioctl = 0x8946;

    let mut value = Value { command, data };
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(device.to_bytes()) {
        *to = from.cast_signed();
    }
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: ptr::from_mut(&mut value).cast(),
        },
    };
    // SAFETY: the request and the value that it points to live until it returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    Errno::result(result).expect("a setting of the device");
}
