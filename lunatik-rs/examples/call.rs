// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs Lua with arguments, a chunk name and a deadline.

use std::time::Duration;

use lunatik::{ErrorKind, Session, Value};

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session.new_state("call").ephemeral(true).create()?;

    let values = state
        .call("local a, b, t = ... return a + b, t.name, #t.list")
        .arg(40)
        .arg(2)
        .arg(Value::table([
            ("name", Value::from("fw")),
            ("list", Value::sequence([1, 2, 3])),
        ]))
        .run()?;
    println!("{values:?}");
    assert_eq!(values[0].as_integer(), Some(42));
    assert_eq!(values[2].as_integer(), Some(3));

    let error = state
        .call("while true do end")
        .chunk_name("=endless")
        .timeout(Duration::from_millis(20))
        .run()
        .expect_err("the deadline passes");
    assert_eq!(error.kind(), ErrorKind::Deadline);
    println!("{error}");
    Ok(())
}
