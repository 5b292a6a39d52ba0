// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that are called for packets, and packets for them.

mod traffic;

use std::{
    fmt::Write as _,
    fs,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lunatik::{Context as Where, Description, ErrorKind, Session, State};

use crate::{
    Plan, Tally,
    check::{self, Witness},
    leak::Addresses,
    lua, pace,
    random::Random,
    runner::{self, Worker},
};
use traffic::{Traffic, Way};

/// States of each thread; every packet passes the hooks of all of them.
const STATES: usize = 2;
/// Cases that a state goes through before it is made anew.
const LIFE: u64 = 15;
/// Cases between two checks that the module still works.
const CHECK: u64 = 200;
const CAPS: &[u32] = &[48 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20];
/// Programs that are called take their time for each packet.
const TIMEOUT: Duration = Duration::from_millis(1);

const FAMILIES: &[&str] = &["ipv4", "ipv6", "inet", "inet", "arp", "bridge"];
const HOOKS: &[&str] = &["prerouting", "input", "output", "postrouting", "forward"];

/// What one case is.
struct Case {
    state: usize,
    /// Of the state, if it is made now.
    percpu: bool,
    program: String,
}

/// The functions that programs call. Timers that never end leave nobody else any time
/// where the clock counts in ticks, by which their share cannot be measured.
fn functions(session: &Session) -> Result<Vec<String>> {
    let mut functions = lua::functions_of_packets(session)?;
    if is_debug()? {
        functions.retain(|name| !TIMERS.contains(&name.as_str()));
    }
    Ok(functions)
}

fn is_debug() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release.contains("debug"))
}

const TIMERS: &[&str] = &["lunatik.after", "lunatik.every"];

fn case(seed: u64, index: u64, functions: &[String]) -> Case {
    let with_timers = functions.iter().any(|name| TIMERS.contains(&name.as_str()));
    let mut random = Random::new(seed, index);
    let random = &mut random;
    let mut program = String::new();
    for _ in 0..random.within(1, 2) {
        let _ = writeln!(
            program,
            "pcall(function() hooks[#hooks + 1] = require 'netfilter'.register{{family = '{}', \
             hook = '{}', priority = {}, on_error = '{}', function(pkt, ...)\nold = old or pkt\n{}\nend}} end)",
            random.pick(FAMILIES),
            random.pick(HOOKS),
            random.choose(&[-200, 0, 0, 100]),
            random.pick(&["native", "native", "drop"]),
            lua::body(random, functions),
        );
    }
    if with_timers && random.chance(20) {
        let _ = writeln!(
            program,
            "pcall(require 'lunatik'.{}, {}, function(...)\nlocal pkt = old\n{}\nend)",
            random.pick(&["after", "every"]),
            random.within(1, 20),
            lua::body(random, functions),
        );
    }
    Case {
        state: random.below(STATES),
        percpu: random.chance(50),
        program,
    }
}

/// The program of the case `index`.
pub fn show(seed: u64, index: u64) -> Result<String> {
    let functions = functions(&Session::open()?)?;
    Ok(case(seed, index, &functions).program)
}

/// Runs the cases of `plan` in a network namespace of its own; how they ended.
pub fn run(plan: &Plan) -> Result<Tally> {
    let witness = Witness::new()?;
    let plan = *plan;
    check::in_new_netns(move || {
        let way = if is_debug()? { Way::Out } else { Way::Back };
        way.open()?;
        let session = Session::open()?;
        let longest = session.info()?.max_softirq_timeout;
        let all = Arc::new(All {
            seed: plan.seed,
            functions: functions(&session)?,
            timeout: (TIMEOUT * pace::measure(&session)?).min(longest),
            addresses: Addresses::new(),
            witness: Mutex::new(witness),
            running: RwLock::new(()),
            control: session,
        });
        let mut workers = Vec::new();
        for thread in 0..plan.threads {
            workers.push(Fuzzer {
                all: Arc::clone(&all),
                session: Session::open()?,
                traffic: Traffic::new(way)?,
                thread,
                slots: (0..STATES).map(|_| None).collect(),
                done: 0,
            });
        }
        let tally = runner::run(&plan, "programs", workers)?;
        check::clean(&all.control).context("at the end")?;
        Ok(tally)
    })
}

/// What the threads share.
struct All {
    seed: u64,
    functions: Vec<String>,
    timeout: Duration,
    addresses: Addresses,
    witness: Mutex<Witness>,
    /// Who runs a program reads; who checks writes.
    running: RwLock<()>,
    control: Session,
}

struct Slot {
    state: State,
    cases: u64,
    log: u64,
}

struct Fuzzer {
    all: Arc<All>,
    session: Session,
    traffic: Traffic,
    thread: usize,
    slots: Vec<Option<Slot>>,
    done: u64,
}

