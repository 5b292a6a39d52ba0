// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel tells about states and about a namespace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lunatik_sys::{lunatik_context, lunatik_flag};

use crate::{
    error::{Error, Result},
    hook::Hook,
    names::names,
    wire::{Attrs, read},
};

/// A state, as it was when the kernel was asked.
///
/// Of a state that has several replicas the figures are the sums of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Its name, unique in the namespace.
    pub name: String,
    /// Its number, from 1, unique in the namespace.
    pub id: u32,
    /// The cap on its memory, in bytes; on that of each replica where it has several.
    pub max_alloc: u32,
    /// Bytes in use.
    pub curr_alloc: u32,
    /// The most bytes that were ever in use.
    pub peak_alloc: u32,
    /// Where it runs.
    pub context: Context,
    /// Whether it closes with its last reference.
    pub ephemeral: bool,
    /// Whether it has a replica for each CPU.
    pub percpu: bool,
    /// How many replicas it has; 1 unless it is `percpu`.
    pub replicas: u32,
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
    /// Timers that have yet to fire.
    pub timers: u32,
    /// What it is bound to.
    pub hooks: Vec<Hook>,
}

/// Where a state runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Context {
    /// In a process; scripts may sleep.
    Process,
    /// Where packets are handled; only such a state may be bound to them.
    Softirq,
    /// A context that this library does not know, by its number.
    Unknown(u32),
}

names! { Context {
    Process => "process",
    Softirq => "softirq",
} }

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
    /// The wall-clock limit of a softirq state that was made without one.
    pub softirq_timeout: Duration,
    /// The highest such limit.
    pub max_softirq_timeout: Duration,
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
            lunatik_context::LUNATIK_CONTEXT_SOFTIRQ => Self::Softirq,
            lunatik_context(number) => Self::Unknown(number),
        }
    }
}

impl From<Context> for u32 {
    fn from(context: Context) -> Self {
        match context {
            Context::Process => lunatik_context::LUNATIK_CONTEXT_PROCESS.0,
            Context::Softirq => lunatik_context::LUNATIK_CONTEXT_SOFTIRQ.0,
            Context::Unknown(number) => number,
        }
    }
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
            replicas: LUNATIK_A_REPLICAS = u32;
            timers: LUNATIK_A_TIMERS = u32;
            *hooks: LUNATIK_A_HOOK = Hook::read;
        }
        Ok(Self {
            name,
            id,
            max_alloc,
            curr_alloc,
            peak_alloc,
            context: context.into(),
            ephemeral: flags & lunatik_flag::LUNATIK_F_EPHEMERAL.0 != 0,
            percpu: flags & lunatik_flag::LUNATIK_F_PERCPU.0 != 0,
            replicas,
            timeout: Duration::from_micros(timeout.into()),
            references,
            subscribers,
            runs,
            errors,
            deadline_kills,
            run_time: Duration::from_nanos(run_time),
            created: time(created),
            timers,
            hooks,
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
            softirq_timeout: LUNATIK_A_SOFTIRQ_TIMEOUT = u32;
            max_softirq_timeout: LUNATIK_A_MAX_SOFTIRQ_TIMEOUT = u32;
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
            softirq_timeout: Duration::from_micros(softirq_timeout.into()),
            max_softirq_timeout: Duration::from_micros(max_softirq_timeout.into()),
        })
    }
}

#[cfg(feature = "serde")]
pub(crate) mod json {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde::{Serialize, Serializer, ser::SerializeStruct};

    use super::{Description, Info};

    /// Nanoseconds since the epoch.
    pub(crate) fn nanoseconds(time: SystemTime) -> u128 {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos()
    }

    impl Serialize for Description {
        /// The fields by their names; times with their unit in the name.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut s = serializer.serialize_struct("Description", 19)?;
            s.serialize_field("name", &self.name)?;
            s.serialize_field("id", &self.id)?;
            s.serialize_field("max_alloc", &self.max_alloc)?;
            s.serialize_field("curr_alloc", &self.curr_alloc)?;
            s.serialize_field("peak_alloc", &self.peak_alloc)?;
            s.serialize_field("context", &self.context)?;
            s.serialize_field("ephemeral", &self.ephemeral)?;
            s.serialize_field("percpu", &self.percpu)?;
            s.serialize_field("replicas", &self.replicas)?;
            s.serialize_field("timeout_us", &self.timeout.as_micros())?;
            s.serialize_field("references", &self.references)?;
            s.serialize_field("subscribers", &self.subscribers)?;
            s.serialize_field("runs", &self.runs)?;
            s.serialize_field("errors", &self.errors)?;
            s.serialize_field("deadline_kills", &self.deadline_kills)?;
            s.serialize_field("run_time_ns", &self.run_time.as_nanos())?;
            s.serialize_field("created_ns", &nanoseconds(self.created))?;
            s.serialize_field("timers", &self.timers)?;
            s.serialize_field("hooks", &self.hooks)?;
            s.end()
        }
    }

    impl Serialize for Info {
        /// The fields by their names; times with their unit in the name.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut s = serializer.serialize_struct("Info", 11)?;
            s.serialize_field("version", &self.version)?;
            s.serialize_field("lua_version", &self.lua_version)?;
            s.serialize_field("states", &self.states)?;
            s.serialize_field("alloc", &self.alloc)?;
            s.serialize_field("max_states", &self.max_states)?;
            s.serialize_field("max_total_alloc", &self.max_total_alloc)?;
            s.serialize_field("max_alloc", &self.max_alloc)?;
            s.serialize_field("timeout_us", &self.timeout.as_micros())?;
            s.serialize_field("max_timeout_us", &self.max_timeout.as_micros())?;
            s.serialize_field("softirq_timeout_us", &self.softirq_timeout.as_micros())?;
            let most = self.max_softirq_timeout.as_micros();
            s.serialize_field("max_softirq_timeout_us", &most)?;
            s.end()
        }
    }
}

