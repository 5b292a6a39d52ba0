// SPDX-License-Identifier: MIT OR Apache-2.0
//! Speed and memory, measured in VMs by the program of `bench/`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use figures::{Comparison, Listed, Machine, Record, Run};

use crate::guest::{Failure, Guest, Sink};
use crate::kernel::{Kernel, Version};
use crate::kmod::Module;
use crate::load::Ticks;
use crate::machine::Pace;
use crate::step::Step;
use crate::vm::Vm;
use crate::{artifacts, command, host};

/// How long one VM may take with all of its cases.
const LIMIT: Duration = Duration::from_mins(15);
/// In MiB, of which 10,000 states need a third.
const MEMORY: u32 = 1024;
const PROGRAM: &str = "/usr/bin/lunatik-bench";
/// The status when something could not be measured, of the program and of ours.
const UNMEASURED: i32 = 2;

/// What to measure.
#[derive(Args)]
pub(crate) struct BenchTask {
    /// The kernel to boot
    #[arg(long, default_value = "6.12")]
    kernel: Version,
    /// Show what changed from this earlier run, a file of `target/bench`
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Print the groups and their cases
    #[arg(long)]
    list: bool,
    /// A group, or a part of the names of cases [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Measures, prints and writes; the status is 1 if a target is missed.
pub(crate) fn run(task: &BenchTask) -> Result<i32> {
    ensure!(
        !task.kernel.is_debug(),
        "what the debug kernel takes tells nothing: its checkers are most of it"
    );
    let before = task.compare.as_deref().map(read).transpose()?;
    let program = artifacts::bench()?;
    let cases = choose(list(&program)?, &task.names)?;
    if task.list {
        let mut out = io::stdout().lock();
        for case in cases {
            writeln!(out, "{}", case.id())?;
        }
        return Ok(0);
    }
    host::ensure_vm(&[task.kernel])?;
    let kernel = Kernel::get(task.kernel)?;
    let mut machines = Machines {
        kernel: &kernel,
        program: &program,
        hardware: Path::new("/dev/kvm").exists(),
    };
    let mut run = Run {
        kernel: task.kernel.to_string(),
        release: kernel.release.clone(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        names: task.names.clone(),
        cpus: u32::try_from(thread::available_parallelism()?.get())?,
        others: 0.0,
        hardware: false,
        figures: Vec::new(),
    };
    let begin = Ticks::now()?;
    let mut measured = true;
    for machine in Machine::ALL {
        measured &= machines.measure(machine, &cases, &mut run)?;
    }
    run.hardware = machines.hardware;
    run.others = begin.others(Ticks::now()?, run.cpus);
    let path = write(&run)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{run}")?;
    if let Some(before) = &before {
        writeln!(out, "\n{}", Comparison::of(before, &run))?;
    }
    writeln!(out, "written to {}", path.display())?;
    Ok(if measured {
        i32::from(run.missed() > 0)
    } else {
        UNMEASURED
    })
}

/// The cases that any of the names means, or all.
fn choose(cases: Vec<Listed>, names: &[String]) -> Result<Vec<Listed>> {
    if names.is_empty() {
        return Ok(cases);
    }
    let mut chosen = Vec::new();
    for name in names {
        let meant = Listed::meant_by(&cases, name);
        if meant.is_empty() {
            bail!("no group and no case is called {name}; --list shows them");
        }
        chosen.extend(meant);
    }
    let is_chosen = |case: &&Listed| chosen.contains(case);
    Ok(cases.iter().filter(is_chosen).cloned().collect())
}

/// Every case: the program tells them on this machine, too.
fn list(program: &Path) -> Result<Vec<Listed>> {
    let text = command::text(std::process::Command::new(program).arg("list"))?;
    let cases = text.lines().map(serde_json::from_str);
    Ok(cases.collect::<Result<_, _>>()?)
}

fn read(path: &Path) -> Result<Run> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no run", path.display()))
}

fn write(run: &Run) -> Result<PathBuf> {
    let folder = host::workspace()?.join("target/bench");
    fs::create_dir_all(&folder)?;
    let name = format!("{}-{}.json", run.kernel, run.started.replace(':', ""));
    let path = folder.join(name);
    let mut text = serde_json::to_vec_pretty(run)?;
    text.push(b'\n');
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

struct Machines<'a> {
    kernel: &'a Kernel,
    program: &'a Path,
    /// Whether KVM works, as far as it has been tried.
    hardware: bool,
}

impl Machines<'_> {
    /// Measures those of the cases that are for `machine`; false if one of them could not be measured.
    fn measure(&mut self, machine: Machine, cases: &[Listed], run: &mut Run) -> Result<bool> {
        let names: Vec<String> = cases
            .iter()
            .filter(|case| case.machines.contains(&machine))
            .map(|case| command::quote(&case.id()))
            .collect();
        if names.is_empty() {
            return Ok(true);
        }
        let mut guest = self.boot(machine)?;
        let mut step = Step::new(match machine {
            Machine::Counted => "counting instructions",
            Machine::Clock => "measuring time",
            Machine::Pair => "measuring time on two CPUs",
        });
        step.now("");
        let mut records = Records {
            machine,
            run,
            step,
            line: Vec::new(),
        };
        let command = format!("exec {PROGRAM} run {machine} {}", names.join(" "));
        let status = guest.run(&command, &mut records, Some(LIMIT))?;
        ensure!(
            status == 0 || status == UNMEASURED,
            "the measuring program ended with {status}"
        );
        Ok(status == 0)
    }

