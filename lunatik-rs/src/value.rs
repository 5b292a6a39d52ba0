// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lua values, as they cross between a caller and a state.

use std::{fmt, io, mem};

use lunatik_sys::{lunatik_attr, lunatik_value};
use nix::libc;

use crate::{
    error::{Error, Result},
    limits,
    wire::{Attr, Request},
};

/// A Lua value.
///
/// `Display` prints as Lua's `print` would, strings raw and with what is not
/// UTF-8 replaced ([`write`](Self::write) gives the bytes as they are). Only a
/// table prints its content, as a table constructor such as
/// `{1, 2, x = "y"}`, because where it was in the kernel's memory means nothing.
///
/// # JSON
///
/// With the feature `serde` a value serializes so that each can be told from
/// every other:
///
/// | Lua | JSON |
/// |---|---|
/// | nil, booleans, integers | `null`, booleans, numbers |
/// | a string of UTF-8 | a string |
/// | another string | `{"bytes": "c3ff"}`, in hexadecimal |
/// | a table with the keys 1 to n, or none | an array |
/// | a table with keys of UTF-8 strings only | an object |
/// | another table | `{"table": [[key, value], ...]}`, also one whose only key is `bytes`, `table` or `text` |
/// | what could not cross | `{"text": "function: 0x..."}` |
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// `nil`.
    #[default]
    Nil,
    /// `true` or `false`.
    Boolean(bool),
    /// An integer; Lua in the kernel has no other numbers.
    Integer(i64),
    /// Any bytes, at most [`limits::STRING`].
    String(Vec<u8>),
    /// Keys and values, in the order of Lua's `next`. Tables nest at most
    /// [`limits::TABLE_DEPTH`] deep.
    Table(Vec<(Value, Value)>),
    /// What `tostring` says of a result that cannot cross: a function, a
    /// userdata, a thread, a table too deep or in a cycle. Cannot be sent.
    Text(Vec<u8>),
}

impl Value {
    /// A table with the keys 1 to n.
    pub fn sequence<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::Table(
            (1..)
                .map(Value::Integer)
                .zip(values.into_iter().map(Into::into))
                .collect(),
        )
    }

    /// A table of keys and values. Keys must differ and not be nil.
    pub fn table<K: Into<Value>, V: Into<Value>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::Table(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    /// Lua's name of the type; what could not cross counts as a string.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "number",
            Self::String(_) | Self::Text(_) => "string",
            Self::Table(_) => "table",
        }
    }

    /// Whether this is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether Lua takes this for true: anything but nil and false.
    pub fn is_truthy(&self) -> bool {
        !matches!(self, Self::Nil | Self::Boolean(false))
    }

    /// The boolean, if this is one.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if this is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The bytes, if this is a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text, if this is a string of UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The keys and values, if this is a table.
    pub fn as_table(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The values of the keys 1 to n in order, if this is a table that has these
    /// keys and no other.
    pub fn as_array(&self) -> Option<Vec<&Value>> {
        let entries = self.as_table()?;
        let mut array = vec![None; entries.len()];
        for (key, value) in entries {
            let index = usize::try_from(key.as_integer()?.checked_sub(1)?).ok()?;
            let slot = array.get_mut(index)?;
            *slot = Some(value);
        }
        array.into_iter().collect()
    }

    /// The value of `key`, if this is a table that has it.
    pub fn get(&self, key: impl Into<Value>) -> Option<&Value> {
        let key = key.into();
        self.as_table()?
            .iter()
            .find_map(|(k, v)| (*k == key).then_some(v))
    }

    /// Writes the value as Lua's `print` would, strings byte for byte; tables as
    /// `Display` prints them.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        match self {
            Self::String(bytes) | Self::Text(bytes) => out.write_all(bytes),
            _ => write!(out, "{self}"),
        }
    }

    /// Adds this value to a request, as one attribute `attr` or, for a table,
    /// several.
    pub(crate) fn encode(&self, request: &mut Request<'_>, attr: lunatik_attr) -> Result<()> {
        self.encode_at(request, attr, 0)
    }

    fn encode_at(&self, request: &mut Request<'_>, attr: lunatik_attr, depth: usize) -> Result<()> {
        let mut put =
            |kind: lunatik_value, payload: &[u8]| request.nest(attr, kind.as_u16(), payload);
        match self {
            Self::Nil => put(lunatik_value::LUNATIK_V_NIL, &[]),
            Self::Boolean(value) => put(lunatik_value::LUNATIK_V_BOOLEAN, &[u8::from(*value)]),
            Self::Integer(value) => put(lunatik_value::LUNATIK_V_INTEGER, &value.to_ne_bytes()),
            Self::String(bytes) if bytes.len() > limits::STRING => Err(Error::too_large(
                "a string argument",
                bytes.len(),
                limits::STRING,
            )),
            Self::String(bytes) => put(lunatik_value::LUNATIK_V_STRING, bytes),
            Self::Table(_) if depth == limits::TABLE_DEPTH => Err(Error::refuse(
                libc::EMSGSIZE,
                format!(
                    "an argument's tables are nested more than {} deep",
                    limits::TABLE_DEPTH
                ),
            )),
            Self::Table(entries) => {
                put(lunatik_value::LUNATIK_V_TABLE, &[])?;
                for (key, value) in entries {
                    if key.is_nil() {
                        return Err(Error::refuse(
                            libc::EINVAL,
                            "nil is no key of an argument's table",
                        ));
                    }
                    key.encode_at(request, attr, depth + 1)?;
                    value.encode_at(request, attr, depth + 1)?;
                }
                request.nest(attr, lunatik_value::LUNATIK_V_END.as_u16(), &[])
            }
            Self::Text(_) => Err(Error::refuse(
                libc::EINVAL,
                "the text of a value that could not cross is no argument",
            )),
        }
    }
}

