// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that are called for packets, and packets for them.

mod traffic;

use std::{fmt::Write as _, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use lunatik::{Context as Where, Description, ErrorKind, Session};

use crate::{
    Plan, Tally,
    check::{self, Witness},
    lua, pace,
    programs::{Common, Slot},
    random::Random,
    runner::{self, Worker},
};
use traffic::Traffic;

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

fn case(seed: u64, index: u64, functions: &[String]) -> Case {
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
    if random.chance(20) {
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
    let functions = lua::functions_of_packets(&Session::open()?)?;
    Ok(case(seed, index, &functions).program)
}

/// Runs the cases of `plan` in a network namespace of its own; how they ended.
pub fn run(plan: &Plan) -> Result<Tally> {
    let witness = Witness::new()?;
    let plan = *plan;
    check::in_new_netns(move || {
        traffic::open_loopback()?;
        let session = Session::open()?;
        let longest = session.info()?.max_softirq_timeout;
        let timeout = (TIMEOUT * pace::measure(&session)?).min(longest);
        let functions = lua::functions_of_packets(&session)?;
        let all = Arc::new(Common::new(plan.seed, functions, witness, session));
        let mut workers = Vec::new();
        for thread in 0..plan.threads {
            workers.push(Fuzzer {
                all: Arc::clone(&all),
                timeout,
                session: Session::open()?,
                traffic: Traffic::new()?,
                thread,
                slots: (0..STATES).map(|_| None).collect(),
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
    /// Of packets' programs.
    timeout: Duration,
    session: Session,
    traffic: Traffic,
    thread: usize,
    slots: Vec<Option<Slot>>,
    done: u64,
}

impl Worker for Fuzzer {
    fn run(&mut self, index: u64, tally: &mut Tally) -> Result<()> {
        let all = Arc::clone(&self.all);
        let _turn = all.turn(index, CHECK)?;
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
        let name = format!("t{}-{}", self.thread, case.state);
        let new = self.session.new_state(&name).context(Where::Softirq);
        let new = new.percpu(case.percpu).max_alloc(cap).timeout(self.timeout);
        Slot::renew(&mut self.slots[case.state], LIFE, new).map(drop)
    }

    fn case(&mut self, case: &Case, random: &mut Random, tally: &mut Tally) -> Result<()> {
        let slot = self.slots[case.state].as_mut().context("no state")?;
        slot.programs += 1;
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
        slot.read_log(&self.all.addresses, tally)
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
