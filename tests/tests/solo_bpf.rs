// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module and namespaces that go, or try to, while eBPF programs call Lua. It runs
//! alone.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lunatik::{Context, State};
use lunatik_tests::{
    Family, Netns, Network, SOON,
    bpf::{ASK, COUNT, Pins, bpftool, kfuncs},
    eventually, lua, run, sh,
};

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        run(Command::new("modprobe").arg("lunatik")).success();
    }
}

fn packets(netns: &Netns) -> State {
    let session = netns.session();
    let new = session.new_state("fw").context(Context::Softirq);
    new.create().expect("a state")
}

/// How many programs of that name there are.
fn programs(name: &str) -> usize {
    let programs = bpftool(&["-j", "prog", "show"]).json();
    let programs = programs.as_array().expect("an array");
    programs
        .iter()
        .filter(|program| program["name"] == name)
        .count()
}

#[test]
fn the_module_stays_while_a_program_calls_it() {
    if !kfuncs() {
        return;
    }
    let _reload = Reload;
    let pins = Pins::new();
    pins.load(ASK);
    let text = sh("lunatikctl unload");
    assert!(text.failure(1).contains("in use"), "{text:?}");
    drop(pins);
    eventually("it is unloaded", || sh("rmmod lunatik").status == 0);

    run(Command::new("modprobe").arg("lunatik")).success();
    let network = Network::direct();
    let netns = &network.server.netns;
    let _fw = packets(netns);
    netns
        .ctl(&["xdp", "attach", "fw", "--dev", "eth0"])
        .success();
    netns
        .ctl(&["tc", "attach", "fw", "--dev", "eth0", "egress"])
        .success();
    sh("rmmod lunatik").failure(1);
    netns
        .ctl(&["xdp", "detach", "fw", "--dev", "eth0"])
        .success();
    sh("rmmod lunatik").failure(1);
    // The program ends with the device, the device with its namespace.
    drop(network);
    eventually("it is unloaded", || sh("rmmod lunatik").status == 0);
}

#[test]
fn a_namespace_that_is_deleted_under_traffic() {
    if !kfuncs() {
        return;
    }
    let pins = Pins::new();
    pins.load(COUNT);
    for round in 0..5 {
        let network = Network::direct();
        for host in [&network.client, &network.server] {
            let fw = packets(&host.netns);
            lua(
                &fw,
                &format!(
                    "local count = require 'bpf'.prog '{}'
                     require 'xdp'.register(function(pkt) return (count(pkt, {round}, 1 << 40)) end)
                     require 'tc'.register(function(pkt) return nil end)",
                    pins.path("count")
                ),
            );
            host.netns
                .ctl(&["xdp", "attach", "fw", "--dev", "eth0"])
                .success();
            for direction in ["ingress", "egress"] {
                host.netns
                    .ctl(&["tc", "attach", "fw", "--dev", "eth0", direction])
                    .success();
            }
        }
        let to = network.server.address(Family::V4);
        assert_eq!(network.client.ping(to, 3, 56, SOON), 3);
        let mut flood = network.client.netns.command("ping");
        flood.args(["-q", "-f", "-w", "2", &to.to_string()]);
        let mut flood = flood.stdout(Stdio::null()).spawn().expect("a program");
        thread::sleep(Duration::from_millis(200));
        drop(network);
        flood.wait().expect("a child");
    }
    for name in ["lunatik_xdp", "lunatik_tc"] {
        eventually("the programs are freed", || programs(name) == 0);
    }
    // States that held the program are gone, too; it is freed with its pin.
    drop(pins);
    eventually("the called program is freed", || programs("count") == 0);
}

#[test]
fn without_btf() {
    let netns = Netns::new();
    packets(&netns);
    let hide = |command: &str| {
        let name = netns.name();
        let folder = "/sys/kernel/btf";
        sh(&format!(
            "unshare -m sh -c 'test ! -d {folder} || mount -t tmpfs none {folder}; lunatikctl -n {name} {command}'"
        ))
    };
    let text = hide("status");
    assert!(text.success().contains("\nbpf: no"), "{text:?}");
    let text = hide("-j status");
    assert_eq!(text.json()["bpf"], false, "{text:?}");
    for command in ["xdp attach fw --dev lo", "tc attach fw --dev lo ingress"] {
        let text = hide(command);
        assert!(text.failure(1).contains("BTF"), "{text:?}");
        assert!(
            text.stderr.contains("EOPNOTSUPP") || text.stderr.contains("ENOTSUP"),
            "{text:?}"
        );
    }
    assert!(hide("xdp list").status == 0);
    if Path::new("/sys/kernel/btf/lunatik").exists() {
        let text = netns.ctl(&["status"]);
        assert!(text.success().contains("\nbpf: yes"), "{text:?}");
    }
}
