// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many states and many namespaces: whether the last costs what the first did.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use figures::{Record, Target, Unit};
use lunatik::{Session, State};

use crate::case::{Case, Report};
use crate::{idle, memory, netns};

const GROUP: &str = "scale";
const STATES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const NAMESPACES: [usize; 4] = [1, 10, 100, 1_000];
/// What all others are compared with.
const FEW: usize = 10;
/// What an operation may cost with the most, in what it costs with few.
const MAX_RATIO: f64 = 1.2;
/// How often each operation is measured, but of a list.
const REPEATS: usize = 100;
/// How many states are listed in all, at most, where more than one list is made.
const LISTED: usize = 10_000;
/// States that come and go before anything is measured: the first are slower than all others.
const WARM_UP: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::other(GROUP, "states", states),
        Case::other(GROUP, "namespaces", namespaces),
    ]
}

fn states(report: Report<'_>) -> Result<()> {
    let session = Session::open()?;
    warm_up(&session)?;
    let before = memory::of_kernel()?;
    let mut levels = Vec::new();
    let mut count = 0;
    for level in STATES {
        while count < level {
            create(&session, &name(count))?;
            count += 1;
        }
        levels.push((level, Samples::take(&session, level)?));
    }
    let used = memory::of_kernel()? - before;
    for number in 0..count {
        session.state(name(number)).close()?;
    }
    tell("state", &levels, report)?;
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 states")]
    let each = used / count as f64;
    let target = Some(Target::AtMost(memory::MAX_ALLOC));
    report(memory::record(
        GROUP,
        "memory of a state, of 10,000",
        each,
        target,
    ))
}

/// Namespaces with one state each. Those of the newest are measured.
fn namespaces(report: Report<'_>) -> Result<()> {
    let mut sessions = vec![in_new_namespace()?];
    warm_up(&sessions[0])?;
    let bare = bare_namespace()?;
    let before = memory::of_kernel()?;
    let mut levels = Vec::new();
    let mut firsts = Vec::new();
    for level in NAMESPACES {
        while sessions.len() <= level {
            let session = in_new_namespace()?;
            firsts.push(time(|| create(&session, &name(0)))?);
            sessions.push(session);
        }
        let newest = sessions.last().context("there is one")?;
        levels.push((level, Samples::take(newest, 1)?));
    }
    let used = memory::of_kernel()? - before;
    tell("namespace", &levels, report)?;
    let (_, last) = levels.pop().context("there are levels")?;
    let first = "create, the first of a namespace";
    report(Record::new(GROUP, first, Unit::Time, firsts).against("another", last.create))?;
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 namespaces")]
    let each = used / (sessions.len() - 1) as f64;
    let record = memory::record(GROUP, "memory of a namespace with a state", each, None);
    report(record.against("with a socket only", vec![bare]))
}

/// What each operation takes, in nanoseconds.
#[derive(Default)]
struct Samples {
    create: Vec<f64>,
    find: Vec<f64>,
    list: Vec<f64>,
    close: Vec<f64>,
}

impl Samples {
    /// Measures in a namespace of `states`.
    fn take(session: &Session, states: usize) -> Result<Self> {
        let mut samples = Self::default();
        for repeat in 0..REPEATS {
            samples.create.push(time(|| create(session, "extra"))?);
            // All over the namespace.
            let handle = session.state(name(repeat * 7919 % states));
            samples
                .find
                .push(time(|| Ok(handle.description().map(drop)?))?);
            let extra = session.state("extra");
            samples.close.push(time(|| Ok(extra.close()?))?);
        }
        for _ in 0..(LISTED / states).clamp(1, REPEATS) {
            let list = || {
                let listed = session.states()?.len();
                ensure!(listed == states, "{listed} of {states} states");
                Ok(())
            };
            #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 states")]
            samples.list.push(time(list)? / states as f64);
        }
        Ok(samples)
    }

