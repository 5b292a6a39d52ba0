// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each command is given.

use lunatik::Session;

use crate::{failure::Result, netns::Netns, output::Output};

pub(crate) struct Context {
    netns: Option<Netns>,
    pub(crate) out: Output,
}

impl Context {
    pub(crate) fn new(netns: Option<Netns>, json: bool) -> Self {
        Self {
            netns,
            out: Output::new(json),
        }
    }

    /// A session in the namespace that was asked for.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(match &self.netns {
            None => Session::open(),
            Some(Netns::Named(name)) => Session::in_netns(name),
            Some(Netns::OfProcess(pid)) => Session::of_pid(*pid),
        }?)
    }
}
