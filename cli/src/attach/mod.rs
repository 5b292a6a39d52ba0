// SPDX-License-Identifier: MIT OR Apache-2.0
//! States on the packet path of devices.

use std::collections::HashMap;

use comfy_table::{CellAlignment, Table, presets};
use lunatik::Session;
use serde::Serialize;

use crate::{
    context::Context,
    failure::{About as _, Failure, Result, Status},
};

pub(crate) mod tc;
pub(crate) mod xdp;

/// What stands for the name of a state that is gone.
const GONE: &str = "(closed)";

/// Calls `body` in the session's namespace; a failure is about the device.
fn on_device<T: Send>(
    session: &Session,
    device: &str,
    body: impl FnOnce() -> lunatik_bpf::Result<T> + Send,
) -> Result<T> {
    let result = session.within(body)?;
    result.map_err(|error| Failure::from(error).about(device))
}

/// The number of the state called `name`.
fn id(session: &Session, name: &str) -> Result<u32> {
    Ok(session.state(name).description().about(name)?.id)
}

/// The same of one that is to be attached.
fn id_for_packets(session: &Session, name: &str) -> Result<u32> {
    let state = session.state(name).description().about(name)?;
    if state.context == lunatik::Context::Process {
        let message = "the state is of the context process; packets are for those that were made \
                       with --context softirq";
        return Err(Failure::new(Status::Failure, "EINVAL", message).about(name));
    }
    Ok(state.id)
}

/// A state on a device.
trait Attached: Serialize {
    fn target(&self) -> lunatik_bpf::Target;
    /// The id of the eBPF program.
    fn program(&self) -> u32;
}

#[derive(Serialize)]
struct Row<'a, A> {
    #[serde(flatten)]
    attachment: &'a A,
    /// The state's, unless it is gone.
    name: Option<&'a String>,
}

/// Prints what is attached in the namespace. In its table the columns of `header`, whose
/// cells `cells` gives, come first; those in `numbers` hold numbers.
fn list<A: Attached + Send, const N: usize>(
    context: &mut Context,
    find: fn() -> lunatik_bpf::Result<Vec<A>>,
    header: [&str; N],
    numbers: &[usize],
    cells: fn(&A) -> [String; N],
) -> Result<()> {
    let session = context.session()?;
    let attachments = session.within(find)??;
    let states = session.states()?.into_iter();
    let names: HashMap<_, _> = states.map(|state| (state.id, state.name)).collect();
    let rows: Vec<_> = attachments
        .iter()
        .map(|attachment| Row {
            attachment,
            name: names.get(&attachment.target().state),
        })
        .collect();
    context.out.print(&rows, |out| {
        let header = header.into_iter().chain(["STATE", "ID", "PROG", "ARG"]);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        table.add_rows(rows.iter().map(|Row { attachment, name }| {
            let target = attachment.target();
            cells(attachment).into_iter().chain([
                name.map_or(GONE, String::as_str).to_owned(),
                target.state.to_string(),
                attachment.program().to_string(),
                target.arg.to_string(),
            ])
        }));
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            // The state's name is the one after `header` that is none.
            if at > N || numbers.contains(&at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(out, "{}", table.trim_fmt())
    })
}

/// An integer for the state's function, as Lua reads it: in hexadecimal it wraps around.
fn argument(text: &str) -> std::result::Result<i64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let parsed = match digits {
        Some(digits) => u64::from_str_radix(digits, 16).map(u64::cast_signed),
        None => text.parse(),
    };
    parsed.map_err(|_| "an integer of 64 bits is like 5, -1 or 0xff".to_owned())
}

#[cfg(test)]
mod tests {
    use super::argument;

    #[test]
    fn arguments_are_integers_of_lua() {
        for (text, value) in [
            ("0", 0),
            ("-7", -7),
            ("0xff", 255),
            ("0XffffffffffffffFF", -1),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(argument(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "0x",
            "1.5",
            "9223372036854775808",
            "0x10000000000000000",
            "five",
        ] {
            assert!(argument(text).is_err(), "{text}");
        }
    }
}
