// SPDX-License-Identifier: MIT OR Apache-2.0
use comfy_table::{CellAlignment, Table, presets};
use lunatik::Description;

use crate::{context::Context, failure::Result, units};

const HEADER: [&str; 10] = [
    "NAME", "ID", "CONTEXT", "MEM", "MAX", "REFS", "SUBS", "RUNS", "ERRORS", "TIME",
];

/// The columns that hold words; the others hold numbers.
const WORDS: [usize; 2] = [0, 2];

/// List the states of the namespace
///
/// CONTEXT is where the state runs, MEM the memory in use, MAX the cap on it, REFS the references that programs
/// have, SUBS the programs that receive its data, RUNS and ERRORS the runs and
/// those of them that failed, TIME the wall-clock time of all runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl list
  lunatikctl -n blue list
  lunatikctl -j list | jq -r '.[].name'")]
pub(crate) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let states = context.session()?.states()?;
        context
            .out
            .print(&states, |out| writeln!(out, "{}", table(&states)))
    }
}

fn table(states: &[Description]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    for state in states {
        table.add_row([
            state.name.clone(),
            state.id.to_string(),
            state.context.to_string(),
            units::short(state.curr_alloc),
            units::short(state.max_alloc),
            state.references.to_string(),
            state.subscribers.to_string(),
            state.runs.to_string(),
            state.errors.to_string(),
            units::measured(state.run_time),
        ]);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !WORDS.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
