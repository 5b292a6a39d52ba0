// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of this Lua and of Lua in the kernel.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lunatik::{Description, Hook, HookKind, Info, LogLine, Value as Kernel, limits};
use mlua::{IntoLua, Lua, Table, Value};

use crate::arguments::{code, text, type_name};

/// A float that is an integer.
pub(crate) fn integer(float: f64) -> Option<i64> {
    // -2^63 is a float, 2^63 - 1 is not.
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    #[expect(clippy::cast_possible_truncation, reason = "in range and whole")]
    (in_range && float.fract() == 0.0).then_some(float as i64)
}

/// A value to send, or why it cannot cross.
pub(crate) fn to_kernel(value: &Value) -> mlua::Result<Result<Kernel, String>> {
    to_kernel_in(value, &mut Vec::new())
}

/// `tables` are those that `value` is in.
fn to_kernel_in(
    value: &Value,
    tables: &mut Vec<*const ()>,
) -> mlua::Result<Result<Kernel, String>> {
    Ok(match value {
        Value::Nil => Ok(Kernel::Nil),
        Value::Boolean(value) => Ok(Kernel::Boolean(*value)),
        Value::Integer(value) => Ok(Kernel::Integer(*value)),
        Value::Number(value) => integer(*value)
            .map(Kernel::Integer)
            .ok_or_else(|| "number has no integer representation".to_owned()),
        Value::String(value) => Ok(Kernel::String(value.as_bytes().to_vec())),
        Value::Table(table) => return table_to_kernel(table, tables),
        value => Err(format!("a {} cannot cross", type_name(value))),
    })
}

fn table_to_kernel(
    table: &Table,
    tables: &mut Vec<*const ()>,
) -> mlua::Result<Result<Kernel, String>> {
    let pointer = table.to_pointer().cast();
    if tables.contains(&pointer) {
        return Ok(Err("a table that contains itself cannot cross".to_owned()));
    }
    if tables.len() == limits::TABLE_DEPTH {
        return Ok(Err(format!(
            "tables are nested more than {} deep",
            limits::TABLE_DEPTH
        )));
    }
    tables.push(pointer);
    let mut entries = Vec::new();
    for entry in table.pairs::<Value, Value>() {
        let (key, value) = entry?;
        match (to_kernel_in(&key, tables)?, to_kernel_in(&value, tables)?) {
            (Ok(key), Ok(value)) => entries.push((key, value)),
            (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
        }
    }
    tables.pop();
    Ok(Ok(Kernel::Table(entries)))
}

/// A value that came.
pub(crate) fn from_kernel(lua: &Lua, value: &Kernel) -> mlua::Result<Value> {
    Ok(match value {
        Kernel::Nil => Value::Nil,
        Kernel::Boolean(value) => Value::Boolean(*value),
        Kernel::Integer(value) => lua.convert(*value)?,
        Kernel::String(bytes) | Kernel::Text(bytes) => Value::String(lua.create_string(bytes)?),
        Kernel::Table(entries) => {
            let table = lua.create_table_with_capacity(0, entries.len())?;
            for (key, value) in entries {
                table.raw_set(from_kernel(lua, key)?, from_kernel(lua, value)?)?;
            }
            Value::Table(table)
        }
    })
}

fn since_epoch(time: SystemTime) -> f64 {
    seconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

pub(crate) fn description(lua: &Lua, description: &Description) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("name", &*description.name)?;
    table.raw_set("id", description.id)?;
    table.raw_set("maxalloc", description.max_alloc)?;
    table.raw_set("curralloc", description.curr_alloc)?;
    table.raw_set("peakalloc", description.peak_alloc)?;
    table.raw_set("context", description.context.to_string())?;
    table.raw_set("ephemeral", description.ephemeral)?;
    table.raw_set("percpu", description.percpu)?;
    table.raw_set("replicas", description.replicas)?;
    table.raw_set("timeout", seconds(description.timeout))?;
    table.raw_set("references", description.references)?;
    table.raw_set("subscribers", description.subscribers)?;
    table.raw_set("runs", description.runs)?;
    table.raw_set("errors", description.errors)?;
    table.raw_set("deadlinekills", description.deadline_kills)?;
    table.raw_set("runtime", seconds(description.run_time))?;
    table.raw_set("created", since_epoch(description.created))?;
    table.raw_set("timers", description.timers)?;
    table.raw_set("hooks", hooks(lua, &description.hooks)?)?;
    Ok(table)
}

/// A sequence of what the kernel tells about hooks: what was registered by the names
/// that scripts register it with, figures by those of descriptions.
pub(crate) fn hooks(lua: &Lua, hooks: &[Hook]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(hooks.len(), 0)?;
    for one in hooks {
        table.raw_push(hook(lua, one)?)?;
    }
    Ok(table)
}

fn hook(lua: &Lua, hook: &Hook) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("kind", hook.kind.to_string())?;
    if let HookKind::Netfilter {
        family,
        hook: place,
        priority,
    } = hook.kind
    {
        table.raw_set("family", family.to_string())?;
        table.raw_set("hook", place.to_string())?;
        table.raw_set("priority", priority)?;
        table.raw_set("dev", hook.dev.as_deref())?;
    }
    table.raw_set("on_error", hook.on_error.to_string())?;
    table.raw_set("calls", hook.calls)?;
    table.raw_set("errors", hook.errors)?;
    table.raw_set("deadlinekills", hook.deadline_kills)?;
    table.raw_set("missed", hook.missed)?;
    table.raw_set("runtime", seconds(hook.run_time))?;
    let verdicts = lua.create_table()?;
    for (verdict, count) in &hook.verdicts {
        verdicts.raw_set(verdict.to_string(), *count)?;
    }
    table.raw_set("verdicts", verdicts)?;
    Ok(table)
}

