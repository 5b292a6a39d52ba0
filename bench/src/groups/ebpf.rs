// SPDX-License-Identifier: MIT OR Apache-2.0
//! eBPF programs that call Lua, and Lua that calls eBPF programs, all run as `bpftool prog run` does it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use figures::{Machine, Record, Target, Unit};
use libbpf_rs::Program;
use lunatik::{Session, State};
use lunatik_bpf::tc::{self, Direction};
use lunatik_bpf::xdp::{self, Mode};

use crate::bpf::{self, Pin, Programs, TAIL_CALLS};
use crate::case::{Case, Report};
use crate::{netns, states};

const GROUP: &str = "ebpf";
const ROUNDS: usize = 7;
const XDP_PASS: u32 = 2;
const TC_ACT_OK: u32 = 0;
/// Calls of a function that is called for a packet.
const CALLS: u32 = 16;
const DEVICE: &str = "lo";
/// Among how many states a program finds its own.
const STATES: u32 = 10_000;
/// What that may cost with the most, in what it costs where there is one.
const MAX_RATIO: f64 = 1.1;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::other(GROUP, "XDP", |report| in_namespace(report, measure_xdp))
            .on(&[Machine::Counted, Machine::Clock]),
        Case::other(GROUP, "one of many", |report| {
            in_namespace(report, measure_lookup)
        })
        .on(&[Machine::Counted]),
        // A clock is not exact enough for differences.
        Case::other(GROUP, "calls of programs", |report| {
            in_namespace(report, measure_calls)
        })
        .on(&[Machine::Counted]),
    ]
}

/// Measures in a namespace of its own, whose states only these programs know.
fn in_namespace(report: Report<'_>, measure: fn() -> Result<Vec<Record>>) -> Result<()> {
    netns::in_new(measure)?.into_iter().try_for_each(report)
}

/// Where programs of a type are attached, and what they say of a packet that may pass.
#[derive(Clone, Copy)]
enum Kind {
    Xdp,
    Tc,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }

    fn verdict(self) -> u32 {
        match self {
            Self::Xdp => XDP_PASS,
            Self::Tc => TC_ACT_OK,
        }
    }
}

/// A state, and the program of `lunatikctl xdp attach` or `tc attach` that hands it packets.
struct Attached {
    state: State,
    program: OwnedFd,
    kind: Kind,
}

impl Attached {
    /// `script` gives the function, for which `OK` is the verdict of a packet that may pass.
    fn new(kind: Kind, script: &str) -> Result<Self> {
        let state = states::softirq(false)?;
        let (library, verdict) = (kind.name(), kind.verdict());
        state.do_string(format!(
            "local OK = {verdict}
             require '{library}'.register((function() {script} end)())"
        ))?;
        let target = lunatik_bpf::Target {
            state: state.description()?.id,
            arg: 0,
        };
        // It is not for the device's packets, of which there are none: attached it can be found.
        let id = match kind {
            Kind::Xdp => {
                xdp::attach(DEVICE, Some(Mode::Generic), target, false)?;
                xdp::list()?.first().map(|attached| attached.program)
            }
            Kind::Tc => {
                tc::attach(DEVICE, Direction::Ingress, None, target)?;
                tc::list()?.first().map(|attached| attached.program)
            }
        };
        let program = Program::fd_from_id(id.context("no program is attached")?)?;
        match kind {
            Kind::Xdp => xdp::detach(DEVICE, None)?,
            Kind::Tc => tc::detach(DEVICE, None, None)?,
        }
        Ok(Self {
            state,
            program,
            kind,
        })
    }

