// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case is, and how one is measured in turn with its baseline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use figures::{Listed, Machine, Record, Target, Unit};

use crate::idle;

/// Batches of each side that count.
const BATCHES: usize = 7;
/// How long a batch takes at least, by the guest's clock.
const BATCH: Duration = Duration::from_millis(10);
/// What a batch leaves to be done later is done in this time, which counts for nobody.
const PAUSE: Duration = Duration::from_millis(20);
/// Most operations of a batch.
const MAX_OPERATIONS: u32 = 1 << 20;

/// Makes an operation as often as it is told.
pub(crate) type Operation = Box<dyn FnMut(u32) -> Result<()>>;
/// Takes the figures of a case.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Record) -> Result<()>;

/// An operation made of one that is made once.
pub(crate) fn each(mut once: impl FnMut() -> Result<()> + 'static) -> Operation {
    Box::new(move |count| (0..count).try_for_each(|_| once()))
}

/// What is measured, or what it is measured against.
pub(crate) struct Side {
    name: String,
    /// How many things each operation does, where it cannot do one alone.
    things: u32,
    setup: Box<dyn FnOnce() -> Result<Operation>>,
}

impl Side {
    pub(crate) fn new(
        name: impl Into<String>,
        setup: impl FnOnce() -> Result<Operation> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            things: 1,
            setup: Box::new(setup),
        }
    }

    /// Says that each operation does so many things; their cost is told by the thing.
    pub(crate) fn things(mut self, things: u32) -> Self {
        self.things = things;
        self
    }
}

/// Something to be measured.
pub(crate) struct Case {
    group: &'static str,
    pub(crate) name: String,
    machines: &'static [Machine],
    body: Body,
}

