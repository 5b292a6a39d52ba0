// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receives what a state's script sends, until the state is closed.

use std::time::Duration;

use lunatik::Session;

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let state = session.new_state("subscribe").create()?;
    let mut subscription = state.subscribe()?;

    state.do_string("for i = 1, 3 do require('lunatik').send('message ' .. i) end")?;
    while let Some(message) = subscription.recv_timeout(Duration::from_millis(100))? {
        if message.lost > 0 {
            println!("{} messages lost", message.lost);
        }
        let text = String::from_utf8_lossy(&message.data);
        println!("{} {}: {text}", message.state, message.sequence);
    }
    state.close()
}