    fn run(&self) -> Result<f64> {
        const TRIES: usize = 20;
        for _ in 0..TRIES {
            let run = || bpf::run(self.program.as_fd(), self.kind.verdict());
            if let Some(time) = states::undisturbed(Some(&self.state), run)? {
                return Ok(time);
            }
            // Until the hook may run again.
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the CPU has too much other work");
    }

    /// Makes sure that what was measured was the function.
    fn close(self) -> Result<()> {
        let runs = u64::from(bpf::RUNS) * (ROUNDS as u64 + 1);
        states::check_calls(&self.state, runs)
    }
}

/// Measures each in turn, ROUNDS times; the first of all is to warm up.
fn in_turn<const N: usize>(
    mut sides: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[Vec<f64>; N]> {
    let mut all = std::array::from_fn(|_| Vec::new());
    for round in 0..=ROUNDS {
        for (side, samples) in sides.iter_mut().zip(&mut all) {
            let sample = side()?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(all)
}

fn measure_xdp() -> Result<Vec<Record>> {
    let mut programs = Programs::load()?;
    let mut port = Programs::load()?;
    let returns = Attached::new(Kind::Xdp, "return function() return OK end")?;
    let reads = Attached::new(
        Kind::Xdp,
        "local DROP = require 'xdp'.DROP
         return function(pkt)
           if pkt:u16(36) == 53 then return DROP end
           return OK
         end",
    )?;
    let [bare, filter, returns_samples, reads_samples] = in_turn([
        &mut || programs.run("pass_xdp", XDP_PASS),
        &mut || port.run("port_xdp", XDP_PASS),
        &mut || returns.run(),
        &mut || reads.run(),
    ])?;
    returns.close()?;
    reads.close()?;
    let bare_name = "XDP_PASS in eBPF";
    let record = |case, samples| Record::new(GROUP, case, Unit::Time, samples);
    Ok(vec![
        record("XDP, Lua that returns PASS", returns_samples).against(bare_name, bare.clone()),
        record("XDP, Lua that compares the port", reads_samples)
            .against("the same in eBPF", filter.clone()),
        record("XDP, the same in eBPF", filter).against(bare_name, bare),
    ])
}

/// Programs know their state by its id.
fn measure_lookup() -> Result<Vec<Record>> {
    let attached = Attached::new(Kind::Xdp, "return function() return OK end")?;
    let mut run = || attached.run();
    let [alone] = in_turn([&mut run])?;
    let session = Session::open()?;
    let others: lunatik::Result<Vec<_>> = (1..STATES)
        .map(|_| session.new_state(&states::name()).ephemeral(true).create())
        .collect();
    let others = others?;
    let [among] = in_turn([&mut run])?;
    drop(others);
    attached.close()?;
    Ok(vec![
        Record::new(GROUP, "XDP, the first of 10,000 states", Unit::Time, among)
            .against("the only one", alone)
            .target(Target::AtMost(MAX_RATIO)),
    ])
}

/// What calls take, each of them.
struct Calls {
    /// Of an eBPF program by another one's tail call.
    tail: Vec<f64>,
    /// Of a function written in C by Lua.
    function: Vec<f64>,
    /// Of an eBPF program by Lua.
    program: Vec<f64>,
}

fn measure_calls() -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for (kind, name) in [(Kind::Xdp, "XDP"), (Kind::Tc, "TC")] {
        let Calls {
            tail,
            function,
            program,
        } = calls_of(kind)?;
        let bound: Vec<f64> = tail
            .iter()
            .zip(&function)
            .map(|(tail, function)| 2.0 * tail + function)
            .collect();
        let record =
            |case, samples| Record::new(GROUP, format!("{name}, {case}"), Unit::Time, samples);
        let call = "Lua's call of a C function";
        records.push(
            record("prog(pkt)", program)
                .against(format!("2 tail calls, and {call}"), bound)
                .target(Target::AtMost(1.0)),
        );
        records.push(record(call, function).against("a tail call", tail));
    }
    Ok(records)
}

fn calls_of(kind: Kind) -> Result<Calls> {
    let (name, verdict) = (kind.name(), kind.verdict());
    let (pass, hop, array) = (
        format!("pass_{name}"),
        format!("hop_{name}"),
        format!("chain_{name}"),
    );
    let mut alone = Programs::load()?;
    let mut chained = Programs::load()?;
    chained.chain(&hop, &array, true)?;
    let pin: Pin = alone.pin(&pass)?;
    // All have a function at hand, and only some call it.
    let attach = |function: &str, calls: u32| {
        let calls = "f(pkt) ".repeat(calls as usize);
        let script = format!(
            "local prog = require 'bpf'.prog '{}'
             return function(pkt) local f = {function} {calls} return OK end",
            pin.path().display()
        );
        Attached::new(kind, &script)
    };
    // A method that only looks whether the packet is that in hand.
    let function = [attach("pkt.arg", 0)?, attach("pkt.arg", CALLS)?];
    let program = [attach("prog", 0)?, attach("prog", CALLS)?];
    let [one, many, no_function, functions, no_program, called] = in_turn([
        &mut || alone.run(&hop, verdict),
        &mut || chained.run(&hop, verdict),
        &mut || function[0].run(),
        &mut || function[1].run(),
        &mut || program[0].run(),
        &mut || program[1].run(),
    ])?;
    chained.chain(&hop, &array, false)?;
    for attached in function.into_iter().chain(program) {
        attached.close()?;
    }
    let each = |with: &[f64], without: &[f64], calls: u32| -> Vec<f64> {
        with.iter()
            .zip(without)
            .map(|(with, without)| (with - without) / f64::from(calls))
            .collect()
    };
    Ok(Calls {
        tail: each(&many, &one, TAIL_CALLS),
        function: each(&functions, &no_function, CALLS),
        program: each(&called, &no_program, CALLS),
    })
}