/// A table whose end has not come yet.
struct Open {
    entries: Vec<(Value, Value)>,
    key: Option<Value>,
}

/// Values from the attributes of a reply, which may come in several messages.
#[derive(Default)]
pub(crate) struct Decoder {
    values: Vec<Value>,
    open: Vec<Open>,
}

impl Decoder {
    /// Takes the next attribute.
    pub(crate) fn push(&mut self, attr: Attr<'_>) -> Result<()> {
        let attr = attr.only()?;
        let value = match lunatik_value::from(attr.kind) {
            lunatik_value::LUNATIK_V_NIL => Value::Nil,
            lunatik_value::LUNATIK_V_BOOLEAN => Value::Boolean(attr.u8()? != 0),
            lunatik_value::LUNATIK_V_INTEGER => Value::Integer(attr.i64()?),
            lunatik_value::LUNATIK_V_STRING => Value::String(attr.payload.to_vec()),
            lunatik_value::LUNATIK_V_TEXT => Value::Text(attr.payload.to_vec()),
            lunatik_value::LUNATIK_V_TABLE => {
                if self.open.len() == limits::TABLE_DEPTH {
                    return Err(Error::protocol("tables nested too deep"));
                }
                self.open.push(Open {
                    entries: Vec::new(),
                    key: None,
                });
                return Ok(());
            }
            lunatik_value::LUNATIK_V_END => match self.open.pop() {
                Some(Open { entries, key: None }) => Value::Table(entries),
                Some(_) => return Err(Error::protocol("a table ends after a key")),
                None => return Err(Error::protocol("a table ends that did not begin")),
            },
            lunatik_value(kind) => return Err(Error::protocol(format!("a value of type {kind}"))),
        };
        match self.open.last_mut() {
            None => self.values.push(value),
            Some(Open { entries, key }) => match key.take() {
                None => *key = Some(value),
                Some(key) => entries.push((key, value)),
            },
        }
        Ok(())
    }

    /// The values, once the reply is complete.
    pub(crate) fn finish(&mut self) -> Result<Vec<Value>> {
        if self.open.is_empty() {
            Ok(mem::take(&mut self.values))
        } else {
            Err(Error::protocol("a table does not end"))
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::String(bytes) | Self::Text(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Table(entries) => constructor(f, entries),
        }
    }
}

fn constructor(f: &mut fmt::Formatter<'_>, entries: &[(Value, Value)]) -> fmt::Result {
    f.write_str("{")?;
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        match key {
            Value::Integer(index) if usize::try_from(*index).is_ok_and(|i| i == at + 1) => {}
            Value::String(name) if is_name(name) => {
                write!(f, "{} = ", String::from_utf8_lossy(name))?;
            }
            _ => {
                f.write_str("[")?;
                element(f, key)?;
                f.write_str("] = ")?;
            }
        }
        element(f, value)?;
    }
    f.write_str("}")
}

