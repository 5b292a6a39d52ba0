// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many requests to a state that packets meet: what packets wait for it. Before, the
//! request is compiled, which they do not wait for; it runs as long as it may.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use lunatik::{Context, ErrorKind, State, Value};
use lunatik_tests::{
    Family, Network, SOON, Transfer, by_kernel, hooks_worked, integer, lua, refused, run, tell,
};

/// What a script may take while packets wait, if nothing else is said.
const LIMIT: Duration = Duration::from_millis(10);
const CLIENTS: usize = 4;

/// How long packets took there and back.
struct Times(Vec<Duration>);

impl Times {
    /// Pings the server, which answers in the kernel. Each request must be answered.
    fn of(network: &Network) -> Self {
        let count = by_kernel(600, 200);
        let to = network.server.address(Family::V4).to_string();
        let mut ping = network.client.netns.command("ping");
        ping.args([
            "-n",
            "-i",
            "0.003",
            "-W",
            "30",
            "-c",
            &format!("{count}"),
            &to,
        ]);
        let output = run(&mut ping);
        let time = |line: &str| {
            let (_, time) = line.split_once(" time=")?;
            let milliseconds: f64 = time.split(' ').next()?.parse().ok()?;
            Some(Duration::from_secs_f64(milliseconds / 1000.0))
        };
        let mut times: Vec<_> = output.success().lines().filter_map(time).collect();
        assert_eq!(times.len(), count, "some are lost");
        times.sort();
        Self(times)
    }

    /// That which so many of a hundred did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, percent) in [
            ("half", 50),
            ("9 of 10", 90),
            ("99 of 100", 99),
            ("all", 100),
        ] {
            write!(f, "{name} {:.1?}, ", self.percentile(percent))?;
        }
        write!(f, "{} pings", self.0.len())
    }
}

/// Long to compile, and quick to run.
fn long_chunk(length: usize) -> String {
    let mut chunk = String::from("if nothing then ");
    while chunk.len() < length {
        chunk += "a = b(c, 'd') + e[1] ";
    }
    chunk + "end return 42"
}

/// Requests, all of which had their answer.
#[derive(Debug, Default)]
struct Requests {
    count: AtomicU32,
    /// Those that had to end, but had not the CPU for as long as they may run.
    late: AtomicU32,
}

impl Requests {
    /// One after the other to a state, until it is over.
    fn send(&self, state: &State, chunk: &str, over: &AtomicBool) {
        while !over.load(Relaxed) {
            for code in [chunk, "return 6 * 7"] {
                // It waits for those of others, too.
                match state.call(code).timeout(SOON).run() {
                    Ok(values) => assert_eq!(values, [Value::Integer(42)]),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
                        self.late.fetch_add(1, Relaxed);
                    }
                }
            }
            refused(state.do_string("while true do end"), ErrorKind::Deadline);
            self.count.fetch_add(3, Relaxed);
        }
    }
}

/// Pings while clients send requests to a state.
fn under_requests(network: &Network, state: &str, chunk: &str) -> (Times, u32) {
    let over = AtomicBool::new(false);
    let requests = Requests::default();
    let times = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let session = network.server.netns.session();
                let state = session.get_state(state).expect("a state");
                requests.send(&state, chunk, &over);
            });
        }
        let times = thread::scope(|scope| scope.spawn(|| Times::of(network)).join());
        over.store(true, Relaxed);
        times
    });
    let (count, late) = (requests.count.into_inner(), requests.late.into_inner());
    assert!(count > 0 && late <= count / 10, "{late} of {count}");
    (times.expect("no loss"), count)
}

#[test]
fn packets_do_not_wait_for_requests_that_are_compiled() {
    let network = Network::direct();
    let session = network.server.netns.session();
    let chunk = long_chunk(by_kernel(200_000, 20_000));
    for percpu in [false, true] {
        // Packets meet only one of two states.
        for name in ["met", "other"] {
            let new = session.new_state(name).context(Context::Softirq);
            let new = new.percpu(percpu).timeout(LIMIT).max_alloc(16 << 20);
            new.create().expect("a state");
        }
        let [met, other] = ["met", "other"].map(|name| session.get_state(name).expect("a state"));
        let register = |family| {
            format!(
                "n = 0
                 require 'netfilter'.register{{family = '{family}', hook = 'input',
                   function(pkt) n = n + 1 end}}"
            )
        };
        lua(&met, &register("ipv4"));
        lua(&other, &register("ipv6"));

        let quiet = Times::of(&network);
        let (beside, beside_count) = under_requests(&network, "other", &chunk);
        let (within, within_count) = under_requests(&network, "met", &chunk);
        tell!("percpu {percpu}: without requests {quiet}");
        tell!("percpu {percpu}: {beside_count} requests to another state {beside}");
        tell!("percpu {percpu}: {within_count} requests to its state {within}");
        // On its way there and back a packet meets runs of a script that have the CPU or
        // the state, one after the other.
        let most = beside.percentile(90) + 3 * LIMIT;
        assert!(within.percentile(90) <= most, "{most:?}");

        assert!(integer(&met, "return n") > 0);
        let transfer = Transfer::default();
        assert_eq!(
            network.tcp(&transfer).expect("arrives").bytes,
            transfer.bytes
        );
        hooks_worked(&met);
        for state in [met, other] {
            state.close().expect("closes");
        }
    }
}
