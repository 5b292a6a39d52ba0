// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binds a script to packets and tells what its hook did with some.

use std::net::UdpSocket;

use lunatik::{Context, HookKind, Session};

/// Counts the UDP packets that come to this machine, and lets all packets pass.
const SCRIPT: &str = "
    local nf = require 'netfilter'
    udp = 0
    nf.register{family = 'ipv4', hook = 'input', priority = 'filter', function(pkt)
      if pkt:u8(9) == 17 then udp = udp + 1 end
    end}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let session = Session::open()?;
    let new = session.new_state("hooks").ephemeral(true);
    let state = new.context(Context::Softirq).create()?;
    state.do_string(SCRIPT)?;

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..3 {
        socket.send_to(b"ping", socket.local_addr()?)?;
    }
    println!("{} packets of UDP", state.do_string("return udp")?[0]);

    for hook in state.description()?.hooks {
        if let HookKind::Netfilter { family, hook, .. } = hook.kind {
            println!("{family} {hook}:");
        }
        println!("{} calls in {:?}", hook.calls, hook.run_time);
        for (verdict, count) in hook.verdicts {
            println!("{verdict}: {count}");
        }
    }
    Ok(())
}