enum Body {
    Sides(Sides),
    /// Measures in a way of its own, and reports one figure or more.
    Other(Box<dyn FnOnce(Report<'_>) -> Result<()>>),
}

struct Sides {
    own: Side,
    baseline: Option<Side>,
    unit: Unit,
    target: Option<Target>,
}

impl Case {
    /// What an operation costs.
    pub(crate) fn cost(group: &'static str, own: Side) -> Self {
        Self {
            group,
            name: own.name.clone(),
            machines: &[Machine::Counted, Machine::Clock],
            body: Body::Sides(Sides {
                own,
                baseline: None,
                unit: Unit::Time,
                target: None,
            }),
        }
    }

    /// How many operations there are in a second.
    pub(crate) fn rate(group: &'static str, own: Side) -> Self {
        let mut case = Self::cost(group, own);
        case.sides().unit = Unit::Rate;
        case
    }

    /// What `measure` reports.
    pub(crate) fn other(
        group: &'static str,
        name: impl Into<String>,
        measure: impl FnOnce(Report<'_>) -> Result<()> + 'static,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            machines: &[Machine::Counted, Machine::Clock],
            body: Body::Other(Box::new(measure)),
        }
    }

    /// What the case is measured in turn with.
    pub(crate) fn against(mut self, baseline: Side) -> Self {
        self.sides().baseline = Some(baseline);
        self
    }

    /// What the ratio to the baseline should be at most.
    pub(crate) fn at_most(mut self, limit: f64) -> Self {
        self.sides().target = Some(Target::AtMost(limit));
        self
    }

    /// What the ratio to the baseline should be at least.
    pub(crate) fn at_least(mut self, limit: f64) -> Self {
        self.sides().target = Some(Target::AtLeast(limit));
        self
    }

    /// Where the case is measured, if not on one CPU, both by counted instructions and by the clock.
    pub(crate) fn on(mut self, machines: &'static [Machine]) -> Self {
        self.machines = machines;
        self
    }

    /// The sides of a case that has some.
    fn sides(&mut self) -> &mut Sides {
        match &mut self.body {
            Body::Sides(sides) => sides,
            Body::Other(_) => unreachable!("only a cost or a rate has sides"),
        }
    }

    pub(crate) fn is_for(&self, machine: Machine) -> bool {
        self.machines.contains(&machine)
    }

    pub(crate) fn listed(&self) -> Listed {
        Listed {
            group: self.group.to_owned(),
            case: self.name.clone(),
            machines: self.machines.to_vec(),
        }
    }

    /// Measures the case on a machine that is at rest.
    pub(crate) fn measure(self, report: Report<'_>) -> Result<()> {
        idle::settle()?;
        self.measure_now(report)
    }

    fn measure_now(self, report: Report<'_>) -> Result<()> {
        match self.body {
            Body::Sides(sides) => report(sides.measure(self.group)?),
            Body::Other(measure) => measure(report),
        }
    }
}

impl Sides {
    fn measure(self, group: &str) -> Result<Record> {
        let case = self.own.name.clone();
        let mut own = Batches::prepare(self.own)?;
        let mut baseline = self.baseline.map(Batches::prepare).transpose()?;
        // In turn: what changes over time changes for both.
        for _ in 0..BATCHES {
            own.take()?;
            if let Some(baseline) = &mut baseline {
                baseline.take()?;
            }
        }
        let record =
            Record::new(group, case, self.unit, own.samples(self.unit)).target(self.target);
        Ok(match baseline {
            Some(baseline) => record.against(baseline.name.clone(), baseline.samples(self.unit)),
            None => record,
        })
    }
}

/// One side while it is measured.
struct Batches {
    name: String,
    things: u32,
    operation: Operation,
    /// Operations of a batch.
    count: u32,
    times: Vec<Duration>,
}

impl Batches {
    /// Finds out how many operations are a batch, which warms up, too.
    fn prepare(side: Side) -> Result<Self> {
        let operation = (side.setup)().with_context(|| side.name.clone())?;
        let mut batches = Self {
            name: side.name,
            things: side.things,
            operation,
            count: 1,
            times: Vec::new(),
        };
        batches.time()?;
        loop {
            let time = batches.time()?;
            if time >= BATCH || batches.count >= MAX_OPERATIONS {
                return Ok(batches);
            }
            batches.count = next_count(batches.count, time);
        }
    }

    /// Measures one batch.
    fn take(&mut self) -> Result<()> {
        let time = self.time()?;
        self.times.push(time);
        Ok(())
    }

    fn time(&mut self) -> Result<Duration> {
        let start = Instant::now();
        (self.operation)(self.count).with_context(|| self.name.clone())?;
        let time = start.elapsed();
        thread::sleep(PAUSE);
        Ok(time)
    }

    fn samples(self, unit: Unit) -> Vec<f64> {
        let things = f64::from(self.count) * f64::from(self.things);
        let each = |time: &Duration| {
            let time = time.as_secs_f64() * 1e9 / things;
            match unit {
                Unit::Rate => 1e9 / time,
                Unit::Time | Unit::Bytes => time,
            }
        };
        self.times.iter().map(each).collect()
    }
}

/// How many operations to try next, after `count` took `time`: a few more than are likely to be enough, but
/// at most ten times as many, since the first are the slowest.
fn next_count(count: u32, time: Duration) -> u32 {
    let wanted = BATCH.as_nanos() * 5 / 4 * u128::from(count) / time.as_nanos().max(1) + 1;
    let wanted = u32::try_from(wanted).unwrap_or(MAX_OPERATIONS);
    wanted
        .clamp(count + 1, count.saturating_mul(10).max(count + 1))
        .min(MAX_OPERATIONS)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn batches_grow_to_their_length() {
        assert_eq!(next_count(1, Duration::from_millis(5)), 3);
        assert_eq!(next_count(1, Duration::from_nanos(1)), 10);
        assert_eq!(next_count(100, Duration::from_micros(9_999)), 126);
        assert_eq!(next_count(7, Duration::from_secs(1)), 8);
        assert_eq!(next_count(MAX_OPERATIONS, Duration::ZERO), MAX_OPERATIONS);
    }

    #[test]
    fn sides_take_turns() {
        let turns = Rc::new(Cell::new(0));
        let side = |name: &str, turn: i32| {
            let turns = Rc::clone(&turns);
            Side::new(name, move || {
                Ok(each(move || {
                    turns.set(turns.get() + turn);
                    thread::sleep(BATCH);
                    Ok(())
                }))
            })
        };
        let case = Case::cost("group", side("own", 1).things(2)).against(side("other", 1000));
        let mut records = Vec::new();
        case.at_most(2.0)
            .measure_now(&mut |record| {
                records.push(record);
                Ok(())
            })
            .unwrap();
        let [record] = &records[..] else {
            panic!("one figure");
        };
        // Each side is tried twice before.
        assert_eq!(turns.get(), 9 * 1001);
        assert_eq!((record.samples.len(), record.baseline.len()), (7, 7));
        assert!(record.samples.iter().all(|time| *time >= 5e6), "{record:?}");
        assert!(record.baseline.iter().all(|time| *time >= 1e7));
    }

    #[test]
    fn a_failure_names_its_side() {
        let side = Side::new("own", || Ok(each(|| anyhow::bail!("broken"))));
        let error = Case::cost("group", side)
            .measure_now(&mut |_| Ok(()))
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "own: broken");
    }
}
