// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel tells about states and about a namespace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lunatik_sys::{lunatik_attr, lunatik_context, lunatik_flag};

use crate::{
    error::{Error, Result},
    wire::Attrs,
};

/// A state, as it was when the kernel was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Its name, unique in the namespace.
    pub name: String,
    /// Its number, from 1, unique in the namespace.
    pub id: u32,
    /// The cap on its memory, in bytes.
    pub max_alloc: u32,
    /// Bytes in use.
    pub curr_alloc: u32,
    /// The most bytes that were ever in use.
    pub peak_alloc: u32,
    /// Where it runs.
    pub context: Context,
    /// Whether it closes with its last reference.
    pub ephemeral: bool,
    /// The wall-clock limit of one run, unless a request sets another.
    pub timeout: Duration,
    /// References of all sessions.
    pub references: u32,
    /// Data channels.
    pub subscribers: u32,
    /// Runs so far.
    pub runs: u64,
    /// Runs that ended in an error.
    pub errors: u64,
    /// Runs, of these, that the deadline ended.
    pub deadline_kills: u64,
    /// Wall-clock time in all runs.
    pub run_time: Duration,
    /// When it was created.
    pub created: SystemTime,
}

/// Where a state runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Context {
    /// In a process; scripts may sleep.
    Process,
    /// A context that this library does not know, by its number.
    Unknown(u32),
}

/// What a namespace uses, its quotas, and the ceilings for one state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The module's version.
    pub version: String,
    /// The version of Lua in the kernel, such as `Lua 5.5.1`.
    pub lua_version: String,
    /// States in the namespace.
    pub states: u32,
    /// Bytes that the namespace's states are charged.
    pub alloc: u64,
    /// How many states the namespace may have.
    pub max_states: u32,
    /// How many bytes all its states together may be charged.
    pub max_total_alloc: u64,
    /// The highest memory cap of one state, in bytes.
    pub max_alloc: u32,
    /// The wall-clock limit of one run where nobody sets another.
    pub timeout: Duration,
    /// The highest such limit.
    pub max_timeout: Duration,
}

/// A time in nanoseconds since the epoch.
pub(crate) fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

pub(crate) fn missing(attribute: &str) -> Error {
    Error::protocol(format!("the reply lacks {attribute}"))
}

impl From<u32> for Context {
    fn from(number: u32) -> Self {
        match lunatik_context(number) {
            lunatik_context::LUNATIK_CONTEXT_PROCESS => Self::Process,
            lunatik_context(number) => Self::Unknown(number),
        }
    }
}

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Unknown(number) => write!(f, "{number}"),
        }
    }
}

/// Reads a struct whose fields are each one attribute, all of them required.
macro_rules! read {
    ($attrs:expr, $($field:ident: $attr:ident = $get:ident;)*) => {
        $(let mut $field = None;)*
        for attr in $attrs {
            let attr = attr?;
            match lunatik_attr::from(attr.kind) {
                $(lunatik_attr::$attr => $field = Some(attr.$get()?),)*
                _ => {}
            }
        }
        $(let $field = $field.ok_or_else(|| missing(&stringify!($attr)["LUNATIK_A_".len()..]))?;)*
    };
}

impl Description {
    pub(crate) fn read(attrs: Attrs<'_>) -> Result<Self> {
        read! { attrs,
            name: LUNATIK_A_STATE_NAME = string;
            id: LUNATIK_A_STATE_ID = u32;
            max_alloc: LUNATIK_A_MAX_ALLOC = u32;
            curr_alloc: LUNATIK_A_CURR_ALLOC = u32;
            peak_alloc: LUNATIK_A_PEAK_ALLOC = u32;
            context: LUNATIK_A_CONTEXT = u32;
            flags: LUNATIK_A_FLAGS = u32;
            timeout: LUNATIK_A_TIMEOUT = u32;
            references: LUNATIK_A_REFERENCES = u32;
            subscribers: LUNATIK_A_SUBSCRIBERS = u32;
            runs: LUNATIK_A_RUNS = u64;
            errors: LUNATIK_A_ERRORS = u64;
            deadline_kills: LUNATIK_A_DEADLINE_KILLS = u64;
            run_time: LUNATIK_A_RUN_TIME = u64;
            created: LUNATIK_A_CREATED = u64;
        }
        Ok(Self {
            name,
            id,
            max_alloc,
            curr_alloc,
            peak_alloc,
            context: context.into(),
            ephemeral: flags & lunatik_flag::LUNATIK_F_EPHEMERAL.0 != 0,
            timeout: Duration::from_micros(timeout.into()),
            references,
            subscribers,
            runs,
            errors,
            deadline_kills,
            run_time: Duration::from_nanos(run_time),
            created: time(created),
        })
    }
}

