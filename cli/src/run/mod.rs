// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of scripts.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::ffi::OsStringExt,
    time::Duration,
};

use lunatik::Value;

use crate::{
    context::Context,
    failure::{About, Result},
};

pub(crate) mod dofile;
pub(crate) mod dostring;

/// A script and how to run it.
struct Script {
    state: String,
    code: Vec<u8>,
    arguments: Vec<OsString>,
    chunk_name: Option<String>,
    timeout: Option<Duration>,
}

impl Script {
    fn run(self, context: &mut Context) -> Result<()> {
        let state = context.session()?.state(&self.state);
        let arguments = self.arguments.into_iter().map(OsString::into_vec);
        let mut call = state.call(&self.code).args(arguments);
        if let Some(name) = &self.chunk_name {
            call = call.chunk_name(name);
        }
        if let Some(timeout) = self.timeout {
            call = call.timeout(timeout);
        }
        let values = call.run().about(&self.state)?;
        context.out.print(&values, |out| write(out, &values))
    }
}

/// As Lua's `print`; nothing at all where there are no values.
fn write(mut out: &mut dyn Write, values: &[Value]) -> io::Result<()> {
    let Some((last, others)) = values.split_last() else {
        return Ok(());
    };
    for value in others {
        value.write(&mut out)?;
        out.write_all(b"\t")?;
    }
    last.write(&mut out)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(values: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, values).expect("a Vec takes all");
        out
    }

    #[test]
    fn results_are_printed_as_at_the_prompt() {
        let values = [
            Value::from(1),
            Value::from("two"),
            Value::Nil,
            Value::from(true),
            Value::sequence([3]),
        ];
        assert_eq!(printed(&values), b"1\ttwo\tnil\ttrue\t{3}\n");
    }

    #[test]
    fn nothing_is_printed_for_no_results() {
        assert_eq!(printed(&[]), b"");
        assert_eq!(printed(&[Value::from("")]), b"\n");
    }

    #[test]
    fn strings_are_raw_outside_tables_only() {
        assert_eq!(printed(&[Value::from(b"a\0\xff\n")]), b"a\0\xff\n\n");
        let nested = Value::table([
            ("x", Value::sequence([2, 3])),
            ("a b", Value::from(b"q\"\xff\n")),
            ("end", Value::table::<&str, Value>([])),
        ]);
        assert_eq!(
            String::from_utf8(printed(&[nested])).expect("escaped"),
            "{x = {2, 3}, [\"a b\"] = \"q\\\"\\xff\\n\", [\"end\"] = {}}\n"
        );
        let text = Value::Text(b"function: 0x1".to_vec());
        assert_eq!(printed(&[Value::sequence([text])]), b"{function: 0x1}\n");
    }

    #[test]
    fn json_keeps_types() {
        let values = [
            Value::from(i64::MIN),
            Value::from("1"),
            Value::Nil,
            Value::from(false),
            Value::sequence([3]),
            Value::from(b"\xff"),
        ];
        assert_eq!(
            serde_json::to_string(&values).expect("serializes"),
            r#"[-9223372036854775808,"1",null,false,[3],{"bytes":"ff"}]"#
        );
    }
}
