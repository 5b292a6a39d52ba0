// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a state's log, goes on from where it was, and follows the logs of all.

use std::time::Duration;

use lunatik::Session;

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session.new_state("log").ephemeral(true).create()?;

    state.do_string("print('one') print('two', 2)")?;
    let log = state.log(None)?;
    for line in &log.lines {
        println!("{}: {}", line.sequence, String::from_utf8_lossy(&line.text));
    }
    assert_eq!(log.lost, 0);

    let mut follow = session.log_follow()?;
    state.do_string("print('three')")?;
    assert_eq!(state.log(log.next())?.lines.len(), 1);
    while let Some(line) = follow.recv_timeout(Duration::from_millis(100))? {
        println!(
            "{} {}: {}",
            line.state,
            line.sequence,
            String::from_utf8_lossy(&line.text)
        );
    }
    Ok(())
}