    fn boot(&mut self, machine: Machine) -> Result<Guest> {
        let untimed = self.kernel.build(Module::Untimed)?;
        let hook = self.kernel.build(Module::Hook)?;
        let vm = |pace| {
            let vm = Vm::new(self.kernel)
                .memory(MEMORY)
                .smp(if machine == Machine::Pair { 2 } else { 1 })
                .program(self.program, PROGRAM)
                .pace(pace);
            vm.file(&untimed)?.file(&hook)
        };
        if machine == Machine::Counted {
            return vm(Pace::Counted)?.boot();
        }
        if self.hardware {
            match vm(Pace::Hardware)?.boot() {
                Ok(guest) => return Ok(guest),
                Err(error) if matches!(error.downcast_ref(), Some(Failure::Interrupted)) => {
                    return Err(error);
                }
                Err(_) => {
                    eprintln!("KVM does not work here: times are those of an emulated machine");
                    self.hardware = false;
                }
            }
        }
        vm(Pace::Emulated)?.boot()
    }
}

/// Takes what the program prints.
struct Records<'a> {
    machine: Machine,
    run: &'a mut Run,
    step: Step,
    /// The begin of a line whose end has not come.
    line: Vec<u8>,
}

impl Sink for Records<'_> {
    fn output(&mut self, data: &[u8]) -> io::Result<()> {
        self.line.extend(data);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let record: Record = serde_json::from_slice(&line)?;
            self.step.now(&format!("{}: {}", record.group, record.case));
            self.run.add(self.machine, record);
        }
        Ok(())
    }

    fn error(&mut self, data: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(group: &str, case: &str) -> Listed {
        Listed {
            group: group.to_owned(),
            case: case.to_owned(),
            machines: vec![Machine::Clock],
        }
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>> {
        let cases = vec![
            case("calls", "DOSTRING"),
            case("calls", "SENDDATA"),
            case("lua", "sort"),
        ];
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Ok(choose(cases, &names)?.iter().map(Listed::id).collect())
    }

    #[test]
    fn names_choose_cases() {
        assert_eq!(chosen(&[]).unwrap().len(), 3);
        assert_eq!(
            chosen(&["calls"]).unwrap(),
            ["calls: DOSTRING", "calls: SENDDATA"]
        );
        assert_eq!(
            chosen(&["so", "senddata"]).unwrap(),
            ["calls: SENDDATA", "lua: sort"]
        );
        let error = chosen(&["calls", "nothing"]).unwrap_err();
        assert!(error.to_string().contains("called nothing"), "{error}");
    }

    #[test]
    fn records_come_in_parts() {
        let mut run = Run {
            kernel: "6.12".to_owned(),
            release: String::new(),
            started: String::new(),
            names: Vec::new(),
            cpus: 1,
            others: 0.0,
            hardware: false,
            figures: Vec::new(),
        };
        let mut records = Records {
            machine: Machine::Counted,
            run: &mut run,
            step: Step::new(""),
            line: Vec::new(),
        };
        let line = r#"{"group":"g","case":"c","against":null,"unit":"time","target":{"at_most":1.0},"samples":[2.0],"baseline":[]}"#;
        let text = format!("{line}\n{line}\n");
        let (begin, end) = text.as_bytes().split_at(30);
        records.output(begin).unwrap();
        records.output(end).unwrap();
        assert!(records.output(b"no record\n").is_err());
        assert_eq!((run.figures.len(), run.missed()), (1, 1));
    }
}