    fn all(&self) -> [(&'static str, &[f64], Option<Target>); 4] {
        let target = Some(Target::AtMost(MAX_RATIO));
        [
            ("create", &self.create, target),
            ("find", &self.find, target),
            ("list, per state", &self.list, None),
            ("close", &self.close, None),
        ]
    }
}

/// Each level but that of few is a figure, and the last should not differ from that.
fn tell(of: &str, levels: &[(usize, Samples)], report: Report<'_>) -> Result<()> {
    let few = levels.iter().find(|(level, _)| *level == FEW);
    let few = few.context("few is a level")?.1.all();
    let most = levels.last().map(|(level, _)| *level);
    for (at, (name, baseline, _)) in few.iter().enumerate() {
        for (level, samples) in levels.iter().filter(|(level, _)| *level != FEW) {
            let (_, samples, target) = samples.all()[at];
            let case = format!("{name}, {}", many(*level, of));
            let record = Record::new(GROUP, case, Unit::Time, samples.to_vec())
                .against(many(FEW, of), baseline.to_vec())
                .target(target.filter(|_| Some(*level) == most));
            report(record)?;
        }
    }
    Ok(())
}

/// So many of something, with the thousands apart.
fn many(count: usize, of: &str) -> String {
    let (thousands, rest) = (count / 1000, count % 1000);
    match (thousands, rest) {
        (0, 1) => format!("1 {of}"),
        (0, _) => format!("{rest} {of}s"),
        _ => format!("{thousands},{rest:03} {of}s"),
    }
}

fn time(operation: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    operation()?;
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

/// Makes a state that stays without its reference.
fn create(session: &Session, name: &str) -> Result<()> {
    session
        .new_state(name)
        .create()
        .and_then(State::put)
        .with_context(|| name.to_owned())
}

fn warm_up(session: &Session) -> Result<()> {
    (0..WARM_UP).try_for_each(|_| {
        create(session, "warm-up")?;
        Ok(session.state("warm-up").close()?)
    })
}

fn name(number: usize) -> String {
    format!("state{number}")
}

/// A session in a namespace of its own, which lives as long as the session's socket.
fn in_new_namespace() -> Result<Session> {
    netns::in_new(|| Ok(Session::open()?))
}

/// What a namespace needs that has no state, in bytes.
fn bare_namespace() -> Result<f64> {
    const COUNT: u32 = 50;
    let before = memory::of_kernel()?;
    let sessions = (0..COUNT)
        .map(|_| in_new_namespace())
        .collect::<Result<Vec<_>>>()?;
    let used = memory::of_kernel()? - before;
    drop(sessions);
    idle::settle()?;
    Ok(used / f64::from(COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        let shown = [1, 10, 1_000, 10_050].map(|count| many(count, "state"));
        assert_eq!(
            shown,
            ["1 state", "10 states", "1,000 states", "10,050 states"]
        );
    }

    #[test]
    fn all_but_few_are_told_and_the_last_has_a_target() {
        let samples = |value| Samples {
            create: vec![value],
            find: vec![value],
            list: vec![value],
            close: vec![value],
        };
        let levels = [(1, samples(1.0)), (FEW, samples(2.0)), (100, samples(3.0))];
        let mut records = Vec::new();
        tell("state", &levels, &mut |record| {
            records.push(record);
            Ok(())
        })
        .unwrap();
        let create: Vec<_> = records
            .iter()
            .filter(|record| record.case.starts_with("create"))
            .map(|record| (&*record.case, record.samples[0], record.target))
            .collect();
        let target = Some(Target::AtMost(MAX_RATIO));
        assert_eq!(
            create,
            [
                ("create, 1 state", 1.0, None),
                ("create, 100 states", 3.0, target)
            ]
        );
        assert_eq!(records.len(), 8);
        assert!(records.iter().all(|record| record.baseline == [2.0]));
    }
}
