// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changed from one run to another.

use std::fmt;

use crate::table::{number, percent, table};
use crate::{Figure, Run};

/// What changed from one run to another, figure by figure.
pub struct Comparison<'a> {
    before: &'a Run,
    changes: Vec<Change<'a>>,
    /// Figures of the earlier run that the later one has not.
    gone: usize,
    /// Figures of the later run that the earlier one has not.
    new: usize,
}

struct Change<'a> {
    figure: &'a Figure,
    /// The figure before and after.
    medians: [f64; 2],
    /// What the target is for, before and after.
    values: [f64; 2],
}

impl<'a> Comparison<'a> {
    /// Compares what both runs measured in the same way.
    pub fn of(before: &'a Run, after: &'a Run) -> Self {
        let mut changes = Vec::new();
        for figure in &after.figures {
            let same = |other: &&Figure| {
                other.is(&figure.group, &figure.case, figure.against.as_deref())
                    && other.counted.is_some() == figure.counted.is_some()
                    && other.unit == figure.unit
            };
            let Some(other) = before.figures.iter().find(same) else {
                continue;
            };
            let both = [other, figure];
            let medians = both.map(|figure| Some(figure.measured()?.summary.median));
            let values = both.map(Figure::value);
            if let ([Some(a), Some(b)], [Some(c), Some(d)]) = (medians, values) {
                changes.push(Change {
                    figure,
                    medians: [a, b],
                    values: [c, d],
                });
            }
        }
        Self {
            before,
            gone: before.figures.len().saturating_sub(changes.len()),
            new: after.figures.len().saturating_sub(changes.len()),
            changes,
        }
    }
}

/// How much more `after` is than `before`.
fn change([before, after]: [f64; 2]) -> String {
    if before == 0.0 {
        return String::new();
    }
    let text = percent(after / before - 1.0);
    match text.as_str() {
        "0.0%" | "-0.0%" => "0.0%".to_owned(),
        _ if after > before => format!("+{text}"),
        _ => text,
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "change", "against", "before", "now", "", "ratio", "now", "", "target", "",
        ];
        let mut table = table(header, &[0, 1, 9]);
        for Change {
            figure,
            medians,
            values,
        } in &self.changes
        {
            let mut row = vec![
                format!("{}: {}", figure.group, figure.case),
                figure.against.clone().unwrap_or_default(),
            ];
            row.extend(medians.map(number));
            row.push(change(*medians));
            if figure.against.is_some() {
                row.extend(values.map(|value| format!("{value:.3}")));
                row.push(change(*values));
            } else {
                row.extend([const { String::new() }; 3]);
            }
            let target = figure.target;
            row.push(target.map(|target| target.to_string()).unwrap_or_default());
            let met = values.map(|value| target.map(|target| target.is_met(value)));
            let verdict = match met {
                [Some(false), Some(true)] => "now met",
                [Some(true), Some(false)] => "now MISSED",
                [_, Some(false)] => "MISSED",
                _ => "",
            };
            row.push(verdict.to_owned());
            table.add_row(row);
        }
        write!(
            f,
            "{}\n\nagainst Linux {} of {}: {} figures compared, {} not measured now, {} new",
            table.trim_fmt(),
            self.before.release,
            self.before.started,
            self.changes.len(),
            self.gone,
            self.new
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use crate::run::tests::{record, run};

    #[test]
    fn changes() {
        assert_eq!(change([100.0, 110.0]), "+10.0%");
        assert_eq!(change([100.0, 75.0]), "-25.0%");
        assert_eq!(change([100.0, 100.0]), "0.0%");
        assert_eq!(change([1e6, 1e6 - 1.0]), "0.0%");
        assert_eq!(change([1e6, 1e6 + 1.0]), "0.0%");
        assert_eq!(change([0.0, 1.0]), "");
    }

    #[test]
    fn only_what_both_measured_alike_is_compared() {
        let mut before = run();
        before.add(Machine::Counted, record("a", &[150.0], &[100.0]));
        before.add(Machine::Clock, record("by the clock", &[150.0], &[100.0]));
        before.add(Machine::Counted, record("gone", &[150.0], &[100.0]));
        let mut after = run();
        after.add(Machine::Counted, record("a", &[120.0], &[100.0]));
        after.add(Machine::Counted, record("by the clock", &[1.0], &[100.0]));
        after.add(Machine::Counted, record("new", &[1.0], &[]));
        let expected = "\
change    against  before  now          ratio    now          target
calls: a  bare        150  120  -20.0%  1.500  1.200  -20.0%   ≤ 1.3  now met

against Linux 6.12.1 of 2026-11-21T00:00:00Z: 1 figures compared, 2 not measured now, 2 new";
        assert_eq!(Comparison::of(&before, &after).to_string(), expected);
    }
}
