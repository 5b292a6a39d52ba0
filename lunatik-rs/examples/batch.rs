// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends many messages in one system call, to two states.

use lunatik::{ErrorKind, Session};

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let shout = session.new_state("shout").ephemeral(true).create()?;
    shout.do_string("require('lunatik').receive(string.upper)")?;
    let count = session.new_state("count").ephemeral(true).create()?;
    count.do_string(
        "local sum = 0
         require('lunatik').receive(function(n) sum = sum + math.tointeger(n) return sum end)",
    )?;

    let mut batch = session.batch();
    batch.push(&shout, "one").push(&count, "1");
    batch
        .push(&shout, "two")
        .push(&count, "two")
        .push(&count, "2");
    let answers = batch.send();
    for answer in &answers {
        match answer {
            Ok(reply) => println!(
                "{}",
                String::from_utf8_lossy(reply.as_deref().unwrap_or(b""))
            ),
            Err(error) => println!("{error}"),
        }
    }
    let failed = answers[3].as_ref().expect_err("two is no number");
    assert_eq!(failed.kind(), ErrorKind::Script);
    assert_eq!(answers[4].as_ref().unwrap().as_deref(), Some(&b"3"[..]));

    // To one state in short:
    for answer in shout.send_all(["a", "b", "c"]) {
        println!("{}", String::from_utf8_lossy(&answer?.unwrap_or_default()));
    }
    Ok(())
}