impl Worker for Fuzzer {
    fn run(&mut self, index: u64, tally: &mut Tally) -> Result<()> {
        let all = Arc::clone(&self.all);
        if index.is_multiple_of(CHECK) {
            let _alone = all.running.write().unwrap_or_else(PoisonError::into_inner);
            let mut witness = all.witness.lock().unwrap_or_else(PoisonError::into_inner);
            witness.check()?;
            check::control(&all.control)?;
        }
        let _running = all.running.read().unwrap_or_else(PoisonError::into_inner);
        let case = case(all.seed, index, &all.functions);
        let mut random = Random::new(all.seed ^ 1, index);
        self.prepare(&case, random.choose(CAPS))?;
        self.case(&case, &mut random, tally)?;
        self.done += 1;
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}

impl Fuzzer {
    /// Makes the state of the case if it is not there or has lived long enough. One that
    /// goes does so with its hooks.
    fn prepare(&mut self, case: &Case, cap: u32) -> Result<()> {
        let slot = &mut self.slots[case.state];
        if slot.as_ref().is_some_and(|one| one.cases < LIFE) {
            return Ok(());
        }
        if let Some(old) = slot.take() {
            old.state.close().context("cannot close the state")?;
        }
        let name = format!("t{}-{}", self.thread, case.state);
        let new = self.session.new_state(&name).context(Where::Softirq);
        let new = new
            .percpu(case.percpu)
            .max_alloc(cap)
            .timeout(self.all.timeout);
        *slot = Some(Slot {
            state: new.create().context("cannot make a state")?,
            cases: 0,
            log: 0,
        });
        Ok(())
    }

    fn case(&mut self, case: &Case, random: &mut Random, tally: &mut Tally) -> Result<()> {
        let slot = self.slots[case.state].as_mut().context("no state")?;
        slot.cases += 1;
        // Those of the last time end, unless a program has spoilt that.
        let code = format!(
            "if type(hooks) == 'table' then
               for _, hook in ipairs(hooks) do pcall(function() hook:unregister() end) end
             end
             hooks = {{}}
             {}",
            case.program
        );
        let before = slot.state.description().context("the state")?;
        match slot.state.do_string(code) {
            Ok(_) => tally.add("program", "ok"),
            Err(error) => {
                let outcome = match error.kind() {
                    ErrorKind::Compile => "syntax error",
                    ErrorKind::Script => "runtime error",
                    ErrorKind::Deadline => "deadline",
                    ErrorKind::OutOfMemory => "out of memory",
                    _ => return Err(error).context("a program"),
                };
                tally.add("program", outcome);
            }
        }
        self.traffic.send(random, tally);
        let after = slot.state.description().context("the state")?;
        self.look(case.state, &before, &after, tally)
    }

    /// Looks at a state from outside.
    fn look(
        &mut self,
        number: usize,
        before: &Description,
        after: &Description,
        tally: &mut Tally,
    ) -> Result<()> {
        let most = u64::from(after.max_alloc) * u64::from(after.replicas);
        ensure!(
            u64::from(after.curr_alloc) <= most && u64::from(after.peak_alloc) <= most,
            "too much memory: {after:?}"
        );
        ensure!(
            after.runs > before.runs && after.runs >= after.errors,
            "{before:?}, and then {after:?}"
        );
        for hook in &after.hooks {
            let verdicts: u64 = hook.verdicts.iter().map(|(_, count)| count).sum();
            ensure!(
                hook.errors >= hook.deadline_kills && hook.calls >= hook.errors,
                "{hook:?}"
            );
            // They are not counted at one moment.
            tally.most("most calls of a hook", hook.calls.max(verdicts));
        }
        for (what, before, after) in [
            ("runs", before.runs, after.runs),
            ("errors", before.errors, after.errors),
            ("deadlines", before.deadline_kills, after.deadline_kills),
        ] {
            tally.sum("callbacks", what, after - before);
        }
        let slot = self.slots[number].as_mut().context("no state")?;
        let log = slot.state.log(Some(slot.log)).context("the log")?;
        slot.log = log.next().unwrap_or(slot.log);
        for line in &log.lines {
            tally.add("log", "line");
            if let Some(address) = self.all.addresses.in_bytes(&line.text) {
                tally.add("address", "in the log, maybe by chance");
                println!("{address:016x} in a line of the log: {:?}", line.text);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_made_from_seed_and_index_alone() {
        let functions = ["pkt.u8".to_owned(), "print".to_owned()];
        let program = |index| case(9, index, &functions).program;
        let mut with_packets = 0;
        for index in 0..100 {
            assert_eq!(program(index), program(index));
            with_packets += usize::from(program(index).contains("pkt.u8"));
        }
        assert!(with_packets > 30, "{with_packets}");
    }
}
