// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that work at our word: a line says how much, and a line is the answer.

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::case::{Operation, each};
use crate::pair::Pair;
use crate::states;
use crate::window::Window;

/// A process that answers lines with lines. It ends when this is dropped.
pub(crate) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("it has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// A process of this program that does `job`, in a state of its own, if it takes one.
    pub(crate) fn of(job: Job) -> Result<Self> {
        Self::spawn(&mut Self::command(job)?)
    }

    /// The same on one CPU only, in the calling thread's namespace.
    pub(crate) fn on(cpu: usize, job: Job) -> Result<Self> {
        Self::spawn(Self::command(job)?.arg(cpu.to_string()))
    }

    fn command(job: Job) -> Result<Command> {
        let name = job.to_possible_value().context("a job has a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["work", name.get_name()]);
        Ok(command)
    }

    pub(crate) fn tell(&mut self, line: impl std::fmt::Display) -> Result<()> {
        let input = self.input.as_mut().context("it has no input")?;
        Ok(input.write_all(format!("{line}\n").as_bytes())?)
    }

    pub(crate) fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "a worker ended");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is its end; what it then says is of no interest.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// What all of them together do in a second, in a window of that length.
pub(crate) fn rate(workers: &mut [Worker], length: Duration) -> Result<f64> {
    let window = Window::soon(length)?;
    for worker in &mut *workers {
        worker.tell(window)?;
    }
    let mut sum = 0.0;
    for worker in workers {
        sum += worker.answer()?.parse::<f64>()?;
    }
    Ok(sum)
}

/// What a packet carries.
pub(crate) const PACKET: usize = 256;

/// What a process of this program can do.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Job {
    /// DOSTRING `return 1`
    Dostring,
    /// Nothing that any other process could be in the way of
    Spin,
    /// A packet of [`PACKET`] bytes from one socket to another
    Packet,
}

impl Job {
    fn operation(self) -> Result<Operation> {
        match self {
            Self::Dostring => {
                let state = states::state("")?;
                Ok(each(move || Ok(state.do_string("return 1").map(drop)?)))
            }
            Self::Spin => Ok(each(|| {
                (0..10_000).for_each(|n| {
                    black_box(n);
                });
                Ok(())
            })),
            Self::Packet => {
                let pair = Pair::open(PACKET)?;
                Ok(each(move || pair.pass()))
            }
        }
    }
}

/// Does `job` in the window that each line says, and answers how often in a second.
pub(crate) fn work(job: Job, cpu: Option<usize>) -> Result<()> {
    if let Some(cpu) = cpu {
        let mut cpus = CpuSet::new();
        cpus.set(cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
    }
    let mut operation = job.operation()?;
    for line in io::stdin().lines() {
        let window: Window = line?.parse()?;
        println!("{}", window.rate(&mut operation)?);
    }
    Ok(())
}

/// `lua5.4` with the module `lunatik`.
pub(crate) struct Lua;

impl Lua {
    /// An operation that is a Lua function: what `script` returns, which has `lunatik` and a `NAME` for a state.
    pub(crate) fn operation(script: &str) -> Result<Operation> {
        const LOOP: &str = "\
            for line in io.lines() do
              for _ = 1, math.tointeger(line) do operation() end
              print 'done'
              io.stdout:flush()
            end";
        let script = format!(
            "local lunatik, NAME = require 'lunatik', '{}'
            local operation = (function() {script} end)()
            {LOOP}",
            states::name()
        );
        let mut worker = Worker::spawn(Command::new("lua5.4").args(["-e", &script]))?;
        Ok(Box::new(move |count| {
            worker.tell(count)?;
            let answer = worker.answer()?;
            ensure!(answer == "done", "lua5.4 said {answer}");
            Ok(())
        }))
    }
}
