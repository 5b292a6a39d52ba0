// SPDX-License-Identifier: MIT OR Apache-2.0
//! States as Lua has them.

use std::{
    cell::{Ref, RefCell},
    os::fd::{AsFd, AsRawFd},
};

use lunatik::{Batch, Context, Message, State, Subscription};
use mlua::{BString, IntoLuaMulti, Lua, MultiValue, UserData, UserDataFields, UserDataRef, Value};

use crate::{
    Method, STATE_INDEX,
    arguments::{Arguments, Failure},
    convert,
};

pub(crate) const METHODS: [(&str, Method); 13] = [
    ("dostring", dostring),
    ("call", call),
    ("senddata", senddata),
    ("sendall", sendall),
    ("subscribe", subscribe),
    ("unsubscribe", unsubscribe),
    ("receive", receive),
    ("getfd", getfd),
    ("log", log),
    ("describe", describe),
    ("hooks", hooks),
    ("put", put),
    ("close", close),
];

/// A state with its reference, until that is put or the state is closed.
pub(crate) struct Handle {
    name: String,
    id: Option<u32>,
    fixed: Option<Fixed>,
    state: RefCell<Option<State>>,
    subscription: RefCell<Option<Subscription>>,
    /// What `sendall` fills again and again.
    batch: RefCell<Option<Batch>>,
}

/// What a state keeps for its whole life.
#[derive(Clone, Copy)]
struct Fixed {
    max_alloc: u32,
    context: Context,
    percpu: bool,
    replicas: u32,
}

impl Handle {
    pub(crate) fn new(state: State) -> Self {
        Self {
            name: state.name().unwrap_or_default().to_owned(),
            id: state.id(),
            fixed: state.snapshot().map(|description| Fixed {
                max_alloc: description.max_alloc,
                context: description.context,
                percpu: description.percpu,
                replicas: description.replicas,
            }),
            state: RefCell::new(Some(state)),
            subscription: RefCell::new(None),
            batch: RefCell::new(None),
        }
    }

    fn state(&self) -> Result<Ref<'_, State>, Failure> {
        Ref::filter_map(self.state.borrow(), Option::as_ref)
            .map_err(|_| Failure::Misuse("attempt to use a closed state".to_owned()))
    }

    fn subscribe(&self) -> Result<(), Failure> {
        let mut subscription = self.subscription.borrow_mut();
        if subscription.is_none() {
            *subscription = Some(self.state()?.subscribe()?);
        }
        Ok(())
    }

    /// Drops what it has; dropping a reference tells no failure.
    fn release(&self) {
        self.subscription.take();
        self.batch.take();
        self.state.take();
    }
}

impl UserData for Handle {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "lunatik state");
        fields.add_meta_field_with("__index", |lua| {
            lua.named_registry_value::<Value>(STATE_INDEX)
        });
        fields.add_meta_field_with("__close", |lua| {
            lua.create_function(|_, handle: UserDataRef<Self>| {
                handle.release();
                Ok(())
            })
        });
        fields.add_meta_field_with("__tostring", |lua| {
            lua.create_function(|_, handle: UserDataRef<Self>| {
                let closed = match *handle.state.borrow() {
                    Some(_) => "",
                    None => " (closed)",
                };
                Ok(format!("lunatik state: {}{closed}", handle.name))
            })
        });
    }
}

fn done(lua: &Lua) -> Result<MultiValue, Failure> {
    Ok(true.into_lua_multi(lua)?)
}

/// A field that is no method; the arguments are those of `__index`.
pub(crate) fn field(
    lua: &Lua,
    handle: &Handle,
    arguments: &Arguments,
) -> Result<MultiValue, Failure> {
    let key = arguments
        .get(1)
        .as_string()
        .map(|key| key.as_bytes().to_vec());
    let fixed = handle.fixed;
    Ok(match key.as_deref() {
        Some(b"name") => handle.name.as_str().into_lua_multi(lua)?,
        Some(b"id") => handle.id.into_lua_multi(lua)?,
        Some(b"maxalloc") => fixed.map(|state| state.max_alloc).into_lua_multi(lua)?,
        Some(b"context") => fixed
            .map(|state| state.context.to_string())
            .into_lua_multi(lua)?,
        Some(b"percpu") => fixed.map(|state| state.percpu).into_lua_multi(lua)?,
        Some(b"replicas") => fixed.map(|state| state.replicas).into_lua_multi(lua)?,
        Some(b"curralloc") => handle
            .state()?
            .description()
            .map(|description| description.curr_alloc)
            .ok()
            .into_lua_multi(lua)?,
        _ => Value::Nil.into_lua_multi(lua)?,
    })
}

fn results(lua: &Lua, values: &[lunatik::Value]) -> Result<MultiValue, Failure> {
    let values: mlua::Result<MultiValue> = values
        .iter()
        .map(|value| convert::from_kernel(lua, value))
        .collect();
    Ok(values?)
}

fn dostring(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let code = arguments.bytes(lua, 1)?;
    let state = handle.state()?;
    let mut call = state.call(&*code);
    for (index, value) in (2..).zip(arguments.rest(2)) {
        let value = convert::to_kernel(value)?.map_err(|why| arguments.bad(index, why))?;
        call = call.arg(value);
    }
    results(lua, &call.run()?)
}

