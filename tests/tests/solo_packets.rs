// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends while packets go through it: hooks, states, namespaces, devices and the
//! module. It runs alone, because it unloads the module.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::Context;
use lunatik_tests::{
    Broken, Datagrams, Family, Netns, Network, Over, Transfer, by_kernel, integer, lua, run, tell,
    undisturbed,
};

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        run(Command::new("modprobe").arg("lunatik")).success();
    }
}

const LOOK: &str = "local nf = require 'netfilter'
    local function look(pkt)
      n = (n or 0) + pkt:u8(0) + #pkt
      if pkt:u16(2) == 0 then return nf.ACCEPT end
    end
    for _, hook in ipairs {'prerouting', 'input', 'forward', 'output', 'postrouting'} do
      nf.register{family = 'inet', hook = hook, look}
    end
    for dev in pairs(require 'linux'.interfaces()) do
      for _, hook in ipairs {'ingress', 'egress'} do
        nf.register{family = 'netdev', hook = hook, dev = dev, look}
      end
    end
    require 'lunatik'.every(1, function() n = 0 end)";

/// How long each storm lasts.
fn storm() -> Duration {
    by_kernel(Duration::from_secs(5), Duration::from_secs(8))
}

fn new_filter(netns: &Netns, name: &str, percpu: bool) -> lunatik::State {
    let session = netns.session();
    let new = session.new_state(name).context(Context::Softirq);
    let longest = session.info().expect("info").max_softirq_timeout;
    new.percpu(percpu)
        .timeout(longest)
        .create()
        .expect("a state")
}

/// Calls `disturb` again and again for a while under traffic of both families, which
/// must all arrive, each datagram the first time; how often.
fn under_traffic(network: &Network, mut disturb: impl FnMut(u32)) -> u32 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = Family::ALL
            .iter()
            .map(|&family| {
                let over = &over;
                scope.spawn(move || {
                    let mut bytes = 0;
                    while !over.load(Relaxed) {
                        let transfer = Transfer {
                            family,
                            bytes: 1 << 18,
                            count: true,
                            ..Transfer::default()
                        };
                        bytes += network.tcp(&transfer).expect("arrives").bytes;
                        let segmented = Datagrams::Segmented(1400);
                        let udp = network.udp(&transfer, segmented).expect("arrives");
                        // What is lost of TCP is sent again by the kernel, which tells nobody.
                        assert_eq!(udp.lost, 0, "{family:?}: {udp}");
                        bytes += udp.bytes;
                    }
                    bytes
                })
            })
            .collect();
        let end = Over(&over);
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < storm() {
            disturb(rounds);
            rounds += 1;
        }
        drop(end);
        for sender in senders {
            assert!(sender.join().expect("all arrives") > 0);
        }
        rounds
    })
}

#[test]
fn states_come_and_go_under_traffic() {
    undisturbed(|| {
        let network = Network::router();
        let middle = network.middle();
        let rounds = under_traffic(&network, |round| {
            let state = new_filter(middle, "look", round % 2 == 1);
            lua(&state, LOOK);
            thread::sleep(Duration::from_millis(u64::from(round) % 20));
            state.close().expect("closes");
        });
        tell!("{rounds} states came and went");
    });
}

#[test]
fn hooks_come_and_go_under_traffic() {
    undisturbed(|| {
        let network = Network::router();
        for percpu in [false, true] {
            let state = new_filter(network.middle(), "look", percpu);
            lua(
                &state,
                "nf = require 'netfilter' lunatik = require 'lunatik'",
            );
            let rounds = under_traffic(&network, |_| {
                lua(
                    &state,
                    "hooks = {}
                 for i = 1, 5 do
                   hooks[i] = nf.register{family = 'inet', hook = 'forward', function(pkt)
                     -- Some go by themselves.
                     if pkt:u8(0) & 1 == i & 1 then hooks[i]:unregister() end
                   end}
                 end",
                );
                lua(
                    &state,
                    "for _, hook in ipairs(hooks) do hook:unregister() end",
                );
            });
            tell!("percpu {percpu}: {rounds} times hooks came and went");
            state.close().expect("closes");
        }
    });
}

/// Scripts run in the middle of it.
#[test]
fn scripts_run_under_traffic() {
    undisturbed(|| {
        let network = Network::router();
        for percpu in [false, true] {
            let state = new_filter(network.middle(), "look", percpu);
            lua(&state, LOOK);
            let rounds = under_traffic(&network, |round| {
                let value = integer(
                    &state,
                    &format!(
                        "x = {round} local t = {{}} for i = 1, 100 do t[i] = {{}} end return x"
                    ),
                );
                assert_eq!(value, i64::from(round));
            });
            tell!("percpu {percpu}: {rounds} scripts");
            let hooks = state.description().expect("a description").hooks;
            assert!(hooks.iter().all(|hook| hook.errors == 0), "{hooks:?}");
            assert!(hooks.iter().any(|hook| hook.calls > 50), "{hooks:?}");
            state.close().expect("closes");
        }
    });
}

#[test]
fn the_module_comes_and_goes_under_traffic() {
    undisturbed(|| {
        let _reload = Reload;
        let network = Network::router();
        let netns = [
            network.middle(),
            &network.client.netns,
            &network.server.netns,
        ];
        let rounds = under_traffic(&network, |round| {
            for netns in netns {
                let state = new_filter(netns, "look", round % 2 == 0);
                lua(&state, LOOK);
                let process = netns.state("process");
                lua(
                    &process,
                    "require 'lunatik'.every(1, function() n = (n or 0) + 1 end)",
                );
            }
            run(Command::new("rmmod").arg("lunatik")).success();
            run(Command::new("modprobe").arg("lunatik")).success();
        });
        tell!("the module was unloaded {rounds} times");
    });
}

/// Traffic has no way any more then: it must end, and nothing else.
#[test]
fn namespaces_and_devices_go_under_traffic() {
    for device in [true, false] {
        for _ in 0..by_kernel(3, 2) {
            let network = Network::direct();
            for netns in [&network.client.netns, &network.server.netns] {
                for (name, percpu) in [("one", false), ("each", true)] {
                    lua(&new_filter(netns, name, percpu), LOOK);
                }
            }
            let transfer = Transfer {
                bytes: 1 << 40,
                patience: Duration::from_secs(1),
                ..Transfer::default()
            };
            thread::scope(|scope| {
                let traffic = scope.spawn(|| network.tcp(&transfer));
                thread::sleep(Duration::from_millis(500));
                if device {
                    let mut ip = network.server.netns.command("ip");
                    run(ip.args(["link", "delete", "eth0"])).success();
                } else {
                    // Its sockets keep it for a while.
                    let name = network.server.netns.name().to_owned();
                    run(Command::new("ip").args(["netns", "delete", &name])).success();
                    let client = network.client.netns.command("ip");
                    let mut client = client;
                    run(client.args(["link", "delete", "eth0"])).success();
                }
                let error = traffic.join().expect("a result").unwrap_err();
                assert!(matches!(error, Broken::Stopped { .. }), "{error:?}");
            });
        }
    }
}