pub(crate) fn info(lua: &Lua, info: &Info) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("version", &*info.version)?;
    table.raw_set("luaversion", &*info.lua_version)?;
    table.raw_set("states", info.states)?;
    table.raw_set("alloc", info.alloc)?;
    table.raw_set("maxstates", info.max_states)?;
    table.raw_set("maxtotalalloc", info.max_total_alloc)?;
    table.raw_set("maxalloc", info.max_alloc)?;
    table.raw_set("timeout", seconds(info.timeout))?;
    table.raw_set("maxtimeout", seconds(info.max_timeout))?;
    table.raw_set("softirqtimeout", seconds(info.softirq_timeout))?;
    table.raw_set("maxsoftirqtimeout", seconds(info.max_softirq_timeout))?;
    Ok(table)
}

/// What a message was answered: `true` for nothing, `false` where it failed.
struct Answer(lunatik::Result<Option<Vec<u8>>>);

impl IntoLua for Answer {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        Ok(match self.0 {
            Ok(Some(reply)) => Value::String(lua.create_string(reply)?),
            Ok(None) => Value::Boolean(true),
            Err(_) => Value::Boolean(false),
        })
    }
}

/// What each message was answered, and by their numbers why those failed that did,
/// nil for none.
pub(crate) fn answers(
    lua: &Lua,
    answers: Vec<lunatik::Result<Option<Vec<u8>>>>,
) -> mlua::Result<(Table, Option<Table>)> {
    let mut failures = None;
    for (answer, number) in answers.iter().zip(1..) {
        if let Err(error) = answer {
            let failures = match &mut failures {
                Some(failures) => failures,
                none => none.insert(lua.create_table()?),
            };
            failures.raw_set(number, failure(lua, error)?)?;
        }
    }
    let answers = lua.create_sequence_from(answers.into_iter().map(Answer))?;
    Ok((answers, failures))
}

fn failure(lua: &Lua, error: &lunatik::Error) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("message", lua.create_string(text(error))?)?;
    table.raw_set("code", code(error))?;
    if let Some(traceback) = error.lua().and_then(|lua| lua.traceback_bytes()) {
        table.raw_set("traceback", lua.create_string(traceback)?)?;
    }
    Ok(table)
}

pub(crate) fn log_line(lua: &Lua, line: &LogLine) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("sequence", line.sequence)?;
    table.raw_set("time", since_epoch(line.time))?;
    table.raw_set("text", lua.create_string(&line.text)?)?;
    Ok(table)
}
