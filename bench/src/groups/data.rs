// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data in and out of a running state, in messages per second.

use anyhow::{Context, Result, ensure};

use crate::case::{Case, Operation, Side, each};
use crate::{netlink, states};

const GROUP: &str = "data";
/// Messages that are sent before they are received.
const BURST: u32 = 256;
const SIZES: [(&str, usize); 2] = [("64 B", 64), ("1 KiB", 1 << 10)];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, size) in SIZES {
        cases.extend([
            Case::rate(GROUP, up(format!("up, {name}"), size)).against(netlink::side(size, BURST)),
            Case::rate(GROUP, down(format!("down one by one, {name}"), size))
                .against(netlink::side(size, BURST)),
            Case::rate(GROUP, pipelined(format!("pipelined, {name}"), size))
                .against(netlink::side(size, BURST)),
        ]);
    }
    let size = 64;
    cases.push(
        Case::rate(GROUP, pipelined("pipelined, 64 B".to_owned(), size))
            .against(down("down one by one, 64 B".to_owned(), size))
            .at_least(5.0),
    );
    cases
}

/// From a script that calls `lunatik.send` to a subscriber that receives.
fn up(name: String, size: usize) -> Side {
    let setup = move || -> Result<Operation> {
        let state = states::state(&format!(
            "local lunatik, data = require 'lunatik', ('x'):rep({size})
            function burst() for i = 1, {BURST} do lunatik.send(data) end end"
        ))?;
        let mut subscription = state.subscribe()?;
        Ok(each(move || {
            state.do_string("burst()")?;
            for _ in 0..BURST {
                let message = subscription.try_recv()?.context("a message is missing")?;
                ensure!(
                    message.data.len() == size && message.lost == 0,
                    "another message"
                );
            }
            Ok(())
        }))
    };
    Side::new(name, setup).things(BURST)
}

/// To a script's receiver, each message with an answer before the next.
fn down(name: String, size: usize) -> Side {
    Side::new(name, move || {
        let state = states::state("require 'lunatik'.receive(function() end)")?;
        let data = vec![b'x'; size];
        Ok(each(move || {
            ensure!(state.send_data(&data)?.is_none(), "an answer");
            Ok(())
        }))
    })
}

/// To a script's receiver, as a batch.
fn pipelined(name: String, size: usize) -> Side {
    let setup = move || -> Result<Operation> {
        let state = states::state("require 'lunatik'.receive(function() end)")?;
        let mut batch = state.session().batch();
        let data = vec![b'x'; size];
        Ok(each(move || {
            for _ in 0..BURST {
                batch.push(&state, &data);
            }
            for answer in batch.send() {
                ensure!(answer?.is_none(), "an answer");
            }
            Ok(())
        }))
    };
    Side::new(name, setup).things(BURST)
}
