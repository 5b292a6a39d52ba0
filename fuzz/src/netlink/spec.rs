// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the family takes and gives, in tables.

use lunatik_sys::{
    LUNATIK_CHUNK_NAME_MAX, LUNATIK_STATE_NAME_MAX, lunatik_attr, lunatik_cmd, lunatik_flag,
};

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    U32,
    U64,
    /// A text of at most so many bytes and a NUL.
    Text(usize),
    Bytes,
    /// A nest of one value; several are a sequence.
    Value,
    /// A nest of `INDEX` and a part of what came of that message.
    Answer,
    /// A nest of some of these.
    Nest(&'static [lunatik_attr]),
}

/// An operation and the attributes that it takes.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) command: lunatik_cmd,
    /// How often it is chosen.
    pub(super) weight: usize,
    /// Whether it is sent as a dump.
    pub(super) dump: bool,
    /// What names the state.
    pub(super) state: Named,
    pub(super) required: &'static [lunatik_attr],
    pub(super) optional: &'static [lunatik_attr],
    /// Bits that FLAGS may have.
    pub(super) flags: u32,
}

/// How a request names its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    No,
    /// `STATE_NAME` of a new one.
    New,
    /// `STATE_NAME` or `STATE_ID`.
    Known,
}

use lunatik_attr as A;
use lunatik_cmd as C;

/// All operations; one with two kinds of requests is there twice.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "NEWSTATE",
        command: C::LUNATIK_CMD_NEWSTATE,
        weight: 14,
        dump: false,
        state: Named::New,
        required: &[],
        optional: &[
            A::LUNATIK_A_MAX_ALLOC,
            A::LUNATIK_A_FLAGS,
            A::LUNATIK_A_CONTEXT,
        ],
        flags: lunatik_flag::LUNATIK_F_EPHEMERAL.0 | lunatik_flag::LUNATIK_F_PERCPU.0,
    },
    Operation {
        name: "CLOSE",
        command: C::LUNATIK_CMD_CLOSE,
        weight: 9,
        dump: false,
        state: Named::Known,
        required: &[],
        optional: &[A::LUNATIK_A_FLAGS],
        flags: lunatik_flag::LUNATIK_F_FORCE.0,
    },
    Operation {
        name: "DOSTRING",
        command: C::LUNATIK_CMD_DOSTRING,
        weight: 30,
        dump: false,
        state: Named::Known,
        required: &[A::LUNATIK_A_CODE],
        optional: &[A::LUNATIK_A_CHUNK_NAME, A::LUNATIK_A_ARG],
        flags: 0,
    },
    Operation {
        name: "GETSTATE",
        command: C::LUNATIK_CMD_GETSTATE,
        weight: 14,
        dump: false,
        state: Named::Known,
        required: &[],
        optional: &[A::LUNATIK_A_FLAGS, A::LUNATIK_A_SESSION],
        flags: lunatik_flag::LUNATIK_F_SUBSCRIBE.0,
    },
    Operation {
        name: "GETSTATE dump",
        command: C::LUNATIK_CMD_GETSTATE,
        weight: 4,
        dump: true,
        state: Named::No,
        required: &[],
        optional: &[],
        flags: 0,
    },
    Operation {
        name: "PUTSTATE",
        command: C::LUNATIK_CMD_PUTSTATE,
        weight: 9,
        dump: false,
        state: Named::Known,
        required: &[],
        optional: &[],
        flags: 0,
    },
    Operation {
        name: "SENDDATA",
        command: C::LUNATIK_CMD_SENDDATA,
        weight: 14,
        dump: false,
        state: Named::Known,
        required: &[A::LUNATIK_A_DATA],
        optional: &[],
        flags: 0,
    },
    Operation {
        name: "SENDDATA of several",
        command: C::LUNATIK_CMD_SENDDATA,
        weight: 8,
        dump: false,
        state: Named::Known,
        required: &[A::LUNATIK_A_MESSAGE, A::LUNATIK_A_MESSAGE],
        optional: &[
            A::LUNATIK_A_MESSAGE,
            A::LUNATIK_A_MESSAGE,
            A::LUNATIK_A_MESSAGE,
        ],
        flags: 0,
    },
    Operation {
        name: "GETLOG dump",
        command: C::LUNATIK_CMD_GETLOG,
        weight: 5,
        dump: true,
        state: Named::Known,
        required: &[],
        optional: &[A::LUNATIK_A_SEQUENCE],
        flags: 0,
    },
    Operation {
        name: "GETINFO",
        command: C::LUNATIK_CMD_GETINFO,
        weight: 2,
        dump: false,
        state: Named::No,
        required: &[],
        optional: &[],
        flags: 0,
    },
];

impl Operation {
    /// Whether scripts run: then TIMEOUT is taken, and always given.
    pub(super) fn has_timeout(&self) -> bool {
        matches!(
            self.command,
            C::LUNATIK_CMD_NEWSTATE | C::LUNATIK_CMD_DOSTRING | C::LUNATIK_CMD_SENDDATA
        )
    }

    /// Whether it takes the attribute at all.
    pub(super) fn takes(&self, kind: lunatik_attr) -> bool {
        let by_name = match self.state {
            Named::No => false,
            Named::New => kind == A::LUNATIK_A_STATE_NAME,
            Named::Known => matches!(kind, A::LUNATIK_A_STATE_NAME | A::LUNATIK_A_STATE_ID),
        };
        by_name
            || self.required.contains(&kind)
            || self.optional.contains(&kind)
            || (kind == A::LUNATIK_A_TIMEOUT && self.has_timeout())
    }
}

