// SPDX-License-Identifier: MIT OR Apache-2.0
//! Closes a state that another session has a reference to.

use lunatik::{ErrorKind, Session};

fn main() -> lunatik::Result<()> {
    let owner = Session::open()?;
    let state = owner.new_state("close").create()?;
    let other = Session::open()?.get_state("close")?;

    let error = state.close().expect_err("another session has a reference");
    assert_eq!(error.kind(), ErrorKind::Busy);
    state.close_force()?;

    let error = other.do_string("return 1").expect_err("the state is gone");
    assert_eq!(error.kind(), ErrorKind::NoState);
    println!("{error}");
    Ok(())
}
