// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Lua module `lunatik`: Lua states that live inside the Linux kernel, from
//! Lua in user space.
//!
//! ```lua
//! local lunatik = require "lunatik"
//! local s = assert(lunatik.newstate("fw", 1 << 20))
//! print(s:dostring("return 1 + 1, {x = 2}"))      -- 2   table
//! s:close()
//! ```
//!
//! A failure returns `nil, message, code`, as Lua's `io` library does; `code` is
//! the errno's name, such as `"EEXIST"`. When a script failed, `message` is what
//! it raised and a fourth value is the traceback. A misuse, such as an argument
//! of a wrong type, raises an error.
//!
//! Times are in seconds and may have a fraction; sizes are in bytes.
//!
//! # The module
//!
//! | function | returns |
//! |---|---|
//! | `newstate(name [, maxalloc])` | a new state, with a reference to it |
//! | `newstate{name=, maxalloc=, timeout=, context=, percpu=, ephemeral=, netns=, pid=}` | the same; `context` is `"process"`, which is what it is when not given, or `"softirq"`, with which `percpu=true` makes a replica for each CPU; `netns` is a name or a path, `pid` a process in the namespace |
//! | `getstate(name)`, `getstate{name=, netns=, pid=}` | the state of that name, with one more reference |
//! | `list()` | a sequence of descriptions, one for each state |
//! | `status()` | `version luaversion states alloc maxstates maxtotalalloc maxalloc timeout maxtimeout softirqtimeout maxsoftirqtimeout` of the namespace |
//! | `session{netns=}`, `session{pid=}`, `session()` | a session in that namespace, with the functions above as methods, and `close` |
//!
//! The functions of the module share one session in the namespace that the
//! process was in when the first of them was called.
//!
//! # A state
//!
//! | method or field | returns |
//! |---|---|
//! | `s:dostring(code, ...)` | what the code returns; it has the arguments as `...` |
//! | `s:call{code=, chunkname=, timeout=, args={n=, ...}}` | the same, with a chunk name as `load` takes it and a limit of its own |
//! | `s:senddata(data [, timeout])` | the string that the state's receiver returned, or `true` when it returned none |
//! | `s:sendall(messages [, timeout])` | a sequence of what `senddata` would have returned for each of the sequence `messages`, `false` where that failed, and a table of `{message=, code=, traceback=}` for those, by their index, `nil` when there are none; many messages go in one system call, and each has the `timeout` |
//! | `s:subscribe()`, `s:unsubscribe()` | `true`; from the one to the other, what the state sends can be received |
//! | `s:receive([timeout])` | data, its sequence number, and how many messages before it were lost; subscribes if need be. `nil, "timeout", "ETIMEDOUT"` when none came, and once with `ENOBUFS` when messages were lost |
//! | `s:getfd()` | the descriptor to poll for `receive`, `nil` when not subscribed |
//! | `s:log([first])` | a sequence of `{sequence=, time=, text=}` from line `first` on, and how many lines the log keeps no longer |
//! | `s:describe()` | `name id maxalloc curralloc peakalloc context ephemeral percpu replicas timeout references subscribers runs errors deadlinekills runtime created timers hooks` |
//! | `s:hooks()` | a sequence of tables: `kind`, which is `"netfilter"`, `"xdp"` or `"tc"`; of `"netfilter"` what the script registered, `family hook priority`, and `dev` where the hook is of a device; `on_error`; `calls errors deadlinekills missed runtime`; and `verdicts`, which are counts by the verdicts' names |
//! | `s:put()` | `true`; drops the reference, as garbage collection and `<close>` do |
//! | `s:close([force])` | `true`; closes the state, with `force` whoever holds references |
//! | `s.name`, `s.id`, `s.maxalloc`, `s.context`, `s.percpu`, `s.replicas`, `s.curralloc` | what they say; `curralloc` asks the kernel |
//!
//! nil, booleans, integers, strings and tables cross, tables nested to a depth of
//! 8. A result that cannot cross comes as its `tostring`.
#![deny(unsafe_code)]

mod arguments;
mod convert;
mod session;
mod state;

use mlua::{Either, Function, Lua, MultiValue, Table, UserDataRef, Value};

use crate::{
    arguments::{Arguments, Failure},
    state::Handle,
};

/// What makes Lua functions of ours.
const PRELUDE: &str = include_str!("prelude.lua");

/// Where the `__index` of states and of sessions are kept.
pub(crate) const STATE_INDEX: &str = "lunatik.state";
pub(crate) const SESSION_INDEX: &str = "lunatik.session";

type Body = fn(&Lua, &Arguments) -> Result<MultiValue, Failure>;

/// A function that never raises: see `prelude.lua`.
fn function(lua: &Lua, name: &'static str, skip: usize, body: Body) -> mlua::Result<Function> {
    lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(name, skip, values);
        body(lua, &arguments).or_else(|failure| failure.into_values(lua))
    })
}

/// What a method of states does.
type Method = fn(&Lua, &Handle, &Arguments) -> Result<MultiValue, Failure>;

/// As [`function`], for what is called on a state: that is taken from Lua's stack
/// as it is, without a Lua value of it.
fn method(lua: &Lua, name: &'static str, skip: usize, body: Method) -> mlua::Result<Function> {
    type This = Either<UserDataRef<Handle>, Value>;
    lua.create_function(move |lua, (this, values): (This, MultiValue)| {
        let arguments = Arguments::behind_self(name, skip, values);
        let result = match &this {
            Either::Left(handle) => body(lua, handle, &arguments),
            Either::Right(value) => Err(arguments.bad_self("lunatik state", value)),
        };
        result.or_else(|failure| failure.into_values(lua))
    })
}

/// `skip` of a function's arguments are not counted in messages.
fn functions(lua: &Lua, skip: usize, bodies: &[(&'static str, Body)]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, body) in bodies {
        table.set(*name, function(lua, name, skip, *body)?)?;
    }
    Ok(table)
}

/// Called by `require "lunatik"`.
#[mlua::lua_module(name = "lunatik")]
fn module(lua: &Lua) -> mlua::Result<Table> {
    let raw = lua.create_table()?;
    raw.set("module", functions(lua, 0, &session::MODULE)?)?;
    raw.set("session", functions(lua, 1, &session::METHODS)?)?;
    let state = lua.create_table()?;
    for (name, body) in state::METHODS {
        state.set(name, method(lua, name, 1, body)?)?;
    }
    raw.set("state", state)?;
    raw.set("field", method(lua, "__index", 0, state::field)?)?;
    let (module, state, session): (Table, Function, Function) = lua
        .load(PRELUDE)
        .set_name("=lunatik")
        .call((raw, Value::NULL))?;
    lua.set_named_registry_value(STATE_INDEX, state)?;
    lua.set_named_registry_value(SESSION_INDEX, session)?;
    module.set("_VERSION", concat!("lunatik ", env!("CARGO_PKG_VERSION")))?;
    Ok(module)
}
