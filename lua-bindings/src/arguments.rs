// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arguments of a function, and how it fails.

use std::{ops::Deref, time::Duration};

use lunatik::{Context, Error, Session};
use mlua::{AnyUserData, BorrowedBytes, Lua, LuaString, MultiValue, Table, UserDataRef, Value};

/// Why a function returns no result.
pub(crate) enum Failure {
    /// It was called wrongly; the text is raised.
    Misuse(String),
    /// What it asked for failed.
    Failed(Error),
    /// The same, by this module's own judgement: a text and a code.
    Refused(String, &'static str),
    /// Lua itself failed.
    Lua(mlua::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl Failure {
    pub(crate) fn into_values(self, lua: &Lua) -> mlua::Result<MultiValue> {
        let mut values = MultiValue::new();
        match self {
            Self::Misuse(text) => {
                values.push_back(Value::NULL);
                values.push_back(Value::String(lua.create_string(text)?));
            }
            Self::Failed(error) => {
                values.push_back(Value::Nil);
                values.push_back(Value::String(lua.create_string(text(&error))?));
                let code = code(&error);
                values.push_back(Value::String(lua.create_string(code)?));
                if let Some(traceback) = error.lua().and_then(|lua| lua.traceback_bytes()) {
                    values.push_back(Value::String(lua.create_string(traceback)?));
                }
            }
            Self::Refused(text, code) => {
                values.push_back(Value::Nil);
                values.push_back(Value::String(lua.create_string(text)?));
                values.push_back(Value::String(lua.create_string(code)?));
            }
            Self::Lua(error) => return Err(error),
        }
        Ok(values)
    }
}

pub(crate) fn code(error: &Error) -> &'static str {
    error.errno_name().unwrap_or("EIO")
}

/// An error's text: Lua's as it is, others without the errno, which is a value of
/// its own.
pub(crate) fn text(error: &Error) -> Vec<u8> {
    if let Some(lua) = error.lua() {
        return lua.message_bytes().to_vec();
    }
    let mut text = error.to_string();
    if let Some(name) = error.errno_name()
        && let Some(rest) = text.strip_suffix(&format!(" ({name})"))
    {
        text.truncate(rest.len());
    }
    text.into_bytes()
}

/// The bytes of a string that Lua has, or of a number's.
pub(crate) enum Bytes {
    Borrowed(BorrowedBytes),
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// A value that was passed, for messages: `'n' to 'f'` where it has a name.
#[derive(Clone, Copy)]
enum Place {
    Argument(usize),
    /// An argument and an index in that, from 1.
    Element(usize, usize),
    Option(&'static str),
}

/// The arguments of one call.
pub(crate) struct Arguments {
    function: &'static str,
    skip: usize,
    /// How many came before `values`.
    before: usize,
    values: Vec<Value>,
}

impl Arguments {
    pub(crate) fn new(function: &'static str, skip: usize, values: MultiValue) -> Self {
        Self {
            function,
            skip,
            before: 0,
            values: values.into_vec(),
        }
    }

    /// Those of a method behind the object that it is called on, which is argument
    /// 0 still.
    pub(crate) fn behind_self(function: &'static str, skip: usize, values: MultiValue) -> Self {
        Self {
            before: 1,
            ..Self::new(function, skip, values)
        }
    }

    /// Argument `index`, from 0; nil when there is none.
    pub(crate) fn get(&self, index: usize) -> &Value {
        let index = index.checked_sub(self.before);
        let value = index.and_then(|index| self.values.get(index));
        value.unwrap_or(&Value::Nil)
    }

    /// The arguments from `index` on.
    pub(crate) fn rest(&self, index: usize) -> &[Value] {
        let index = index.saturating_sub(self.before);
        self.values.get(index..).unwrap_or(&[])
    }

    /// A misuse of argument `index`.
    pub(crate) fn bad(&self, index: usize, why: impl AsRef<str>) -> Failure {
        self.wrong(Place::Argument(index), why)
    }

    fn wrong(&self, place: Place, why: impl AsRef<str>) -> Failure {
        let why = why.as_ref();
        let function = self.function;
        Failure::Misuse(match place {
            Place::Argument(index) if index < self.skip => {
                format!("calling '{function}' on bad self ({why})")
            }
            Place::Argument(index) => {
                let number = index + 1 - self.skip;
                format!("bad argument #{number} to '{function}' ({why})")
            }
            Place::Element(index, element) => {
                let number = index + 1 - self.skip;
                format!("bad argument #{number} to '{function}' (element {element}: {why})")
            }
            Place::Option(name) => format!("bad option '{name}' to '{function}' ({why})"),
        })
    }

    fn expected(&self, place: Place, what: &str, value: &Value) -> Failure {
        let missing =
            matches!(place, Place::Argument(index) if index >= self.before + self.values.len());
        let got = if missing {
            "no value"
        } else {
            type_name(value)
        };
        self.wrong(place, format!("{what} expected, got {got}"))
    }

    /// A misuse: argument `index` is not a `what`.
    pub(crate) fn not_a(&self, index: usize, what: &str) -> Failure {
        self.expected(Place::Argument(index), what, self.get(index))
    }

    fn bytes_at(&self, lua: &Lua, place: Place, value: &Value) -> Result<Bytes, Failure> {
        match value {
            Value::String(text) => Ok(Bytes::Borrowed(text.as_bytes())),
            Value::Integer(_) | Value::Number(_) => {
                let text = lua.coerce_string(value.clone())?;
                Ok(Bytes::Owned(
                    text.map(|text| text.as_bytes().to_vec())
                        .unwrap_or_default(),
                ))
            }
            _ => Err(self.expected(place, "string", value)),
        }
    }

    /// A string, or a number's.
    pub(crate) fn bytes(&self, lua: &Lua, index: usize) -> Result<Bytes, Failure> {
        self.bytes_at(lua, Place::Argument(index), self.get(index))
    }

    /// A misuse: element `element` of argument `index` is not a `what` but `value`.
    pub(crate) fn bad_element(
        &self,
        index: usize,
        element: usize,
        what: &str,
        value: &Value,
    ) -> Failure {
        self.expected(Place::Element(index, element), what, value)
    }

    /// A state's name.
    pub(crate) fn name(&self, lua: &Lua, index: usize) -> Result<String, Failure> {
        name(self.bytes(lua, index)?.to_vec())
    }

    /// How many bytes a state may have, if told.
    pub(crate) fn max_alloc(&self, index: usize) -> Result<Option<u32>, Failure> {
        self.max_alloc_at(Place::Argument(index), self.get(index))
    }

    fn max_alloc_at(&self, place: Place, value: &Value) -> Result<Option<u32>, Failure> {
        if value.is_nil() {
            return Ok(None);
        }
        let bytes = self.integer_at(place, value)?;
        u32::try_from(bytes).map(Some).map_err(|_| {
            let text = format!("MAX_ALLOC must be 0 to {} bytes", u32::MAX);
            Failure::Refused(text, "ERANGE")
        })
    }

    /// An integer, also one that has the type of a float.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, Failure> {
        self.integer_at(Place::Argument(index), self.get(index))
    }

    fn integer_at(&self, place: Place, value: &Value) -> Result<i64, Failure> {
        match value {
            Value::Integer(integer) => Ok(*integer),
            Value::Number(float) => crate::convert::integer(*float)
                .ok_or_else(|| self.wrong(place, "number has no integer representation")),
            _ => Err(self.expected(place, "number", value)),
        }
    }

    /// A time in seconds, if told.
    pub(crate) fn seconds(&self, index: usize) -> Result<Option<Duration>, Failure> {
        self.seconds_at(Place::Argument(index), self.get(index))
    }

    fn seconds_at(&self, place: Place, value: &Value) -> Result<Option<Duration>, Failure> {
        let seconds = match value {
            Value::Nil => return Ok(None),
            #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 s")]
            Value::Integer(seconds) => *seconds as f64,
            Value::Number(seconds) => *seconds,
            _ => return Err(self.expected(place, "number", value)),
        };
        Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| self.wrong(place, "not a time in seconds"))
    }

    /// A misuse: a method is called on `value`, not on a `what`.
    pub(crate) fn bad_self(&self, what: &str, value: &Value) -> Failure {
        self.expected(Place::Argument(0), what, value)
    }

    /// The userdata that a method is called on.
    pub(crate) fn itself<T: 'static>(&self, what: &str) -> Result<UserDataRef<T>, Failure> {
        self.get(0)
            .as_userdata()
            .and_then(|userdata: &AnyUserData| userdata.borrow().ok())
            .ok_or_else(|| self.not_a(0, what))
    }

    /// A table of options, each of which must be among `known`.
    pub(crate) fn options(
        &self,
        index: usize,
        known: &[&'static str],
    ) -> Result<Options<'_>, Failure> {
        let Value::Table(table) = self.get(index) else {
            return Err(self.not_a(index, "table"));
        };
        for entry in table.pairs::<Value, Value>() {
            let (key, _) = entry?;
            let name = key.as_string().map(LuaString::to_string_lossy);
            if !name.as_deref().is_some_and(|name| known.contains(&name)) {
                let name = name.unwrap_or_else(|| type_name(&key).to_owned());
                return Err(self.bad(index, format!("unknown option '{name}'")));
            }
        }
        Ok(Options {
            arguments: self,
            table,
        })
    }
}

/// Options by name.
pub(crate) struct Options<'a> {
    arguments: &'a Arguments,
    table: &'a Table,
}