impl Info {
    pub(crate) fn read(attrs: Attrs<'_>) -> Result<Self> {
        read! { attrs,
            version: LUNATIK_A_VERSION = string;
            lua_version: LUNATIK_A_LUA_VERSION = string;
            states: LUNATIK_A_STATES = u32;
            alloc: LUNATIK_A_ALLOC = u64;
            max_states: LUNATIK_A_MAX_STATES = u32;
            max_total_alloc: LUNATIK_A_MAX_TOTAL_ALLOC = u64;
            max_alloc: LUNATIK_A_MAX_ALLOC = u32;
            timeout: LUNATIK_A_TIMEOUT = u32;
            max_timeout: LUNATIK_A_MAX_TIMEOUT = u32;
        }
        Ok(Self {
            version,
            lua_version,
            states,
            alloc,
            max_states,
            max_total_alloc,
            max_alloc,
            timeout: Duration::from_micros(timeout.into()),
            max_timeout: Duration::from_micros(max_timeout.into()),
        })
    }
}

#[cfg(feature = "serde")]
pub(crate) mod json {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde::{Serialize, Serializer, ser::SerializeStruct};

    use super::{Context, Description, Info};

    /// Nanoseconds since the epoch.
    pub(crate) fn nanoseconds(time: SystemTime) -> u128 {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos()
    }

    impl Serialize for Context {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl Serialize for Description {
        /// The fields by their names; times with their unit in the name.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut s = serializer.serialize_struct("Description", 15)?;
            s.serialize_field("name", &self.name)?;
            s.serialize_field("id", &self.id)?;
            s.serialize_field("max_alloc", &self.max_alloc)?;
            s.serialize_field("curr_alloc", &self.curr_alloc)?;
            s.serialize_field("peak_alloc", &self.peak_alloc)?;
            s.serialize_field("context", &self.context)?;
            s.serialize_field("ephemeral", &self.ephemeral)?;
            s.serialize_field("timeout_us", &self.timeout.as_micros())?;
            s.serialize_field("references", &self.references)?;
            s.serialize_field("subscribers", &self.subscribers)?;
            s.serialize_field("runs", &self.runs)?;
            s.serialize_field("errors", &self.errors)?;
            s.serialize_field("deadline_kills", &self.deadline_kills)?;
            s.serialize_field("run_time_ns", &self.run_time.as_nanos())?;
            s.serialize_field("created_ns", &nanoseconds(self.created))?;
            s.end()
        }
    }

    impl Serialize for Info {
        /// The fields by their names; times with their unit in the name.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut s = serializer.serialize_struct("Info", 9)?;
            s.serialize_field("version", &self.version)?;
            s.serialize_field("lua_version", &self.lua_version)?;
            s.serialize_field("states", &self.states)?;
            s.serialize_field("alloc", &self.alloc)?;
            s.serialize_field("max_states", &self.max_states)?;
            s.serialize_field("max_total_alloc", &self.max_total_alloc)?;
            s.serialize_field("max_alloc", &self.max_alloc)?;
            s.serialize_field("timeout_us", &self.timeout.as_micros())?;
            s.serialize_field("max_timeout_us", &self.max_timeout.as_micros())?;
            s.end()
        }
    }
}
