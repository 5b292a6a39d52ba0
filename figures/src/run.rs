// SPDX-License-Identifier: MIT OR Apache-2.0
//! All figures of one run.

use serde::{Deserialize, Serialize};

use crate::{Machine, Record, Summary, Target, Unit};

/// What one `cargo xtask bench` measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The kernel, as `--kernel` names it.
    pub kernel: String,
    /// The kernel, as it names itself.
    pub release: String,
    /// When the run began, in UTC.
    pub started: String,
    /// What was asked for; everything if empty.
    pub names: Vec<String>,
    /// How many CPUs this machine has.
    pub cpus: u32,
    /// How many of them were busy with other work meanwhile, on average.
    pub others: f64,
    /// Whether the clock went by real hardware, not by an emulated one.
    pub hardware: bool,
    /// The figures, in the order in which they came first.
    pub figures: Vec<Figure>,
}

/// One figure, by counted instructions and by the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The group of the case.
    pub group: String,
    /// What was measured.
    pub case: String,
    /// The name of the baseline.
    pub against: Option<String>,
    /// What the samples are of.
    pub unit: Unit,
    /// What the ratio should be: that of the instructions, where they were counted.
    pub target: Option<Target>,
    /// By counted instructions.
    pub counted: Option<Measured>,
    /// By the clock.
    pub clock: Option<Measured>,
    /// Whether the target is met; none if there is none.
    pub met: Option<bool>,
}

/// What was measured in one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of the samples.
    #[serde(flatten)]
    pub summary: Summary,
    /// Of the baseline's samples.
    pub baseline: Option<Summary>,
    /// The median, in medians of the baseline.
    pub ratio: Option<f64>,
    /// As they were taken.
    pub samples: Vec<f64>,
    /// As they were taken, too.
    pub baseline_samples: Vec<f64>,
}

impl Run {
    /// Adds what was measured in `machine`. Of no samples there is nothing to add.
    pub fn add(&mut self, machine: Machine, record: Record) {
        let Some(measured) = Measured::of(record.samples, record.baseline) else {
            return;
        };
        let at = self
            .figures
            .iter()
            .position(|figure| figure.is(&record.group, &record.case, record.against.as_deref()));
        let at = at.unwrap_or_else(|| {
            self.figures.push(Figure {
                group: record.group,
                case: record.case,
                against: record.against,
                unit: record.unit,
                target: record.target,
                counted: None,
                clock: None,
                met: None,
            });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[at];
        match machine {
            Machine::Counted => figure.counted = Some(measured),
            Machine::Clock | Machine::Pair => figure.clock = Some(measured),
        }
        figure.judge();
    }

    /// How many targets were missed.
    pub fn missed(&self) -> usize {
        let missed = |figure: &&Figure| figure.met == Some(false);
        self.figures.iter().filter(missed).count()
    }
}

impl Figure {
    /// Whether this is the figure of that name.
    pub(crate) fn is(&self, group: &str, case: &str, against: Option<&str>) -> bool {
        self.group == group && self.case == case && self.against.as_deref() == against
    }

    /// What counts: the instructions, where they were counted.
    pub(crate) fn measured(&self) -> Option<&Measured> {
        self.counted.as_ref().or(self.clock.as_ref())
    }

    /// What the target is for: the ratio, or the figure itself where it has no baseline.
    pub(crate) fn value(&self) -> Option<f64> {
        let measured = self.measured()?;
        Some(measured.ratio.unwrap_or(measured.summary.median))
    }

    fn judge(&mut self) {
        self.met = self
            .target
            .zip(self.value())
            .map(|(target, value)| target.is_met(value));
    }
}

impl Measured {
    fn of(samples: Vec<f64>, baseline_samples: Vec<f64>) -> Option<Self> {
        let summary = Summary::of(&samples)?;
        let baseline = Summary::of(&baseline_samples);
        Some(Self {
            summary,
            baseline,
            ratio: baseline.map(|baseline| summary.median / baseline.median),
            samples,
            baseline_samples,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run() -> Run {
        Run {
            kernel: "6.12".into(),
            release: "6.12.1".into(),
            started: "2026-11-21T00:00:00Z".into(),
            names: Vec::new(),
            cpus: 2,
            others: 0.0,
            hardware: false,
            figures: Vec::new(),
        }
    }

    pub(crate) fn record(case: &str, samples: &[f64], baseline: &[f64]) -> Record {
        let record = Record::new("calls", case, Unit::Time, samples.to_vec());
        let record = record.target(Target::AtMost(1.3));
        if baseline.is_empty() {
            return record;
        }
        record.against("bare", baseline.to_vec())
    }

    #[test]
    fn machines_share_a_figure() {
        let mut run = run();
        run.add(Machine::Clock, record("a", &[150.0], &[100.0]));
        assert_eq!(run.missed(), 1, "the clock is all there is");
        run.add(Machine::Counted, record("a", &[120.0], &[100.0]));
        assert_eq!(run.missed(), 0, "instructions count");
        run.add(Machine::Clock, record("b", &[1.0], &[]));
        run.add(Machine::Clock, record("c", &[], &[]));
        let names: Vec<_> = run.figures.iter().map(|figure| &figure.case[..]).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(run.figures[0].value(), Some(1.2));
        assert_eq!(run.figures[1].value(), Some(1.0));
    }

    #[test]
    fn one_case_may_have_two_baselines() {
        let mut run = run();
        run.add(Machine::Clock, record("a", &[150.0], &[100.0]));
        run.add(Machine::Clock, record("a", &[150.0], &[]));
        assert_eq!(run.figures.len(), 2);
    }

    #[test]
    fn runs_survive_their_files() {
        let mut run = run();
        run.add(Machine::Counted, record("a", &[120.0, 121.0], &[100.0]));
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }
}