#[cfg(test)]
mod tests {
    use lunatik_sys::lunatik_attr;
    use proptest::prelude::*;

    use super::*;
    use crate::fake::{self, attr};

    fn read(attrs: &[u8]) -> Result<Description> {
        Description::read(Attrs(attrs))
    }

    #[test]
    fn description_must_be_complete() {
        let whole = fake::description();
        assert!(read(&whole).is_ok());
        let error = read(&whole[..whole.len() - 8]).expect_err("no TIMERS");
        assert_eq!(
            error.to_string(),
            "unexpected answer from the kernel: the reply lacks TIMERS"
        );
    }

    #[test]
    fn contexts_and_flags_are_told_apart() {
        let described = |context: u32, flags: u32| {
            let context = attr(lunatik_attr::LUNATIK_A_CONTEXT, &context.to_ne_bytes());
            let flags = attr(lunatik_attr::LUNATIK_A_FLAGS, &flags.to_ne_bytes());
            let state = read(&[fake::description(), context, flags].concat()).expect("complete");
            (state.context, state.ephemeral, state.percpu)
        };
        assert_eq!(described(0, 0), (Context::Process, false, false));
        assert_eq!(described(0, 1), (Context::Process, true, false));
        assert_eq!(described(1, 8), (Context::Softirq, false, true));
        let (context, ..) = described(2, 0);
        assert_eq!((context, u32::from(context)), (Context::Unknown(2), 2));
        assert_eq!(format!("{context} {:>8}", Context::Softirq), "2  softirq");
    }

    #[test]
    fn info_has_the_limits_of_both_contexts() {
        let text = |kind| attr(kind, b"x\0");
        let u32 = |kind, value: u32| attr(kind, &value.to_ne_bytes());
        let u64 = |kind| attr(kind, &9u64.to_ne_bytes());
        let attrs = [
            text(lunatik_attr::LUNATIK_A_VERSION),
            text(lunatik_attr::LUNATIK_A_LUA_VERSION),
            u32(lunatik_attr::LUNATIK_A_STATES, 1),
            u64(lunatik_attr::LUNATIK_A_ALLOC),
            u32(lunatik_attr::LUNATIK_A_MAX_STATES, 2),
            u64(lunatik_attr::LUNATIK_A_MAX_TOTAL_ALLOC),
            u32(lunatik_attr::LUNATIK_A_MAX_ALLOC, 3),
            u32(lunatik_attr::LUNATIK_A_TIMEOUT, 1_000_000),
            u32(lunatik_attr::LUNATIK_A_MAX_TIMEOUT, 10_000_000),
            u32(lunatik_attr::LUNATIK_A_SOFTIRQ_TIMEOUT, 10_000),
            u32(lunatik_attr::LUNATIK_A_MAX_SOFTIRQ_TIMEOUT, 100_000),
        ];
        let info = Info::read(Attrs(&attrs.concat())).expect("complete");
        assert_eq!(info.timeout, Duration::from_secs(1));
        assert_eq!(info.max_timeout, Duration::from_secs(10));
        assert_eq!(info.softirq_timeout, Duration::from_millis(10));
        assert_eq!(info.max_softirq_timeout, Duration::from_millis(100));
        let error = Info::read(Attrs(&attrs[..10].concat())).expect_err("not complete");
        assert!(error.to_string().ends_with("lacks MAX_SOFTIRQ_TIMEOUT"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn descriptions_are_json() {
        let context = attr(lunatik_attr::LUNATIK_A_CONTEXT, &1u32.to_ne_bytes());
        let flags = attr(lunatik_attr::LUNATIK_A_FLAGS, &8u32.to_ne_bytes());
        let state = read(&[fake::description(), context, flags].concat()).expect("complete");
        assert_eq!(
            serde_json::to_value(&state).expect("serializes"),
            serde_json::json!({
                "name": "fw", "id": 7, "max_alloc": 7, "curr_alloc": 7, "peak_alloc": 7,
                "context": "softirq", "ephemeral": false, "percpu": true, "replicas": 7,
                "timeout_us": 7, "references": 7, "subscribers": 7, "runs": 9, "errors": 9,
                "deadline_kills": 9, "run_time_ns": 9, "created_ns": 9, "timers": 7,
                "hooks": [],
            })
        );
    }

    proptest! {
        #[test]
        fn any_attributes_are_read_or_refused(
            more in prop::collection::vec(
                (0u16..60, prop::collection::vec(any::<u8>(), 0..40)),
                0..20,
            ),
        ) {
            let more: Vec<u8> = more
                .iter()
                .flat_map(|(kind, payload)| attr((*kind).into(), payload))
                .collect();
            let _ = read(&more);
            let _ = read(&[fake::description(), more.clone()].concat());
            let _ = Info::read(Attrs(&more));
        }
    }
}
