// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs for the states, grown from a grammar.

mod call;
mod expression;
mod garble;
mod grammar;
mod hostile;
mod library;

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lunatik::{Error, ErrorKind, Session, State, Value};

use crate::{
    Plan, Tally,
    check::{self, Witness},
    pace,
    programs::{Common, Slot},
    random::Random,
    runner::{self, Worker},
};

/// States of each thread.
const STATES: usize = 3;
/// Programs that a state runs before it is made anew.
const LIFE: u64 = 40;
/// Programs of a thread between two looks at its states.
const LOOK: u64 = 8;
/// Programs between two checks that the module still works.
const CHECK: u64 = 400;
/// How much later than its deadline a run may end on a machine that is busy.
const SLACK: Duration = Duration::from_secs(15);
const CAPS: &[u32] = &[32 << 10, 48 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20];

/// What one case is.
struct Case {
    state: usize,
    timeout: Duration,
    arguments: Vec<Value>,
    program: String,
}

fn case(seed: u64, index: u64, functions: &[String]) -> Case {
    let mut random = Random::new(seed, index);
    let random = &mut random;
    let state = random.below(STATES);
    let timeout = Duration::from_millis(random.within(5, 20) as u64);
    let arguments = (0..random.below(4)).map(|_| value(random, 0)).collect();
    let mut program = grammar::program(random, functions);
    if random.chance(8) {
        program = garble::program(random, &program);
    }
    Case {
        state,
        timeout,
        arguments,
        program,
    }
}

/// The body of a function that gets a packet as `pkt` and may have more arguments.
pub(crate) fn body(random: &mut Random, functions: &[String]) -> String {
    let program = grammar::program(random, functions);
    if random.chance(3) {
        garble::program(random, &program)
    } else {
        program
    }
}

/// The functions for such bodies: those of the libraries and the methods of packets,
/// which are what half of the calls are.
pub(crate) fn functions_of_packets(session: &Session) -> Result<Vec<String>> {
    let mut functions = library::functions(session)?;
    let methods: Vec<_> = call::methods_of_packets().map(str::to_owned).collect();
    for method in methods.iter().cycle().take(functions.len()) {
        functions.push(method.clone());
    }
    Ok(functions)
}

/// An argument.
fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(8) {
        0 if depth == 0 => Value::Nil,
        1 => Value::Boolean(random.chance(50)),
        2..=3 if depth < lunatik::limits::TABLE_DEPTH => {
            let mut entries = Vec::new();
            let most = i64::try_from(random.below(4)).expect("small");
            for key in 1..=most {
                let key = if random.chance(70) {
                    Value::Integer(key)
                } else {
                    Value::String(format!("k{key}").into_bytes())
                };
                entries.push((key, value(random, depth + 1)));
            }
            Value::Table(entries)
        }
        4..=5 => {
            let length = random.below(30);
            Value::String(random.bytes(length))
        }
        // None that looks like an address.
        _ => Value::Integer((random.bits() >> 17).cast_signed()),
    }
}

/// The program of the case `index`.
pub fn show(seed: u64, index: u64) -> Result<String> {
    let functions = library::functions(&Session::open()?)?;
    let case = case(seed, index, &functions);
    let mut text = format!(
        "-- case {index}: {} ms, the arguments",
        case.timeout.as_millis()
    );
    for argument in &case.arguments {
        let _ = write!(text, " {argument:?}");
    }
    Ok(format!("{text}\n{}", case.program))
}

/// Runs the cases of `plan` in a network namespace of its own; how they ended.
pub fn run(plan: &Plan) -> Result<Tally> {
    let witness = Witness::new()?;
    let plan = *plan;
    check::in_new_netns(move || {
        let session = Session::open()?;
        let functions = library::functions(&session)?;
        ensure!(functions.len() > 30, "the libraries are: {functions:?}");
        let pace = pace::measure(&session)?;
        let all = Arc::new(Common::new(plan.seed, functions, witness, session));
        let mut workers = Vec::new();
        for thread in 0..plan.threads {
            workers.push(Fuzzer {
                all: Arc::clone(&all),
                pace,
                session: Session::open()?,
                thread,
                slots: (0..STATES).map(|_| None).collect(),
                timers: vec![false; STATES],
                done: 0,
            });
        }
        let tally = runner::run(&plan, "programs", workers)?;
        all.finish()?;
        Ok(tally)
    })
}

struct Fuzzer {
    all: Arc<Common>,
    /// What limits of time are multiplied by.
    pace: u32,
    session: Session,
    thread: usize,
    slots: Vec<Option<Slot>>,
    /// Which of them may have timers, which run, too.
    timers: Vec<bool>,
    done: u64,
}