fn call(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let options = arguments.options(1, &["code", "chunkname", "timeout", "args"])?;
    let code = options.required(lua, "code")?;
    let chunk_name = options
        .bytes(lua, "chunkname")?
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| options.bad("chunkname", "not UTF-8"))?;
    let state = handle.state()?;
    let mut call = state.call(&code);
    if let Some(name) = &chunk_name {
        call = call.chunk_name(name);
    }
    if let Some(timeout) = options.timeout()? {
        call = call.timeout(timeout);
    }
    match options.get("args")? {
        Value::Nil => {}
        Value::Table(values) => {
            let count = match values.raw_get::<Value>("n")? {
                Value::Integer(count) => count,
                _ => i64::try_from(values.raw_len()).unwrap_or(i64::MAX),
            };
            for index in 1..=count {
                let value = values.raw_get::<Value>(index)?;
                let value = convert::to_kernel(&value)?
                    .map_err(|why| options.bad("args", format!("#{index}: {why}")))?;
                call = call.arg(value);
            }
        }
        _ => return Err(options.bad("args", "table expected")),
    }
    results(lua, &call.run()?)
}

fn senddata(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let data = arguments.bytes(lua, 1)?;
    let state = handle.state()?;
    let reply = match arguments.seconds(2)? {
        Some(timeout) => state.send_data_within(&*data, timeout),
        None => state.send_data(&*data),
    }?;
    match reply {
        Some(reply) => Ok(lua.create_string(reply)?.into_lua_multi(lua)?),
        None => done(lua),
    }
}

fn sendall(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let Value::Table(messages) = arguments.get(1) else {
        return Err(arguments.not_a(1, "table"));
    };
    let timeout = arguments.seconds(2)?;
    let state = handle.state()?;
    // One that a misuse below leaves filled is not kept.
    let kept = handle.batch.take();
    let mut batch = kept.unwrap_or_else(|| state.session().batch());
    for number in 1..=messages.raw_len() {
        // Of what is a string this makes no Lua value, which would cost more.
        let Ok(data) = messages.raw_get::<BString>(number) else {
            return Err(arguments.bad_element(1, number, "string", &messages.raw_get(number)?));
        };
        match timeout {
            Some(timeout) => batch.push_within(&state, data, timeout),
            None => batch.push(&state, data),
        };
    }
    let (answers, failures) = convert::answers(lua, batch.send())?;
    handle.batch.replace(Some(batch));
    Ok((answers, failures).into_lua_multi(lua)?)
}

fn subscribe(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    handle.subscribe()?;
    done(lua)
}

fn unsubscribe(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    handle.subscription.take();
    done(lua)
}

fn receive(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let timeout = arguments.seconds(1)?;
    handle.subscribe()?;
    let mut subscription = handle.subscription.borrow_mut();
    let received = match (&mut *subscription, timeout) {
        (None, _) => None,
        (Some(subscription), None) => Some(subscription.recv()?),
        (Some(subscription), Some(timeout)) => subscription.recv_timeout(timeout)?,
    };
    match received {
        Some(Message {
            data,
            sequence,
            lost,
            ..
        }) => Ok((lua.create_string(data)?, sequence, lost).into_lua_multi(lua)?),
        None => Err(Failure::Refused("timeout".to_owned(), "ETIMEDOUT")),
    }
}

fn getfd(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    let subscription = handle.subscription.borrow();
    let fd = subscription
        .as_ref()
        .map(|subscription| subscription.as_fd().as_raw_fd());
    Ok(fd.into_lua_multi(lua)?)
}

fn log(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let first = match arguments.get(1) {
        Value::Nil => None,
        _ => Some(
            u64::try_from(arguments.integer(1)?)
                .map_err(|_| arguments.bad(1, "line number expected"))?,
        ),
    };
    let log = handle.state()?.log(first)?;
    let lines = lua.create_table_with_capacity(log.lines.len(), 0)?;
    for line in &log.lines {
        lines.raw_push(convert::log_line(lua, line)?)?;
    }
    Ok((lines, log.lost).into_lua_multi(lua)?)
}

fn describe(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    let description = handle.state()?.description()?;
    Ok(convert::description(lua, &description)?.into_lua_multi(lua)?)
}

fn hooks(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    let description = handle.state()?.description()?;
    Ok(convert::hooks(lua, &description.hooks)?.into_lua_multi(lua)?)
}

fn put(lua: &Lua, handle: &Handle, _: &Arguments) -> Result<MultiValue, Failure> {
    handle.state()?;
    handle.subscription.take();
    handle.batch.take();
    if let Some(state) = handle.state.take() {
        state.put()?;
    }
    done(lua)
}

fn close(lua: &Lua, handle: &Handle, arguments: &Arguments) -> Result<MultiValue, Failure> {
    {
        let state = handle.state()?;
        match arguments.get(1) {
            Value::Nil | Value::Boolean(false) => state.close()?,
            _ => state.close_force()?,
        }
    }
    handle.release();
    done(lua)
}
