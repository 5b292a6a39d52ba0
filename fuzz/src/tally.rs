// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened, counted.

use std::{collections::BTreeMap, fmt};

/// Counts by subject and outcome, such as "DOSTRING" and "ETIME".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<(String, String), u64>,
    most: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, subject: &str, outcome: &str) {
        self.sum(subject, outcome, 1);
    }

    /// Counts several at once.
    pub(crate) fn sum(&mut self, subject: &str, outcome: &str, count: u64) {
        let key = (subject.to_owned(), outcome.to_owned());
        *self.counts.entry(key).or_default() += count;
    }

    /// Keeps the highest of the figures called `what`.
    pub(crate) fn most(&mut self, what: &str, figure: u64) {
        let highest = self.most.entry(what.to_owned()).or_default();
        *highest = figure.max(*highest);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            *self.counts.entry(key.clone()).or_default() += count;
        }
        for (what, figure) in &other.most {
            self.most(what, *figure);
        }
    }

    /// How often `subject` had this outcome.
    pub fn count(&self, subject: &str, outcome: &str) -> u64 {
        let key = (subject.to_owned(), outcome.to_owned());
        self.counts.get(&key).copied().unwrap_or_default()
    }

    /// How often `subject` had any outcome.
    pub fn total(&self, subject: &str) -> u64 {
        self.counts
            .iter()
            .filter(|((of, _), _)| of == subject)
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for ((subject, outcome), count) in &self.counts {
            if last != Some(subject) {
                if last.is_some() {
                    writeln!(f)?;
                }
                write!(f, "{subject} {}:", self.total(subject))?;
            }
            write!(f, " {outcome} {count}")?;
            last = Some(subject);
        }
        for (what, figure) in &self.most {
            write!(f, "\n{what}: {figure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_summed_up_by_subject() {
        let mut one = Tally::default();
        one.add("CLOSE", "ok");
        one.add("CLOSE", "ENOENT");
        one.most("slowest", 3);
        let mut all = one.clone();
        one.most("slowest", 5);
        one.add("DOSTRING", "ok");
        all.merge(&one);
        assert_eq!(all.count("CLOSE", "ok"), 2);
        assert_eq!(all.total("CLOSE"), 4);
        assert_eq!(
            all.to_string(),
            "CLOSE 4: ENOENT 2 ok 2\nDOSTRING 1: ok 1\nslowest: 5"
        );
    }
}