impl Worker for Fuzzer {
    fn run(&mut self, index: u64, tally: &mut Tally) -> Result<()> {
        let all = Arc::clone(&self.all);
        let _turn = all.turn(index, CHECK)?;
        let mut case = case(all.seed, index, &all.functions);
        case.timeout *= self.pace;
        let cap = Random::new(all.seed ^ 1, index).choose(CAPS);
        self.prepare(case.state, cap)?;
        self.program(&case, tally)?;
        self.done += 1;
        if self.done.is_multiple_of(LOOK) {
            self.look(tally)?;
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}

impl Fuzzer {
    fn name(&self, slot: usize) -> String {
        format!("t{}-{slot}", self.thread)
    }

    /// Makes the state of `slot` if it is not there or has lived long enough.
    fn prepare(&mut self, slot: usize, cap: u32) -> Result<()> {
        let name = self.name(slot);
        let new = self.session.new_state(&name).max_alloc(cap);
        if Slot::renew(&mut self.slots[slot], LIFE, new)? {
            self.timers[slot] = false;
        }
        Ok(())
    }

    fn program(&mut self, case: &Case, tally: &mut Tally) -> Result<()> {
        let slot = self.slots[case.state].as_mut().context("no state")?;
        slot.programs += 1;
        self.timers[case.state] |= case.program.contains("lunatik");
        let start = Instant::now();
        let result = call(&slot.state, case);
        let took = start.elapsed();
        ensure!(
            took < case.timeout + SLACK,
            "a run of {} ms took {} ms",
            case.timeout.as_millis(),
            took.as_millis()
        );
        let late = took.saturating_sub(case.timeout).as_millis();
        tally.most("most ms after a deadline", u64::try_from(late)?);
        tally.add("program", outcome(&result)?);
        let Some(address) = self.leaked(&result) else {
            return Ok(());
        };
        // Numbers may look like an address by chance.
        for _ in 0..3 {
            let name = self.name(STATES);
            let fresh = self.session.new_state(&name).max_alloc(1 << 20).create()?;
            let again = call(&fresh, case);
            fresh.close()?;
            if self.leaked(&again).is_none() {
                tally.add("address", "chance");
                return Ok(());
            }
        }
        let mut text = format!("{result:?}");
        text.truncate(text.floor_char_boundary(2000));
        bail!("an address of the kernel came out: {address:016x} in {text}");
    }

    fn leaked(&self, result: &lunatik::Result<Vec<Value>>) -> Option<u64> {
        let addresses = &self.all.addresses;
        match result {
            Ok(values) => values.iter().find_map(|value| addresses.in_value(value)),
            Err(error) => {
                let lua = error.lua()?;
                let traceback = lua.traceback_bytes().unwrap_or_default();
                let message = addresses.in_bytes(lua.message_bytes());
                message.or_else(|| addresses.in_bytes(traceback))
            }
        }
    }

    /// Looks at the states from outside.
    fn look(&mut self, tally: &mut Tally) -> Result<()> {
        let descriptions = loop {
            match self.session.states() {
                Err(error) if error.kind() == ErrorKind::Inconsistent => {}
                other => break other.context("the list of states")?,
            }
        };
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            let name = format!("t{}-{number}", self.thread);
            let description = descriptions.iter().find(|one| one.name == name);
            let description = description.with_context(|| format!("state {name} is gone"))?;
            ensure!(
                description.curr_alloc <= description.max_alloc
                    && description.peak_alloc <= description.max_alloc,
                "too much memory: {description:?}"
            );
            ensure!(
                description.runs == slot.programs
                    || self.timers[number] && description.runs > slot.programs,
                "not {} runs: {description:?}",
                slot.programs
            );
            slot.read_log(&self.all.addresses, tally)?;
        }
        Ok(())
    }
}

fn call(state: &State, case: &Case) -> lunatik::Result<Vec<Value>> {
    state
        .call(&case.program)
        .args(case.arguments.iter().cloned())
        .timeout(case.timeout)
        .run()
}

/// How a program ended, if that is a way in which one may.
fn outcome(result: &lunatik::Result<Vec<Value>>) -> Result<&'static str> {
    let Err(error) = result else {
        return Ok("ok");
    };
    Ok(match error.kind() {
        ErrorKind::Compile => "syntax error",
        ErrorKind::Script => "runtime error",
        ErrorKind::Deadline => "deadline",
        ErrorKind::OutOfMemory => "out of memory",
        ErrorKind::TooLarge => "too large",
        _ => bail!("ended in {}", describe(error)),
    })
}

fn describe(error: &Error) -> String {
    format!("{error} ({error:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<String> {
        call::known().map(str::to_owned).collect()
    }

    #[test]
    fn cases_are_made_from_seed_and_index_alone() {
        for index in 0..100 {
            let (one, other) = (case(9, index, &functions()), case(9, index, &functions()));
            assert_eq!(one.program, other.program);
            assert_eq!(one.arguments, other.arguments);
        }
        assert_ne!(
            case(9, 1, &functions()).program,
            case(8, 1, &functions()).program
        );
    }

    #[test]
    fn programs_are_of_some_length() {
        let lengths = (0..200).map(|index| case(1, index, &functions()).program.len());
        let total: usize = lengths.sum();
        assert!((200 * 300..200 * 20_000).contains(&total), "{total}");
    }
}
