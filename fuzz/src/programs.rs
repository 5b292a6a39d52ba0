// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzzers that run programs share.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Context, Result};
use lunatik::{NewState, Session, State};

use crate::{
    Tally,
    check::{self, Witness},
    leak::Addresses,
};

/// What the threads of a fuzzer have in common.
pub(crate) struct Common {
    pub(crate) seed: u64,
    /// What programs call.
    pub(crate) functions: Vec<String>,
    pub(crate) addresses: Addresses,
    /// Who runs a program reads; who checks writes.
    witness: RwLock<Witness>,
    control: Session,
}

impl Common {
    pub(crate) fn new(
        seed: u64,
        functions: Vec<String>,
        witness: Witness,
        control: Session,
    ) -> Self {
        Self {
            seed,
            functions,
            addresses: Addresses::new(),
            witness: RwLock::new(witness),
            control,
        }
    }

    /// Waits for those who check, and checks itself before every case whose index is a
    /// multiple of `interval`, while no other runs. A program may run as long as the
    /// result is held.
    pub(crate) fn turn(&self, index: u64, interval: u64) -> Result<RwLockReadGuard<'_, Witness>> {
        if index.is_multiple_of(interval) {
            let mut witness = self.witness.write().unwrap_or_else(PoisonError::into_inner);
            witness.check()?;
            check::control(&self.control)?;
        }
        Ok(self.witness.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes all states, of which nothing may be left.
    pub(crate) fn finish(&self) -> Result<()> {
        check::clean(&self.control).context("at the end")
    }
}

/// A state that programs run in for some time.
pub(crate) struct Slot {
    pub(crate) state: State,
    /// How many of them so far.
    pub(crate) programs: u64,
    log: u64,
}

impl Slot {
    /// Puts a new state where there is none, or one that has run `life` programs; tells
    /// whether it did.
    pub(crate) fn renew(slot: &mut Option<Self>, life: u64, new: NewState<'_>) -> Result<bool> {
        if slot.as_ref().is_some_and(|old| old.programs < life) {
            return Ok(false);
        }
        if let Some(old) = slot.take() {
            old.state.close().context("cannot close the state")?;
        }
        *slot = Some(Self {
            state: new.create().context("cannot make a state")?,
            programs: 0,
            log: 0,
        });
        Ok(true)
    }

    /// Looks for addresses in what is new in the state's log.
    pub(crate) fn read_log(&mut self, addresses: &Addresses, tally: &mut Tally) -> Result<()> {
        let log = self.state.log(Some(self.log)).context("the log")?;
        self.log = log.next().unwrap_or(self.log);
        for line in &log.lines {
            tally.add("log", "line");
            if let Some(address) = addresses.in_bytes(&line.text) {
                tally.add("address", "in the log, maybe by chance");
                println!("{address:016x} in a line of the log: {:?}", line.text);
            }
        }
        Ok(())
    }
}
