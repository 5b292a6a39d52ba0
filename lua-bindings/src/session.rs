// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sessions, and the module's functions, which use one of their own.

use std::cell::RefCell;

use lunatik::{ErrorKind, Session, State};
use mlua::{IntoLuaMulti, Lua, MultiValue, UserData, UserDataFields, Value};

use crate::{
    Body, SESSION_INDEX,
    arguments::{Arguments, Failure, Options},
    convert,
    state::Handle,
};

pub(crate) const MODULE: [(&str, Body); 5] = [
    ("newstate", |lua, arguments| {
        newstate(lua, arguments, 0, &Default)
    }),
    ("getstate", |lua, arguments| {
        getstate(lua, arguments, 0, &Default)
    }),
    ("list", |lua, _| list(lua, &Default)),
    ("status", |lua, _| status(lua, &Default)),
    ("session", session),
];

pub(crate) const METHODS: [(&str, Body); 5] = [
    ("newstate", |lua, arguments| {
        newstate(lua, arguments, 1, &*itself(arguments)?)
    }),
    ("getstate", |lua, arguments| {
        getstate(lua, arguments, 1, &*itself(arguments)?)
    }),
    ("list", |lua, arguments| list(lua, &*itself(arguments)?)),
    ("status", |lua, arguments| status(lua, &*itself(arguments)?)),
    ("close", |lua, arguments| {
        itself(arguments)?.0.take();
        Ok(true.into_lua_multi(lua)?)
    }),
];

/// Whose session a function uses.
trait Sessions {
    /// Makes a request in the session.
    fn with<T>(
        &self,
        lua: &Lua,
        request: impl Fn(&Session) -> lunatik::Result<T>,
    ) -> Result<T, Failure>;
}

/// The module's session.
struct Default;

impl Sessions for Default {
    fn with<T>(
        &self,
        lua: &Lua,
        request: impl Fn(&Session) -> lunatik::Result<T>,
    ) -> Result<T, Failure> {
        if let Some(session) = lua.app_data_ref::<Session>() {
            match request(&session) {
                // It may have been loaded anew since.
                Err(error) if error.kind() == ErrorKind::ModuleMissing => {}
                answer => return Ok(answer?),
            }
        }
        lua.remove_app_data::<Session>();
        let session = Session::open()?;
        let answer = request(&session);
        lua.set_app_data(session);
        Ok(answer?)
    }
}

/// A session as Lua has it; closed when there is none in it.
struct Object(RefCell<Option<Session>>);

impl Sessions for Object {
    fn with<T>(
        &self,
        _: &Lua,
        request: impl Fn(&Session) -> lunatik::Result<T>,
    ) -> Result<T, Failure> {
        match &*self.0.borrow() {
            Some(session) => Ok(request(session)?),
            None => Err(Failure::Misuse(
                "attempt to use a closed session".to_owned(),
            )),
        }
    }
}

impl UserData for Object {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "lunatik session");
        fields.add_meta_field_with("__index", |lua| {
            lua.named_registry_value::<Value>(SESSION_INDEX)
        });
        fields.add_meta_field_with("__close", |lua| {
            lua.create_function(|_, session: mlua::UserDataRef<Self>| {
                session.0.take();
                Ok(())
            })
        });
    }
}

fn itself(arguments: &Arguments) -> Result<mlua::UserDataRef<Object>, Failure> {
    arguments.itself("lunatik session")
}

fn session(lua: &Lua, arguments: &Arguments) -> Result<MultiValue, Failure> {
    let session = match arguments.get(0) {
        Value::Nil => None,
        _ => arguments.options(0, &["netns", "pid"])?.session(lua)?,
    };
    let session = session.map_or_else(Session::open, Ok)?;
    let object = Object(RefCell::new(Some(session)));
    Ok(lua.create_userdata(object)?.into_lua_multi(lua)?)
}

fn newstate(
    lua: &Lua,
    arguments: &Arguments,
    first: usize,
    sessions: &impl Sessions,
) -> Result<MultiValue, Failure> {
    if let Value::Table(_) = arguments.get(first) {
        let known = [
            "name",
            "maxalloc",
            "timeout",
            "context",
            "percpu",
            "ephemeral",
            "netns",
            "pid",
        ];
        let options = arguments.options(first, &known)?;
        let name = options.name(lua)?;
        let max_alloc = options.max_alloc()?;
        let timeout = options.timeout()?;
        let context = options.context(lua)?;
        let percpu = options.boolean("percpu")?;
        let ephemeral = options.boolean("ephemeral")?;
        return state(lua, sessions, Some(&options), |session| {
            let mut new = session.new_state(&name).percpu(percpu).ephemeral(ephemeral);
            if let Some(context) = context {
                new = new.context(context);
            }
            if let Some(bytes) = max_alloc {
                new = new.max_alloc(bytes);
            }
            if let Some(timeout) = timeout {
                new = new.timeout(timeout);
            }
            new.create()
        });
    }
    let name = arguments.name(lua, first)?;
    let max_alloc = arguments.max_alloc(first + 1)?;
    state(lua, sessions, None, |session| {
        let new = session.new_state(&name);
        match max_alloc {
            Some(bytes) => new.max_alloc(bytes),
            None => new,
        }
        .create()
    })
}

fn getstate(
    lua: &Lua,
    arguments: &Arguments,
    first: usize,
    sessions: &impl Sessions,
) -> Result<MultiValue, Failure> {
    if let Value::Table(_) = arguments.get(first) {
        let options = arguments.options(first, &["name", "netns", "pid"])?;
        let name = options.name(lua)?;
        return state(lua, sessions, Some(&options), |session| {
            session.get_state(&name)
        });
    }
    let name = arguments.name(lua, first)?;
    state(lua, sessions, None, |session| session.get_state(&name))
}

/// A state, from the session that the options tell or else from the function's.
fn state(
    lua: &Lua,
    sessions: &impl Sessions,
    options: Option<&Options<'_>>,
    request: impl Fn(&Session) -> lunatik::Result<State>,
) -> Result<MultiValue, Failure> {
    let own = match options {
        Some(options) => options.session(lua)?,
        None => None,
    };
    let state = match own {
        Some(session) => request(&session)?,
        None => sessions.with(lua, request)?,
    };
    Ok(lua
        .create_userdata(Handle::new(state))?
        .into_lua_multi(lua)?)
}

fn list(lua: &Lua, sessions: &impl Sessions) -> Result<MultiValue, Failure> {
    let table = lua.create_table()?;
    for description in sessions.with(lua, Session::states)? {
        table.raw_push(convert::description(lua, &description)?)?;
    }
    Ok(table.into_lua_multi(lua)?)
}

fn status(lua: &Lua, sessions: &impl Sessions) -> Result<MultiValue, Failure> {
    let info = sessions.with(lua, Session::info)?;
    Ok(convert::info(lua, &info)?.into_lua_multi(lua)?)
}