/// What a `HOOK` holds.
const HOOK: &[lunatik_attr] = &[
    A::LUNATIK_A_HOOK_KIND,
    A::LUNATIK_A_FAMILY,
    A::LUNATIK_A_HOOK_NUMBER,
    A::LUNATIK_A_PRIORITY,
    A::LUNATIK_A_DEV,
    A::LUNATIK_A_ON_ERROR,
    A::LUNATIK_A_CALLS,
    A::LUNATIK_A_ERRORS,
    A::LUNATIK_A_DEADLINE_KILLS,
    A::LUNATIK_A_MISSED,
    A::LUNATIK_A_RUN_TIME,
    A::LUNATIK_A_VERDICT,
];

/// What the attribute of this number holds, whoever sends it.
pub(super) fn form(kind: u16) -> Option<Form> {
    Some(match lunatik_attr::from(kind) {
        A::LUNATIK_A_MAX_ALLOC
        | A::LUNATIK_A_STATE_ID
        | A::LUNATIK_A_FLAGS
        | A::LUNATIK_A_TIMEOUT
        | A::LUNATIK_A_SESSION
        | A::LUNATIK_A_CURR_ALLOC
        | A::LUNATIK_A_PEAK_ALLOC
        | A::LUNATIK_A_CONTEXT
        | A::LUNATIK_A_REFERENCES
        | A::LUNATIK_A_SUBSCRIBERS
        | A::LUNATIK_A_ERRNO
        | A::LUNATIK_A_STATES
        | A::LUNATIK_A_INDEX
        | A::LUNATIK_A_TAKEN
        | A::LUNATIK_A_MAX_STATES
        | A::LUNATIK_A_MAX_TIMEOUT
        | A::LUNATIK_A_SOFTIRQ_TIMEOUT
        | A::LUNATIK_A_MAX_SOFTIRQ_TIMEOUT
        | A::LUNATIK_A_REPLICAS
        | A::LUNATIK_A_TIMERS
        | A::LUNATIK_A_HOOK_KIND
        | A::LUNATIK_A_FAMILY
        | A::LUNATIK_A_HOOK_NUMBER
        | A::LUNATIK_A_PRIORITY
        | A::LUNATIK_A_ON_ERROR
        | A::LUNATIK_A_VALUE => Form::U32,
        A::LUNATIK_A_SEQUENCE
        | A::LUNATIK_A_RUNS
        | A::LUNATIK_A_ERRORS
        | A::LUNATIK_A_DEADLINE_KILLS
        | A::LUNATIK_A_RUN_TIME
        | A::LUNATIK_A_CREATED
        | A::LUNATIK_A_TIME
        | A::LUNATIK_A_LOST
        | A::LUNATIK_A_ALLOC
        | A::LUNATIK_A_MAX_TOTAL_ALLOC
        | A::LUNATIK_A_CALLS
        | A::LUNATIK_A_MISSED
        | A::LUNATIK_A_COUNT => Form::U64,
        A::LUNATIK_A_STATE_NAME => Form::Text(LUNATIK_STATE_NAME_MAX as usize),
        A::LUNATIK_A_CHUNK_NAME => Form::Text(LUNATIK_CHUNK_NAME_MAX as usize),
        A::LUNATIK_A_VERSION | A::LUNATIK_A_LUA_VERSION => Form::Text(255),
        A::LUNATIK_A_DEV => Form::Text(15),
        A::LUNATIK_A_CODE
        | A::LUNATIK_A_ERROR
        | A::LUNATIK_A_TRACEBACK
        | A::LUNATIK_A_DATA
        | A::LUNATIK_A_MESSAGE
        | A::LUNATIK_A_TEXT => Form::Bytes,
        A::LUNATIK_A_ARG | A::LUNATIK_A_RESULT => Form::Value,
        A::LUNATIK_A_ANSWER => Form::Answer,
        A::LUNATIK_A_HOOK => Form::Nest(HOOK),
        A::LUNATIK_A_VERDICT => Form::Nest(&[A::LUNATIK_A_VALUE, A::LUNATIK_A_COUNT]),
        _ => return None,
    })
}

/// Whether an attribute may be there several times.
pub(super) fn repeats(kind: u16) -> bool {
    matches!(
        lunatik_attr::from(kind),
        A::LUNATIK_A_CODE | A::LUNATIK_A_ARG | A::LUNATIK_A_MESSAGE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_has_a_form() {
        for kind in 1..lunatik_attr::__LUNATIK_A_MAX.as_u16() {
            assert!(form(kind).is_some(), "{kind}");
        }
        assert_eq!(form(0), None);
        assert_eq!(form(lunatik_attr::__LUNATIK_A_MAX.as_u16()), None);
    }

    #[test]
    fn every_operation_is_there() {
        for command in 1..lunatik_cmd::LUNATIK_CMD_STATE_CREATED_NTF.as_u8() {
            let command = lunatik_cmd::from(command);
            assert!(
                OPERATIONS.iter().any(|one| one.command == command),
                "{command:?}"
            );
        }
    }
}
