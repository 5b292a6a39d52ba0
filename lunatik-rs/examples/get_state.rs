// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes a reference to a state, which holds it until it is put.

use lunatik::{ErrorKind, Session};

fn main() -> lunatik::Result<()> {
    let owner = Session::open()?;
    let created = owner.new_state("get_state").create()?;

    let other = Session::open()?;
    let state = other.get_state("get_state")?;
    println!("{:?} is number {:?}", state.name(), state.id());

    let busy = created
        .close()
        .expect_err("another session has a reference");
    assert_eq!(busy.kind(), ErrorKind::Busy);
    println!("{busy}");

    state.put()?;
    created.close()
}
