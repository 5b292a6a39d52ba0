// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real clients of a network's server: all that other tests let through hooks.

use std::time::Duration;

use crate::{Broken, Datagrams, Family, Network, SOON, Server, Transfer, by_kernel, tell};

/// How many bytes are transferred, for each family.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// Over TCP.
    pub tcp: u64,
    /// Over UDP, in datagrams that are sent and received several at once.
    pub aggregated: u64,
    /// Over UDP, in datagrams that are received one by one: of each kind that there is,
    /// one of them in fragments.
    pub single: u64,
}

impl Amounts {
    /// A hundred megabytes, and fewer one by one; the debug kernel is slow.
    pub fn large() -> Self {
        Self {
            tcp: by_kernel(100_000_000, 1 << 20),
            aggregated: by_kernel(100_000_000, 1 << 20),
            single: by_kernel(4 << 20, 1 << 19),
        }
    }
}

/// What the name is that the DNS server knows.
const NAME: &str = "good.example";

impl Network {
    /// Sends everything from the client to the server, in both families: ping with and
    /// without fragments, TCP and UDP with checksums, curl and dig. Panics unless all
    /// arrives as it was sent; `what` is for the figures that it prints.
    #[track_caller]
    pub fn everything_arrives(&self, what: &str, amounts: Amounts) {
        let file = vec![b'x'; 1 << 20];
        let _http = Server::http(&self.server, &[("large", &file)]);
        let names = ["192.0.2.1", "2001:db8::1"].map(|text| (NAME, text.parse().expect("one")));
        let _dns = Server::dns(&self.server, &names);
        for family in Family::ALL {
            let server = self.server.address(family);
            for size in [56, 3000, 20_000] {
                let replies = self.client.ping(server, 3, size, 3 * SOON);
                assert_eq!(replies, 3, "{what}: {size}");
            }
            self.transfers_arrive(what, family, amounts);

            let url = format!("http://{}/large", self.server.port(family, 80));
            let page = self.client.curl(&[&url], 3 * SOON);
            assert!(page.success().as_bytes() == file, "{what}");
            for (question, answer) in [
                (&[NAME, "A"][..], "192.0.2.1\n"),
                (&["+tcp", NAME, "AAAA"], "2001:db8::1\n"),
            ] {
                let output = self.client.dig(server, question, 3 * SOON);
                assert_eq!(output.success(), answer, "{what}");
            }
        }
    }

    /// Connects to a port of the server over TCP, in both families. Panics unless nothing at
    /// all comes back, as where packets for it are dropped.
    #[track_caller]
    pub fn nobody_answers(&self, port: u16) {
        const SHORT: Duration = Duration::from_millis(700);
        for family in Family::ALL {
            let transfer = Transfer {
                family,
                port,
                patience: SHORT,
                ..Transfer::default()
            };
            let error = self.tcp(&transfer).unwrap_err();
            assert!(
                matches!(error, Broken::Connect(_)) && error.is_silence(),
                "{error:?}"
            );
        }
    }

    /// Sends data over TCP and UDP.
    #[track_caller]
    fn transfers_arrive(&self, what: &str, family: Family, amounts: Amounts) {
        let of = |bytes| Transfer {
            family,
            bytes,
            ..Transfer::default()
        };
        let tcp = self.tcp(&of(amounts.tcp)).expect("arrives");
        assert_eq!(tcp.bytes, amounts.tcp);
        tell!("{what}, {family:?}: TCP {tcp}");
        for (datagrams, bytes) in [
            (Datagrams::Aggregated(1400), amounts.aggregated),
            (Datagrams::Segmented(1400), amounts.single),
            (Datagrams::Single(1400), amounts.single),
            (Datagrams::Single(8000), amounts.single),
        ] {
            let udp = self.udp(&of(bytes), datagrams).expect("arrives");
            assert_eq!(udp.bytes, bytes);
            tell!("{what}, {family:?}: UDP {datagrams:?} {udp}");
        }
    }
}
