// SPDX-License-Identifier: MIT OR Apache-2.0
//! Client of Lunatik, the manager of Lua states that live inside the Linux
//! kernel, one set of states per network namespace.
//!
//! ```no_run
//! # fn main() -> lunatik::Result<()> {
//! let session = lunatik::Session::open()?;
//! let fw = session.new_state("fw").max_alloc(1 << 20).create()?;
//! let values = fw.do_string("return 1 + 1, {x = 2}")?;
//! assert_eq!(values[0].as_integer(), Some(2));
//!
//! fw.do_string("lunatik = require 'lunatik'; lunatik.receive(string.upper)")?;
//! assert_eq!(fw.send_data(b"ping")?.as_deref(), Some(&b"PING"[..]));
//! fw.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything is synchronous. Each request runs in the kernel while the calling
//! thread waits for it, at most as long as the state's deadline allows; what
//! comes unasked ([`Subscription`], [`Events`], [`LogFollow`]) has a file
//! descriptor to poll.
//!
//! All operations need `CAP_NET_ADMIN` in the user namespace that owns the
//! network namespace. The limits of [`limits`] hold; nothing is ever cut to fit
//! them, what is too large is refused with [`ErrorKind::TooLarge`].
//!
//! # Features
//!
//! `serde`: [`serde::Serialize`](https://docs.rs/serde) for [`Value`],
//! [`Description`], [`Hook`], [`Info`], [`Message`], [`Event`], [`LogLine`] and
//! [`Error`].
//! How values become JSON is told at [`Value`].
#![deny(unsafe_code)]

mod batch;
mod call;
mod channel;
mod description;
mod error;
mod events;
#[cfg(test)]
mod fake;
mod family;
mod hook;
mod log;
mod names;
mod netfilter;
mod netns;
mod session;
mod socket;
mod state;
mod subscription;
mod value;
mod verdict;
mod wire;

pub use batch::Batch;
pub use call::Call;
pub use description::{Context, Description, Info};
pub use error::{Error, ErrorKind, LuaError, Refusal, Result, errno_name};
pub use events::{Event, Events};
pub use hook::{Hook, HookKind, OnError};
pub use log::{Log, LogFollow, LogLine};
pub use netfilter::{NetfilterFamily, NetfilterHook};
pub use session::{NewState, Session};
pub use state::State;
pub use subscription::{Message, Subscription};
pub use value::Value;
pub use verdict::Verdict;

/// Sizes that the family allows, in bytes unless said otherwise.
pub mod limits {
    /// Longest name of a state; names are printable ASCII without `/`.
    pub const STATE_NAME: usize = lunatik_sys::LUNATIK_STATE_NAME_MAX as usize;
    /// Longest chunk name.
    pub const CHUNK_NAME: usize = lunatik_sys::LUNATIK_CHUNK_NAME_MAX as usize;
    /// Longest script.
    pub const CODE: usize = lunatik_sys::LUNATIK_CODE_MAX as usize;
    /// Longest data, either way.
    pub const DATA: usize = lunatik_sys::LUNATIK_DATA_MAX as usize;
    /// Longest string in an argument or a result.
    pub const STRING: usize = lunatik_sys::LUNATIK_STRING_MAX as usize;
    /// Largest reply in all.
    pub const REPLY: usize = lunatik_sys::LUNATIK_REPLY_MAX as usize;
    /// Longest line of a state's log.
    pub const LOG_LINE: usize = lunatik_sys::LUNATIK_LOG_LINE_MAX as usize;
    /// Least cap on a state's memory.
    pub const MAX_ALLOC_MIN: u32 = lunatik_sys::LUNATIK_MAX_ALLOC_MIN;
    /// How many hooks a state may have.
    pub const HOOKS: usize = lunatik_sys::LUNATIK_HOOKS_MAX as usize;
    /// How many timers of one replica may have yet to fire.
    pub const TIMERS: usize = lunatik_sys::LUNATIK_TIMERS_MAX as usize;
    /// How many tables may be nested, the outermost included.
    pub const TABLE_DEPTH: usize = lunatik_sys::LUNATIK_TABLE_DEPTH as usize;
}
