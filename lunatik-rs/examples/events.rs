// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watches what happens to the states of the namespace.

use std::time::Duration;

use lunatik::{Event, Session};

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let mut events = session.events()?;

    let state = session.new_state("events").create()?;
    let _ = state.do_string("error('boom')");
    state.close()?;

    while let Some(event) = events.recv_timeout(Duration::from_millis(100))? {
        println!("{event:?}");
        if matches!(event, Event::Closed { .. }) && event.state() == "events" {
            break;
        }
    }
    Ok(())
}
