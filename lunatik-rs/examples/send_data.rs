// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends data to a state and gets its receiver's reply.

use lunatik::{ErrorKind, Session};

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session.new_state("send_data").ephemeral(true).create()?;

    let error = state.send_data("ping").expect_err("nothing receives yet");
    assert_eq!(error.kind(), ErrorKind::NoReceiver);
    println!("{error}");

    state.do_string("require('lunatik').receive(string.upper)")?;
    let reply = state.send_data("ping")?;
    assert_eq!(reply.as_deref(), Some(&b"PING"[..]));
    println!("{}", String::from_utf8_lossy(&reply.unwrap_or_default()));
    Ok(())
}
