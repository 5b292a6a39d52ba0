// SPDX-License-Identifier: MIT OR Apache-2.0
//! What calls cost, next to the least that a round trip costs, and what a state needs.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lunatik::{Session, State};

use crate::median;
use crate::nlctrl::Nlctrl;
use crate::report::Report;

const BATCHES: usize = 7;
const OPERATIONS: u32 = 300;
/// What a batch leaves to be done later is done in this time, which counts for nobody.
const PAUSE: Duration = Duration::from_millis(100);
/// What `DOSTRING` may cost, in baselines.
const MAX_RATIO: f64 = 2.0;
/// What an empty state may need, in bytes.
const MAX_ALLOC: u32 = 16 << 10;

/// One kind of operation, and what it took, batch by batch.
struct Case<'a> {
    name: &'static str,
    target: Option<f64>,
    operation: Box<dyn FnMut() -> Result<()> + 'a>,
    times: Vec<Duration>,
}

impl<'a> Case<'a> {
    fn new(
        name: &'static str,
        target: Option<f64>,
        operation: impl FnMut() -> Result<()> + 'a,
    ) -> Self {
        Self {
            name,
            target,
            operation: Box::new(operation),
            times: Vec::new(),
        }
    }

    /// The time of an operation in a batch of them.
    fn batch(&mut self) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..OPERATIONS {
            (self.operation)().context(self.name)?;
        }
        Ok(start.elapsed() / OPERATIONS)
    }
}

pub(crate) fn measure() -> Result<Report> {
    let session = Session::open()?;
    let empty = session.new_state("empty").ephemeral(true).create()?;
    let memory = memory(&empty)?;
    let receiver = session.new_state("receiver").ephemeral(true).create()?;
    receiver.do_string("require 'lunatik'.receive(function(d) return d end)")?;
    let data = vec![b'x'; 1 << 10];
    let mut nlctrl = Nlctrl::open()?;

    let mut cases = [
        Case::new("GETFAMILY nlctrl, the baseline", None, || {
            nlctrl.get_family()
        }),
        Case::new("DOSTRING return 1", Some(MAX_RATIO), || {
            let values = empty.do_string("return 1")?;
            ensure!(values[0].as_integer() == Some(1), "another result");
            Ok(())
        }),
        Case::new("SENDDATA 1 KiB, answered with the same", None, || {
            let answer = receiver.send_data(&data)?;
            ensure!(answer.as_deref() == Some(&data[..]), "another answer");
            Ok(())
        }),
        Case::new("NEWSTATE and CLOSE", None, || {
            Ok(session.new_state("new").create()?.close()?)
        }),
    ];
    // Batch by batch in turn: what changes over time changes for all. The first is to warm up.
    for batch in 0..=BATCHES {
        for case in &mut cases {
            let time = case.batch()?;
            if batch > 0 {
                case.times.push(time);
            }
            thread::sleep(PAUSE);
        }
    }

    let mut report = Report::new(["one operation", "instructions", "ratio"]);
    let medians = cases.map(|case| (case.name, case.target, median(case.times)));
    let baseline = medians[0].2;
    for (name, target, time) in medians {
        let ratio = time.div_duration_f64(baseline);
        let cells = [
            name.to_owned(),
            time.as_nanos().to_string(),
            format!("{ratio:.2}"),
        ];
        match target {
            Some(target) => report.held(cells, format!("{target:.2}"), ratio <= target),
            None => report.row(cells),
        }
    }
    report.held(
        [
            "bytes of an empty state".to_owned(),
            memory.to_string(),
            String::new(),
        ],
        MAX_ALLOC.to_string(),
        memory <= MAX_ALLOC,
    );
    Ok(report)
}

/// What a state uses that has all of its libraries and nothing else.
fn memory(state: &State) -> Result<u32> {
    let description = state.snapshot().context("a new state has a description")?;
    Ok(description.curr_alloc)
}
