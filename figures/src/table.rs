// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs and comparisons as people read them.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use crate::{Figure, Measured, Run, Unit};

/// How many CPUs others may take before that is told.
const BUSY: f64 = 0.1;

/// A table without lines, whose columns are to the left or to the right.
pub(crate) fn table<const N: usize>(header: [&str; N], left: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !left.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number in about four digits, with its thousands apart.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 1000.0 && value.fract() != 0.0 {
        let digits = if value.abs() < 100.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let digits = whole.trim_start_matches('-');
    let mut text = whole[..whole.len() - digits.len()].to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Parts of one in percent.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// What is shown of one machine's: the figure, its baseline's, their spread and ratio.
fn cells(measured: Option<&Measured>, show: impl Fn(f64) -> String) -> [String; 4] {
    let Some(measured) = measured else {
        return Default::default();
    };
    let baseline = measured.baseline.map(|baseline| show(baseline.median));
    // One sample has none.
    let spread = (measured.samples.len() > 1).then(|| percent(measured.summary.spread));
    let ratio = measured.ratio.map(|ratio| format!("{ratio:.3}"));
    [
        show(measured.summary.median),
        baseline.unwrap_or_default(),
        spread.unwrap_or_default(),
        ratio.unwrap_or_default(),
    ]
}

/// A figure by the clock, with its unit.
fn by_clock(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Time if value >= 1e7 => format!("{} ms", number(value / 1e6)),
        Unit::Time => format!("{} µs", number(value / 1e3)),
        Unit::Rate => format!("{}/s", number(value)),
        Unit::Bytes => format!("{} B", number(value)),
    }
}

/// A figure by counted instructions. Rates are turned: what one takes tells more than how many are in 10^9.
fn by_count(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Time => number(value.round()),
        Unit::Rate => number((1e9 / value).round()),
        Unit::Bytes => format!("{} B", number(value)),
    }
}

fn row(figure: &Figure) -> Vec<String> {
    let verdict = match figure.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let target = figure.target.map(|target| target.to_string());
    let mut row = vec![
        figure.case.clone(),
        figure.against.clone().unwrap_or_default(),
    ];
    row.extend(cells(figure.counted.as_ref(), |value| {
        by_count(figure.unit, value)
    }));
    row.extend(cells(figure.clock.as_ref(), |value| {
        by_clock(figure.unit, value)
    }));
    row.push(target.unwrap_or_default());
    row.push(verdict.to_owned());
    row
}

impl fmt::Display for Run {
    /// A table for each group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !groups.contains(&&*figure.group) {
                groups.push(&figure.group);
            }
        }
        let hardware = if self.hardware {
            "time"
        } else {
            "emulated time"
        };
        for group in groups {
            let header = [
                group,
                "against",
                "instructions",
                "against",
                "spread",
                "ratio",
                hardware,
                "against",
                "spread",
                "ratio",
                "target",
                "",
            ];
            let mut table = table(header, &[0, 1, 11]);
            let own = self.figures.iter().filter(|figure| figure.group == group);
            table.add_rows(own.map(row));
            writeln!(f, "{}\n", table.trim_fmt())?;
        }
        if self.others > BUSY {
            writeln!(
                f,
                "Other work took {:.1} of this machine's {} CPUs: times are longer than need be, most of all \
                 those on two CPUs.",
                self.others, self.cpus
            )?;
        }
        let targets = self.figures.iter().filter(|figure| figure.met.is_some());
        write!(
            f,
            "Linux {}: {} figures, {} of {} targets missed",
            self.release,
            self.figures.len(),
            self.missed(),
            targets.count()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use crate::run::tests::{record, run};

    #[test]
    fn numbers() {
        let shown = [0.0, 1.234, 99.0, 123.45, 1234.5, 1_234_567.0, -1234.0].map(number);
        assert_eq!(
            shown,
            ["0", "1.23", "99", "123.5", "1,234", "1,234,567", "-1,234"]
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(by_clock(Unit::Time, 12_345.0), "12.35 µs");
        assert_eq!(by_clock(Unit::Time, 12_345_678.0), "12.35 ms");
        assert_eq!(by_clock(Unit::Rate, 12_345.0), "12,345/s");
        assert_eq!(by_count(Unit::Rate, 100_000.0), "10,000");
    }

    #[test]
    fn a_figure_is_beside_its_baseline() {
        let mut run = run();
        run.add(Machine::Counted, record("a", &[19_384.0; 3], &[10_120.0]));
        run.add(Machine::Clock, record("a", &[40e3, 50e3, 60e3], &[25e3]));
        run.add(Machine::Counted, record("b", &[1.0], &[1.0]));
        let text = run.to_string();
        let expected = "\
calls  against  instructions  against  spread  ratio  emulated time  against  spread  ratio  target
a      bare           19,384   10,120    0.0%  1.915          50 µs    25 µs   20.0%  2.000   ≤ 1.3  MISSED
b      bare                1        1          1.000                                          ≤ 1.3  met

Linux 6.12.1: 2 figures, 1 of 2 targets missed";
        assert_eq!(text, expected);
        run.others = 1.5;
        let text = run.to_string();
        assert!(text.contains("took 1.5 of this machine's 2 CPUs"), "{text}");
    }
}