fn element(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::String(bytes) => quoted(f, bytes),
        _ => write!(f, "{value}"),
    }
}

/// A string as Lua source: escapes are Lua's.
fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                c => write!(f, "{c}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_str("\"")
}

fn is_name(bytes: &[u8]) -> bool {
    const RESERVED: [&[u8]; 22] = [
        b"and",
        b"break",
        b"do",
        b"else",
        b"elseif",
        b"end",
        b"false",
        b"for",
        b"function",
        b"goto",
        b"if",
        b"in",
        b"local",
        b"nil",
        b"not",
        b"or",
        b"repeat",
        b"return",
        b"then",
        b"true",
        b"until",
        b"while",
    ];
    matches!(bytes, [first, rest @ ..]
        if (first.is_ascii_alphabetic() || *first == b'_')
            && rest.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'))
        && !RESERVED.contains(&bytes)
}

macro_rules! from {
    ($($from:ty => $value:ident => $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}

from! {
    () => _unit => Self::Nil;
    bool => value => Self::Boolean(value);
    i64 => value => Self::Integer(value);
    i32 => value => Self::Integer(value.into());
    i16 => value => Self::Integer(value.into());
    i8 => value => Self::Integer(value.into());
    u32 => value => Self::Integer(value.into());
    u16 => value => Self::Integer(value.into());
    u8 => value => Self::Integer(value.into());
    &str => text => Self::String(text.as_bytes().to_vec());
    String => text => Self::String(text.into_bytes());
    &[u8] => bytes => Self::String(bytes.to_vec());
    Vec<u8> => bytes => Self::String(bytes);
    Vec<Value> => values => Self::sequence(values);
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::String(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

#[cfg(feature = "serde")]
pub(crate) use json::Bytes;

#[cfg(feature = "serde")]
mod json {
    use std::fmt::Write as _;

    use serde::{
        Serialize, Serializer,
        ser::{SerializeMap, SerializeSeq},
    };

    use super::Value;

    /// A string of UTF-8, or `{"bytes": "c3ff"}`.
    pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if let Ok(text) = std::str::from_utf8(self.0) {
                return serializer.serialize_str(text);
            }
            let hex = self.0.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            one(serializer, "bytes", &hex)
        }
    }

    fn one<S: Serializer>(
        serializer: S,
        key: &str,
        value: &impl Serialize,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, value)?;
        map.end()
    }

    fn text_keys(entries: &[(Value, Value)]) -> Option<Vec<(&str, &Value)>> {
        let entries: Option<Vec<_>> = entries
            .iter()
            .map(|(key, value)| Some((key.as_str()?, value)))
            .collect();
        entries.filter(|entries| !matches!(entries[..], [("bytes" | "table" | "text", _)]))
    }

    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Value::Nil => serializer.serialize_unit(),
                Value::Boolean(value) => serializer.serialize_bool(*value),
                Value::Integer(value) => serializer.serialize_i64(*value),
                Value::String(bytes) => Bytes(bytes).serialize(serializer),
                Value::Text(bytes) => one(serializer, "text", &Bytes(bytes)),
                Value::Table(entries) => {
                    if let Some(array) = self.as_array() {
                        let mut seq = serializer.serialize_seq(Some(array.len()))?;
                        for value in array {
                            seq.serialize_element(value)?;
                        }
                        return seq.end();
                    }
                    if let Some(entries) = text_keys(entries) {
                        let mut map = serializer.serialize_map(Some(entries.len()))?;
                        for (key, value) in entries {
                            map.serialize_entry(key, value)?;
                        }
                        return map.end();
                    }
                    one(serializer, "table", entries)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lunatik_sys::lunatik_cmd;
    use neli::consts::nl::NlmF;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ErrorKind,
        wire::{Attrs, Messages},
    };

    fn encode(values: &[Value]) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        let cmd = lunatik_cmd::LUNATIK_CMD_DOSTRING;
        let mut request = Request::new(&mut buffer, 31, NlmF::REQUEST, 1, cmd);
        for value in values {
            value.encode(&mut request, lunatik_attr::LUNATIK_A_ARG)?;
        }
        request.finish()?;
        Ok(buffer)
    }

    fn decode(attrs: Attrs<'_>) -> Result<Vec<Value>> {
        let mut decoder = Decoder::default();
        for attr in attrs {
            decoder.push(attr?)?;
        }
        decoder.finish()
    }

    fn round_trip(values: &[Value]) -> Vec<Value> {
        let bytes = encode(values).expect("fits");
        let message = Messages(&bytes).next().expect("one").expect("well-formed");
        decode(message.genl().expect("a command").1).expect("well-formed")
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::from("deep"), |value, _| Value::sequence([value]))
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..64).prop_map(Value::from),
        ];
        let depth = u32::try_from(limits::TABLE_DEPTH).expect("small");
        leaf.prop_recursive(depth, 64, 4, |inner| {
            let key = inner
                .clone()
                .prop_filter("nil is no key", |key| !key.is_nil());
            prop::collection::vec((key, inner), 0..4).prop_map(Value::Table)
        })
    }

    #[test]
    fn values_cross_whole() {
        let values = [
            Value::Nil,
            Value::from(true),
            Value::from(false),
            Value::from(i64::MIN),
            Value::from(-1),
            Value::from(0),
            Value::from(i64::MAX),
            Value::from(""),
            Value::from(b"a\0b\0"),
            Value::from(vec![0xff; limits::STRING]),
            Value::Table(Vec::new()),
            Value::table([("x", 2)]),
            nested(limits::TABLE_DEPTH),
        ];
        assert_eq!(round_trip(&values), values);
        assert_eq!(round_trip(&[]), []);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_said() {
        let refused = |value: Value| {
            let error = encode(&[value]).expect_err("refused");
            (error.kind(), error.to_string())
        };
        assert_eq!(
            refused(Value::from(vec![0; limits::STRING + 1])),
            (
                ErrorKind::TooLarge,
                "a string argument is 61441 bytes, the limit is 61440 (EMSGSIZE)".to_owned()
            )
        );
        assert_eq!(
            refused(nested(limits::TABLE_DEPTH + 1)).0,
            ErrorKind::TooLarge
        );
        assert_eq!(
            refused(Value::Text(b"function: 0x1".to_vec())).0,
            ErrorKind::Invalid
        );
        assert_eq!(
            refused(Value::table([((), "nil as a key")])).0,
            ErrorKind::Invalid
        );
    }

    #[test]
    fn malformed_values_are_refused() {
        let nest = |kind: lunatik_value, payload: &[u8]| {
            let mut buffer = Vec::new();
            let cmd = lunatik_cmd::LUNATIK_CMD_DOSTRING;
            let mut request = Request::new(&mut buffer, 31, NlmF::REQUEST, 1, cmd);
            request
                .nest(lunatik_attr::LUNATIK_A_RESULT, kind.as_u16(), payload)
                .expect("fits");
            buffer.split_off(20)
        };
        let begin = nest(lunatik_value::LUNATIK_V_TABLE, &[]);
        let end = nest(lunatik_value::LUNATIK_V_END, &[]);
        let one = nest(lunatik_value::LUNATIK_V_INTEGER, &1i64.to_ne_bytes());
        for malformed in [
            begin.clone(),
            end.clone(),
            [begin.clone(), one.clone(), end].concat(),
            [begin, one].concat(),
            nest(lunatik_value::LUNATIK_V_INTEGER, &[1, 2, 3]),
            nest(lunatik_value::LUNATIK_V_BOOLEAN, &[]),
            nest(lunatik_value(99), &[]),
            nest(lunatik_value::LUNATIK_V_TABLE, &[]).repeat(limits::TABLE_DEPTH + 1),
            // A result that holds nothing.
            vec![4, 0, 9, 0],
        ] {
            let error = decode(Attrs(&malformed)).expect_err("malformed");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{malformed:?}");
        }
    }

    #[test]
    fn display_is_what_print_says() {
        let print = |value: Value| value.to_string();
        assert_eq!(print(Value::Nil), "nil");
        assert_eq!(print(true.into()), "true");
        assert_eq!(print(i64::MIN.into()), "-9223372036854775808");
        assert_eq!(print("a\nb".into()), "a\nb");
        assert_eq!(print(b"\xff".into()), "\u{fffd}");
        assert_eq!(print(Value::Table(Vec::new())), "{}");
        assert_eq!(
            print(Value::sequence(["a\"\n", "\u{7}"])),
            r#"{"a\"\n", "\x07"}"#
        );
        assert_eq!(
            print(Value::table([
                (Value::from(1), Value::from(10)),
                (Value::from(3), Value::from(30)),
                (Value::from("x"), Value::sequence([true])),
                (Value::from("end"), Value::from(b"\xff")),
                (Value::from("a b"), Value::Nil),
            ])),
            r#"{10, [3] = 30, x = {true}, ["end"] = "\xff", ["a b"] = nil}"#
        );
        let mut raw = Vec::new();
        Value::from(b"\xff\0")
            .write(&mut raw)
            .expect("a Vec takes all");
        assert_eq!(raw, b"\xff\0");
    }

    #[test]
    fn tables_are_read_by_key_and_as_arrays() {
        let table = Value::table([(2, "b"), (1, "a")]);
        assert_eq!(table.get(1).and_then(Value::as_str), Some("a"));
        assert_eq!(table.get(3), None);
        let array = table.as_array().expect("keys 1 and 2");
        assert_eq!(array, [&Value::from("a"), &Value::from("b")]);
        for other in [
            Value::table([(1, "a"), (3, "c")]),
            Value::table([(0, "a")]),
            Value::table([(i64::MIN, "a")]),
            Value::table([("1", "a")]),
            Value::Table(vec![(1.into(), 1.into()), (1.into(), 2.into())]),
            Value::Nil,
        ] {
            assert_eq!(other.as_array(), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_value_crosses(values in prop::collection::vec(value(), 0..4)) {
            prop_assert_eq!(round_trip(&values), values);
        }

        #[test]
        fn any_reply_is_read_or_refused(
            parts in prop::collection::vec(
                (0u16..10, prop::collection::vec(any::<u8>(), 0..12)),
                0..16,
            )
        ) {
            let mut buffer = Vec::new();
            let cmd = lunatik_cmd::LUNATIK_CMD_DOSTRING;
            let mut request = Request::new(&mut buffer, 31, NlmF::REQUEST, 1, cmd);
            for (kind, payload) in parts {
                request
                    .nest(lunatik_attr::LUNATIK_A_RESULT, kind, &payload)
                    .expect("fits");
            }
            let _ = decode(Attrs(&buffer[20..]));
        }
    }

    #[cfg(feature = "serde")]
    mod json {
        use super::*;

        #[test]
        fn each_value_has_its_own_form() {
            for (value, json) in [
                (Value::Nil, "null"),
                (true.into(), "true"),
                (i64::MIN.into(), "-9223372036854775808"),
                ("a\0é".into(), r#""a\u0000é""#),
                (b"\xc3\xff".into(), r#"{"bytes":"c3ff"}"#),
                (Value::Table(Vec::new()), "[]"),
                (Value::table([(2, 20), (1, 10)]), "[10,20]"),
                (
                    Value::table([("x", Value::from(2)), ("y", Value::Nil)]),
                    r#"{"x":2,"y":null}"#,
                ),
                (
                    Value::table([(1, "a"), (3, "c")]),
                    r#"{"table":[[1,"a"],[3,"c"]]}"#,
                ),
                (
                    Value::table([("bytes", "ff")]),
                    r#"{"table":[["bytes","ff"]]}"#,
                ),
                (
                    Value::table([("bytes", "ff"), ("text", "x")]),
                    r#"{"bytes":"ff","text":"x"}"#,
                ),
                (
                    Value::Table(vec![(b"\xff".into(), true.into())]),
                    r#"{"table":[[{"bytes":"ff"},true]]}"#,
                ),
                (
                    Value::Text(b"function: 0x1".to_vec()),
                    r#"{"text":"function: 0x1"}"#,
                ),
            ] {
                assert_eq!(serde_json::to_string(&value).expect("serializes"), json);
            }
        }
    }
}
