// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table of figures and of targets that they should not miss.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

/// A table whose last two columns are a target and whether it was missed.
pub(crate) struct Report {
    table: Table,
    met: bool,
}

impl Report {
    /// A table with these columns; all but the first hold figures.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.into_iter().chain(["target", ""]));
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index > 0 && index <= N {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, met: true }
    }

    /// Adds figures for which there is no target.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table
            .add_row(cells.into_iter().chain([String::new(), String::new()]));
    }

    /// Adds figures, a target, and whether they meet it.
    pub(crate) fn held<const N: usize>(&mut self, cells: [String; N], target: String, met: bool) {
        let verdict = if met { "met" } else { "MISSED" };
        self.table
            .add_row(cells.into_iter().chain([target, verdict.to_owned()]));
        self.met &= met;
    }

    /// Whether no target was missed.
    pub(crate) fn is_met(&self) -> bool {
        self.met
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_target_is_enough() {
        let mut report = Report::new(["what", "figure"]);
        report.row(["a".into(), "1".into()]);
        assert!(report.is_met());
        report.held(["b".into(), "300".into()], "2".into(), false);
        report.held(["c".into(), "1".into()], "2".into(), true);
        assert!(!report.is_met());
        let text = "what  figure  target\n\
                    a          1\n\
                    b        300       2  MISSED\n\
                    c          1       2  met";
        assert_eq!(report.to_string(), text);
    }
}
