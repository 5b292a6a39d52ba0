// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be at the hook where packets come in.

use std::fs;

use anyhow::Result;
use lunatik::State;

use crate::{command, states};

/// One compare of a port, of which there are no packets.
const NFT: &str = "table ip t {
  chain c {
    type filter hook input priority 0
    udp dport 53 drop
  }
}";
/// The same in Lua.
pub(super) const READS_PORT: &str =
    "function(pkt) if pkt:u16(22) == 53 then return require 'netfilter'.DROP end end";

#[derive(Clone, Copy)]
pub(super) enum Hook {
    None,
    /// That of a module whose hook does nothing
    Empty,
    /// Rules of nft
    Nft,
    /// A function of a state
    Lua {
        function: &'static str,
        /// With a replica for each CPU
        percpu: bool,
    },
}

impl Hook {
    /// Puts it into the calling thread's namespace. A state's goes with the state.
    pub(super) fn install(self) -> Result<Option<State>> {
        match self {
            Self::None => {}
            Self::Empty => fs::write("/proc/lunatik_hook", "1")?,
            Self::Nft => command::run("nft", &[NFT])?,
            Self::Lua { function, percpu } => {
                let state = states::softirq(percpu)?;
                state.do_string(format!(
                    "require 'netfilter'.register{{family = 'ipv4', hook = 'input', {function}}}"
                ))?;
                return Ok(Some(state));
            }
        }
        Ok(None)
    }
}
