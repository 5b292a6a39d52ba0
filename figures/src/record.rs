// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest says, one JSON document a line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a guest measures by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// One CPU, whose clock goes on by 1 ns with each instruction
    Counted,
    /// One CPU and a clock
    Clock,
    /// Two CPUs and a clock
    Pair,
}

impl Machine {
    /// All of them, in the order in which they are taken.
    pub const ALL: [Self; 3] = [Self::Counted, Self::Clock, Self::Pair];

    fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Clock => "clock",
            Self::Pair => "pair",
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|machine| machine.name() == text)
            .ok_or_else(|| format!("no machine is called {text}"))
    }
}

/// A case that can be measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The group that it belongs to.
    pub group: String,
    /// Its name, which it shares with cases that have another baseline.
    pub case: String,
    /// Where it can be measured.
    pub machines: Vec<Machine>,
}

impl Listed {
    /// What tells it from the cases of other groups.
    pub fn id(&self) -> String {
        format!("{}: {}", self.group, self.case)
    }

    /// Those of `cases` that `name` means: a group, or else all that it is a part of the name of, in any case.
    pub fn meant_by<'a>(cases: &'a [Self], name: &str) -> Vec<&'a Self> {
        let group: Vec<_> = cases.iter().filter(|case| case.group == name).collect();
        if !group.is_empty() {
            return group;
        }
        let name = name.to_lowercase();
        let has_part = |case: &&Self| case.case.to_lowercase().contains(&name);
        cases.iter().filter(has_part).collect()
    }
}

/// What samples are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds of one operation, which are instructions where they are counted
    Time,
    /// Operations in 10^9 nanoseconds
    Rate,
    /// Bytes
    Bytes,
}

/// What a ratio should be, or a figure without baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No more
    AtMost(f64),
    /// No less
    AtLeast(f64),
}

impl Target {
    /// Whether `figure` is as it should be.
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
        }
    }
}

/// The samples of one figure, and those of its baseline, which were taken in turn with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The group of the case.
    pub group: String,
    /// What was measured.
    pub case: String,
    /// The name of the baseline.
    pub against: Option<String>,
    /// What the samples are of, those of the baseline, too.
    pub unit: Unit,
    /// What their ratio should be.
    pub target: Option<Target>,
    /// The samples.
    pub samples: Vec<f64>,
    /// The samples of the baseline, none if there is none.
    pub baseline: Vec<f64>,
}

impl Record {
    /// A figure without baseline and target.
    pub fn new(group: &str, case: impl Into<String>, unit: Unit, samples: Vec<f64>) -> Self {
        Self {
            group: group.to_owned(),
            case: case.into(),
            against: None,
            unit,
            target: None,
            samples,
            baseline: Vec::new(),
        }
    }

    /// Gives it the baseline `name`.
    #[must_use]
    pub fn against(mut self, name: impl Into<String>, baseline: Vec<f64>) -> Self {
        self.against = Some(name.into());
        self.baseline = baseline;
        self
    }

    /// Gives it a target, if there is one.
    #[must_use]
    pub fn target(mut self, target: impl Into<Option<Target>>) -> Self {
        self.target = target.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_group_or_a_part() {
        let cases = [
            ("calls", "DOSTRING return 1 from Lua"),
            ("calls", "SENDDATA"),
            ("lua", "sort"),
        ];
        let cases = cases.map(|(group, case)| Listed {
            group: group.into(),
            case: case.into(),
            machines: vec![Machine::Counted],
        });
        let meant = |name| -> Vec<String> {
            let meant = Listed::meant_by(&cases, name);
            meant.into_iter().map(Listed::id).collect()
        };
        assert_eq!(meant("lua"), ["lua: sort"]);
        assert_eq!(meant("from lua"), ["calls: DOSTRING return 1 from Lua"]);
        assert_eq!(meant("senddata"), ["calls: SENDDATA"]);
        assert_eq!(meant("calls").len(), 2);
        assert_eq!(meant("call"), [""; 0]);
    }

    #[test]
    fn targets_hold_at_their_limits() {
        assert!(Target::AtMost(1.3).is_met(1.3));
        assert!(!Target::AtMost(1.3).is_met(1.301));
        assert!(Target::AtLeast(1.7).is_met(1.7));
        assert!(!Target::AtLeast(1.7).is_met(1.699));
        assert!(!Target::AtMost(1.3).is_met(f64::NAN));
        assert!(!Target::AtLeast(1.7).is_met(f64::NAN));
    }

    #[test]
    fn machines_have_names() {
        for machine in Machine::ALL {
            assert_eq!(machine.to_string().parse(), Ok(machine));
        }
        assert!("both".parse::<Machine>().is_err());
    }
}
