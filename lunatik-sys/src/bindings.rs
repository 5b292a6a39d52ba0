// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from linux/lunatik.h by tests/bindings.rs.

pub const LUNATIK_GENL_NAME: &::core::ffi::CStr = c"lunatik_family";
pub const LUNATIK_GENL_VERSION: u32 = 1;
pub const LUNATIK_MCGRP_EVENTS: &::core::ffi::CStr = c"events";
pub const LUNATIK_MCGRP_LOG: &::core::ffi::CStr = c"log";
pub const LUNATIK_STATE_NAME_MAX: u32 = 63;
pub const LUNATIK_CHUNK_NAME_MAX: u32 = 255;
pub const LUNATIK_CODE_MAX: u32 = 262144;
pub const LUNATIK_DATA_MAX: u32 = 61440;
pub const LUNATIK_STRING_MAX: u32 = 61440;
pub const LUNATIK_REPLY_MAX: u32 = 1048576;
pub const LUNATIK_MESSAGE_MAX: u32 = 65556;
pub const LUNATIK_LOG_LINE_MAX: u32 = 4096;
pub const LUNATIK_MAX_ALLOC_MIN: u32 = 32768;
pub const LUNATIK_TABLE_DEPTH: u32 = 8;
pub const LUNATIK_SUBSCRIBERS_MAX: u32 = 1024;
pub const LUNATIK_HOOKS_MAX: u32 = 64;
pub const LUNATIK_TIMERS_MAX: u32 = 1024;
pub const LUNATIK_BATCH_TIME: u32 = 100000;
impl lunatik_cmd {
    pub const LUNATIK_CMD_UNSPEC: lunatik_cmd = lunatik_cmd(0);
    pub const LUNATIK_CMD_NEWSTATE: lunatik_cmd = lunatik_cmd(1);
    pub const LUNATIK_CMD_CLOSE: lunatik_cmd = lunatik_cmd(2);
    pub const LUNATIK_CMD_DOSTRING: lunatik_cmd = lunatik_cmd(3);
    pub const LUNATIK_CMD_GETSTATE: lunatik_cmd = lunatik_cmd(4);
    pub const LUNATIK_CMD_PUTSTATE: lunatik_cmd = lunatik_cmd(5);
    pub const LUNATIK_CMD_SENDDATA: lunatik_cmd = lunatik_cmd(6);
    pub const LUNATIK_CMD_GETLOG: lunatik_cmd = lunatik_cmd(7);
    pub const LUNATIK_CMD_GETINFO: lunatik_cmd = lunatik_cmd(8);
    pub const LUNATIK_CMD_STATE_CREATED_NTF: lunatik_cmd = lunatik_cmd(9);
    pub const LUNATIK_CMD_STATE_CLOSED_NTF: lunatik_cmd = lunatik_cmd(10);
    pub const LUNATIK_CMD_STATE_FAILED_NTF: lunatik_cmd = lunatik_cmd(11);
    pub const LUNATIK_CMD_LOG_NTF: lunatik_cmd = lunatik_cmd(12);
    pub const __LUNATIK_CMD_MAX: lunatik_cmd = lunatik_cmd(13);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_cmd(pub ::core::ffi::c_uint);
impl lunatik_attr {
    pub const LUNATIK_A_UNSPEC: lunatik_attr = lunatik_attr(0);
    /// NUL-terminated, 1 to 63 bytes
    pub const LUNATIK_A_STATE_NAME: lunatik_attr = lunatik_attr(1);
    /// u32, bytes
    pub const LUNATIK_A_MAX_ALLOC: lunatik_attr = lunatik_attr(2);
    /// u32, from 1, unique in the namespace
    pub const LUNATIK_A_STATE_ID: lunatik_attr = lunatik_attr(3);
    /// u32, enum lunatik_flag
    pub const LUNATIK_A_FLAGS: lunatik_attr = lunatik_attr(4);
    /// u32, microseconds of wall-clock time
    pub const LUNATIK_A_TIMEOUT: lunatik_attr = lunatik_attr(5);
    /// string, may be repeated
    pub const LUNATIK_A_CODE: lunatik_attr = lunatik_attr(6);
    /// NUL-terminated, 1 to 255 bytes, as lua_load() takes it
    pub const LUNATIK_A_CHUNK_NAME: lunatik_attr = lunatik_attr(7);
    /// nest, enum lunatik_value, may be repeated
    pub const LUNATIK_A_ARG: lunatik_attr = lunatik_attr(8);
    /// nest, enum lunatik_value, may be repeated
    pub const LUNATIK_A_RESULT: lunatik_attr = lunatik_attr(9);
    /// string, the Lua error's text
    pub const LUNATIK_A_ERROR: lunatik_attr = lunatik_attr(10);
    /// string
    pub const LUNATIK_A_TRACEBACK: lunatik_attr = lunatik_attr(11);
    /// string, to 60 KiB
    pub const LUNATIK_A_DATA: lunatik_attr = lunatik_attr(12);
    /// string, to 60 KiB, may be repeated
    pub const LUNATIK_A_MESSAGE: lunatik_attr = lunatik_attr(13);
    /// u32, port id of the session's control channel
    pub const LUNATIK_A_SESSION: lunatik_attr = lunatik_attr(14);
    /// u64
    pub const LUNATIK_A_SEQUENCE: lunatik_attr = lunatik_attr(15);
    /// u32, bytes in use
    pub const LUNATIK_A_CURR_ALLOC: lunatik_attr = lunatik_attr(16);
    /// u32, most bytes that were ever in use
    pub const LUNATIK_A_PEAK_ALLOC: lunatik_attr = lunatik_attr(17);
    /// u32, enum lunatik_context
    pub const LUNATIK_A_CONTEXT: lunatik_attr = lunatik_attr(18);
    /// u32
    pub const LUNATIK_A_REFERENCES: lunatik_attr = lunatik_attr(19);
    /// u32
    pub const LUNATIK_A_SUBSCRIBERS: lunatik_attr = lunatik_attr(20);
    /// u64
    pub const LUNATIK_A_RUNS: lunatik_attr = lunatik_attr(21);
    /// u64, runs that ended in an error
    pub const LUNATIK_A_ERRORS: lunatik_attr = lunatik_attr(22);
    /// u64, those of them that ended in ETIME
    pub const LUNATIK_A_DEADLINE_KILLS: lunatik_attr = lunatik_attr(23);
    /// u64, nanoseconds of wall-clock time in all runs
    pub const LUNATIK_A_RUN_TIME: lunatik_attr = lunatik_attr(24);
    /// u64, nanoseconds since the epoch
    pub const LUNATIK_A_CREATED: lunatik_attr = lunatik_attr(25);
    /// u64, nanoseconds since the epoch
    pub const LUNATIK_A_TIME: lunatik_attr = lunatik_attr(26);
    /// string, a line of the log
    pub const LUNATIK_A_TEXT: lunatik_attr = lunatik_attr(27);
    /// u64, lines
    pub const LUNATIK_A_LOST: lunatik_attr = lunatik_attr(28);
    /// u32, positive
    pub const LUNATIK_A_ERRNO: lunatik_attr = lunatik_attr(29);
    /// NUL-terminated, the module's version
    pub const LUNATIK_A_VERSION: lunatik_attr = lunatik_attr(30);
    /// NUL-terminated, such as "Lua 5.5.1"
    pub const LUNATIK_A_LUA_VERSION: lunatik_attr = lunatik_attr(31);
    /// u32, states in this namespace
    pub const LUNATIK_A_STATES: lunatik_attr = lunatik_attr(32);
    /// u64, bytes that this namespace's states are charged
    pub const LUNATIK_A_ALLOC: lunatik_attr = lunatik_attr(33);
    /// u32, quota of states
    pub const LUNATIK_A_MAX_STATES: lunatik_attr = lunatik_attr(34);
    /// u64, quota of bytes
    pub const LUNATIK_A_MAX_TOTAL_ALLOC: lunatik_attr = lunatik_attr(35);
    /// u32, microseconds
    pub const LUNATIK_A_MAX_TIMEOUT: lunatik_attr = lunatik_attr(36);
    /// nest: INDEX and one more; may be repeated
    pub const LUNATIK_A_ANSWER: lunatik_attr = lunatik_attr(37);
    /// u32, which MESSAGE, from 0
    pub const LUNATIK_A_INDEX: lunatik_attr = lunatik_attr(38);
    /// u32, MESSAGEs that have been run
    pub const LUNATIK_A_TAKEN: lunatik_attr = lunatik_attr(39);
    /// u32, microseconds
    pub const LUNATIK_A_SOFTIRQ_TIMEOUT: lunatik_attr = lunatik_attr(40);
    /// u32, microseconds
    pub const LUNATIK_A_MAX_SOFTIRQ_TIMEOUT: lunatik_attr = lunatik_attr(41);
    /// u32
    pub const LUNATIK_A_REPLICAS: lunatik_attr = lunatik_attr(42);
    /// u32, that have yet to fire
    pub const LUNATIK_A_TIMERS: lunatik_attr = lunatik_attr(43);
    /// nest, may be repeated
    pub const LUNATIK_A_HOOK: lunatik_attr = lunatik_attr(44);
    /// u32, enum lunatik_hook_kind
    pub const LUNATIK_A_HOOK_KIND: lunatik_attr = lunatik_attr(45);
    /// u32, enum { NFPROTO_... } of linux/netfilter.h
    pub const LUNATIK_A_FAMILY: lunatik_attr = lunatik_attr(46);
    /// u32, the family's, such as NF_INET_LOCAL_IN
    pub const LUNATIK_A_HOOK_NUMBER: lunatik_attr = lunatik_attr(47);
    /// s32, least first
    pub const LUNATIK_A_PRIORITY: lunatik_attr = lunatik_attr(48);
    /// u32, enum lunatik_on_error
    pub const LUNATIK_A_ON_ERROR: lunatik_attr = lunatik_attr(49);
    /// u64, packets that the hook's function was called for
    pub const LUNATIK_A_CALLS: lunatik_attr = lunatik_attr(50);
    /// u64, packets that it could not be called for
    pub const LUNATIK_A_MISSED: lunatik_attr = lunatik_attr(51);
    /// nest: VALUE, COUNT; may be repeated
    pub const LUNATIK_A_VERDICT: lunatik_attr = lunatik_attr(52);
    /// u32, a verdict as the kernel numbers it: NF_, XDP_ or TC_ACT_
    pub const LUNATIK_A_VALUE: lunatik_attr = lunatik_attr(53);
    /// u64, packets that got it from the function
    pub const LUNATIK_A_COUNT: lunatik_attr = lunatik_attr(54);
    /// NUL-terminated, what the device is called now, to 15 bytes
    pub const LUNATIK_A_DEV: lunatik_attr = lunatik_attr(55);
    pub const __LUNATIK_A_MAX: lunatik_attr = lunatik_attr(56);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_attr(pub ::core::ffi::c_uint);
impl lunatik_value {
    pub const LUNATIK_V_UNSPEC: lunatik_value = lunatik_value(0);
    /// flag
    pub const LUNATIK_V_NIL: lunatik_value = lunatik_value(1);
    /// u8, 0 or 1
    pub const LUNATIK_V_BOOLEAN: lunatik_value = lunatik_value(2);
    /// s64
    pub const LUNATIK_V_INTEGER: lunatik_value = lunatik_value(3);
    /// string, to 60 KiB
    pub const LUNATIK_V_STRING: lunatik_value = lunatik_value(4);
    /// flag: a table begins
    pub const LUNATIK_V_TABLE: lunatik_value = lunatik_value(5);
    /// flag: the table ends
    pub const LUNATIK_V_END: lunatik_value = lunatik_value(6);
    /// string: tostring() of a value that cannot cross; RESULT only
    pub const LUNATIK_V_TEXT: lunatik_value = lunatik_value(7);
    pub const __LUNATIK_V_MAX: lunatik_value = lunatik_value(8);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_value(pub ::core::ffi::c_uint);
impl lunatik_flag {
    /// NEWSTATE: close with the last reference
    pub const LUNATIK_F_EPHEMERAL: lunatik_flag = lunatik_flag(1);
    /// CLOSE: whoever holds references
    pub const LUNATIK_F_FORCE: lunatik_flag = lunatik_flag(2);
    /// GETSTATE: this socket is a data channel
    pub const LUNATIK_F_SUBSCRIBE: lunatik_flag = lunatik_flag(4);
    /// NEWSTATE: a replica for each CPU
    pub const LUNATIK_F_PERCPU: lunatik_flag = lunatik_flag(8);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_flag(pub ::core::ffi::c_uint);
impl lunatik_context {
    /// may sleep
    pub const LUNATIK_CONTEXT_PROCESS: lunatik_context = lunatik_context(0);
    /// may be bound to packets
    pub const LUNATIK_CONTEXT_SOFTIRQ: lunatik_context = lunatik_context(1);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_context(pub ::core::ffi::c_uint);
impl lunatik_hook_kind {
    pub const LUNATIK_HOOK_NETFILTER: lunatik_hook_kind = lunatik_hook_kind(0);
    pub const LUNATIK_HOOK_XDP: lunatik_hook_kind = lunatik_hook_kind(1);
    pub const LUNATIK_HOOK_TC: lunatik_hook_kind = lunatik_hook_kind(2);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_hook_kind(pub ::core::ffi::c_uint);
impl lunatik_on_error {
    /// as if there were no hook
    pub const LUNATIK_ON_ERROR_NATIVE: lunatik_on_error = lunatik_on_error(0);
    pub const LUNATIK_ON_ERROR_DROP: lunatik_on_error = lunatik_on_error(1);
}
#[repr(transparent)]
/// What becomes of a packet whose function failed, or could not be called.
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct lunatik_on_error(pub ::core::ffi::c_uint);
