// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the states of the namespace, and tells what it uses and may use.

use lunatik::Session;

fn main() -> lunatik::Result<()> {
    let session = Session::open()?;
    let _state = session.new_state("states").ephemeral(true).create()?;

    for state in session.states()? {
        println!(
            "#{} {}: {} of {} bytes, {} runs",
            state.id, state.name, state.curr_alloc, state.max_alloc, state.runs
        );
    }
    let info = session.info()?;
    println!(
        "{}: {} of {} states",
        info.lua_version, info.states, info.max_states
    );
    Ok(())
}