impl Options<'_> {
    pub(crate) fn get(&self, name: &'static str) -> Result<Value, Failure> {
        Ok(self.table.raw_get(name)?)
    }

    /// A misuse of an option.
    pub(crate) fn bad(&self, name: &'static str, why: impl AsRef<str>) -> Failure {
        self.arguments.wrong(Place::Option(name), why)
    }

    pub(crate) fn bytes(&self, lua: &Lua, name: &'static str) -> Result<Option<Vec<u8>>, Failure> {
        match self.get(name)? {
            Value::Nil => Ok(None),
            value => self
                .arguments
                .bytes_at(lua, Place::Option(name), &value)
                .map(|bytes| Some(bytes.to_vec())),
        }
    }

    pub(crate) fn required(&self, lua: &Lua, name: &'static str) -> Result<Vec<u8>, Failure> {
        self.bytes(lua, name)?
            .ok_or_else(|| self.bad(name, "string expected, got no value"))
    }

    pub(crate) fn name(&self, lua: &Lua) -> Result<String, Failure> {
        name(self.required(lua, "name")?)
    }

    pub(crate) fn max_alloc(&self) -> Result<Option<u32>, Failure> {
        let value = self.get("maxalloc")?;
        self.arguments
            .max_alloc_at(Place::Option("maxalloc"), &value)
    }

    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Failure> {
        let value = self.get("timeout")?;
        self.arguments.seconds_at(Place::Option("timeout"), &value)
    }

    pub(crate) fn context(&self, lua: &Lua) -> Result<Option<Context>, Failure> {
        let Some(name) = self.bytes(lua, "context")? else {
            return Ok(None);
        };
        let contexts = [Context::Process, Context::Softirq];
        let found = contexts
            .into_iter()
            .find(|one| one.to_string().as_bytes() == name);
        let unknown = || format!("unknown context '{}'", String::from_utf8_lossy(&name));
        found
            .map(Some)
            .ok_or_else(|| self.bad("context", unknown()))
    }

    pub(crate) fn boolean(&self, name: &'static str) -> Result<bool, Failure> {
        match self.get(name)? {
            Value::Nil => Ok(false),
            Value::Boolean(value) => Ok(value),
            value => Err(self
                .arguments
                .expected(Place::Option(name), "boolean", &value)),
        }
    }

    /// A session in the namespace that `netns` or `pid` tells; `None` when
    /// neither is there.
    pub(crate) fn session(&self, lua: &Lua) -> Result<Option<Session>, Failure> {
        let netns = self.bytes(lua, "netns")?;
        let pid = self.get("pid")?;
        match (netns, pid) {
            (None, Value::Nil) => Ok(None),
            (Some(_), pid) if !pid.is_nil() => Err(self.bad("pid", "'netns' is given too")),
            (Some(netns), _) => {
                let netns = String::from_utf8(netns).map_err(|netns| {
                    let name = String::from_utf8_lossy(netns.as_bytes()).into_owned();
                    Failure::Refused(format!("no network namespace {name}"), "ENOENT")
                })?;
                Ok(Some(Session::in_netns(netns)?))
            }
            (None, pid) => {
                let pid = self.arguments.integer_at(Place::Option("pid"), &pid)?;
                let pid = u32::try_from(pid).map_err(|_| self.bad("pid", "not a process id"))?;
                Ok(Some(Session::of_pid(pid)?))
            }
        }
    }
}

fn name(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes)
        .map_err(|_| Failure::Refused("STATE_NAME must be printable ASCII".to_owned(), "EINVAL"))
}

/// Lua's name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        value => value.type_name(),
    }
}
