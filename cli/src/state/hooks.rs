// SPDX-License-Identifier: MIT OR Apache-2.0
//! A state's hooks, as a table.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use lunatik::{Hook, HookKind, Verdict};

use crate::units;

const HEADER: [&str; 12] = [
    "FAMILY", "HOOK", "DEV", "PRIORITY", "ON-ERROR", "CALLS", "ERRORS", "KILLS", "MISSED", "TIME",
    "MEAN", "VERDICTS",
];

/// The columns that hold numbers.
const NUMBERS: [usize; 7] = [3, 5, 6, 7, 8, 9, 10];

/// In place of what a hook has not.
const NONE: &str = "-";

pub(crate) fn table(hooks: &[Hook]) -> String {
    render(hooks.iter().map(|hook| {
        let [family, place, priority] = bound(hook.kind);
        [
            family,
            place,
            hook.dev.clone().unwrap_or_else(|| NONE.to_owned()),
            priority,
            hook.on_error.to_string(),
            hook.calls.to_string(),
            hook.errors.to_string(),
            hook.deadline_kills.to_string(),
            hook.missed.to_string(),
            units::measured(hook.run_time),
            mean(hook.run_time, hook.calls),
            verdicts(&hook.verdicts),
        ]
    }))
}

fn render(rows: impl Iterator<Item = [String; HEADER.len()]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    table.add_rows(rows);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if NUMBERS.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// The family, the hook and the priority.
fn bound(kind: HookKind) -> [String; 3] {
    match kind {
        HookKind::Netfilter {
            family,
            hook,
            priority,
        } => [family.to_string(), hook.to_string(), priority.to_string()],
        kind => [kind.to_string(), NONE.to_owned(), NONE.to_owned()],
    }
}

/// The time of one call.
fn mean(run_time: Duration, calls: u64) -> String {
    match run_time.as_nanos().checked_div(calls.into()) {
        Some(nanoseconds) => units::measured(Duration::from_nanos_u128(nanoseconds)),
        None => NONE.to_owned(),
    }
}

fn verdicts(counts: &[(Verdict, u64)]) -> String {
    if counts.is_empty() {
        return NONE.to_owned();
    }
    let counts = counts.iter();
    let texts: Vec<_> = counts
        .map(|(verdict, count)| format!("{verdict} {count}"))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use lunatik::{NetfilterFamily, NetfilterHook};

    use super::*;

    fn row(kind: HookKind, dev: &str, rest: [&str; 8]) -> [String; HEADER.len()] {
        let rest = rest.map(str::to_owned);
        let [family, place, priority] = bound(kind);
        let start = [family, place, dev.to_owned(), priority];
        let mut cells = start.into_iter().chain(rest);
        std::array::from_fn(|_| cells.next().expect("a cell"))
    }

    #[test]
    fn hooks_of_all_kinds_are_rows() {
        let input = HookKind::Netfilter {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::Input,
            priority: -150,
        };
        let ingress = HookKind::Netfilter {
            family: NetfilterFamily::Inet,
            hook: NetfilterHook::Ingress,
            priority: 0,
        };
        let counts = verdicts(&[(Verdict::Accept, 1200), (Verdict::Drop, 31)]);
        let rows = [
            row(
                input,
                NONE,
                ["native", "1234", "3", "2", "0", "1.2ms", "980ns", &counts],
            ),
            row(
                ingress,
                "veth0",
                ["drop", "0", "0", "0", "0", "0s", "-", "-"],
            ),
            row(
                HookKind::Xdp,
                NONE,
                ["drop", "0", "0", "0", "7", "0s", "-", "-"],
            ),
            row(
                HookKind::Tc,
                NONE,
                ["native", "1", "0", "0", "0", "2µs", "2µs", "shot 1"],
            ),
        ];
        assert_eq!(
            render(rows.into_iter()),
            "\
FAMILY  HOOK     DEV    PRIORITY  ON-ERROR  CALLS  ERRORS  KILLS  MISSED   TIME   MEAN  VERDICTS
ipv4    input    -          -150  native     1234       3      2       0  1.2ms  980ns  accept 1200, drop 31
inet    ingress  veth0         0  drop          0       0      0       0     0s      -  -
xdp     -        -             -  drop          0       0      0       7     0s      -  -
tc      -        -             -  native        1       0      0       0    2µs    2µs  shot 1"
        );
    }

    #[test]
    fn mean_is_that_of_the_calls() {
        assert_eq!(mean(Duration::from_micros(5), 2), "2.5µs");
        assert_eq!(mean(Duration::ZERO, 2), "0s");
        assert_eq!(mean(Duration::from_micros(5), 0), "-");
        assert_eq!(mean(Duration::MAX, 1), units::measured(Duration::MAX));
    }
}
