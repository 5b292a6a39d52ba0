// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that run cases, watched.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{Limit, Plan, Tally};

/// How long one case may take before the module counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often to tell how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What one thread does.
pub(crate) trait Worker: Send + 'static {
    /// Runs a case and checks what came of it.
    fn run(&mut self, index: u64, tally: &mut Tally) -> Result<()>;

    /// How many things, such as messages, cases are made of so far.
    fn done(&self) -> u64;
}

struct Shared {
    stop: AtomicBool,
    /// By thread: its case, and how many things it has done.
    places: Vec<(AtomicU64, AtomicU64)>,
}

/// Runs the cases of `plan`, of which the thread n has each whose index leaves the
/// rest n; `what` is the name of the things that [`Worker::done`] counts.
pub(crate) fn run<W: Worker>(plan: &Plan, what: &str, workers: Vec<W>) -> Result<Tally> {
    let start = Instant::now();
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        places: workers.iter().map(|_| Default::default()).collect(),
    });
    let (sender, results) = sync_channel(workers.len());
    let threads = workers.len();
    for (thread, worker) in workers.into_iter().enumerate() {
        let (plan, shared, sender) = (*plan, Arc::clone(&shared), sender.clone());
        thread::spawn(move || {
            let result = work(&plan, thread, &shared, worker, start);
            // Nobody waits any more if another thread is stuck.
            let _ = sender.send(result);
        });
    }
    drop(sender);

    let mut tally = Tally::default();
    let mut failure = None;
    let mut left = threads;
    let mut told = start;
    let mut moved: Vec<(u64, Instant)> = vec![(u64::MAX, start); threads];
    while left > 0 {
        match results.recv_timeout(Duration::from_millis(500)) {
            Ok(result) => {
                left -= 1;
                match result {
                    Ok(part) => tally.merge(&part),
                    Err(error) => {
                        shared.stop.store(true, Relaxed);
                        failure.get_or_insert(error);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                failure.get_or_insert_with(|| anyhow!("a thread panicked"));
                break;
            }
        }
        for (place, moved) in shared.places.iter().zip(&mut moved) {
            let index = place.0.load(Relaxed);
            if index != moved.0 {
                *moved = (index, Instant::now());
            } else if index != u64::MAX && moved.1.elapsed() > PATIENCE {
                bail!("case {index}: no answer within {} s", PATIENCE.as_secs());
            }
        }
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            println!("{}", progress(&shared, what, start));
        }
    }
    println!("{}", progress(&shared, what, start));
    match failure {
        Some(error) => Err(error),
        None => Ok(tally),
    }
}

fn work(
    plan: &Plan,
    thread: usize,
    shared: &Shared,
    mut worker: impl Worker,
    start: Instant,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut log = plan.trace.then(kernel_log).transpose()?;
    let place = &shared.places[thread];
    let step = shared.places.len() as u64;
    let mut index = plan.first + thread as u64;
    while !shared.stop.load(Relaxed) {
        let more = match plan.limit {
            Limit::Cases(count) => index - plan.first < count,
            Limit::Time(time) => start.elapsed() < time,
        };
        if !more {
            break;
        }
        place.0.store(index, Relaxed);
        if let Some(log) = &mut log {
            log.write_all(format!("fuzz: case {index}").as_bytes())?;
        }
        worker
            .run(index, &mut tally)
            .with_context(|| format!("case {index}"))?;
        place.1.store(worker.done(), Relaxed);
        index += step;
    }
    // The end is no case that could be stuck.
    place.0.store(u64::MAX, Relaxed);
    Ok(tally)
}

fn kernel_log() -> Result<File> {
    let path = "/dev/kmsg";
    let log = OpenOptions::new().write(true).open(path);
    log.with_context(|| format!("cannot write {path}"))
}

fn progress(shared: &Shared, what: &str, start: Instant) -> String {
    let places = shared.places.iter();
    let done: u64 = places.map(|place| place.1.load(Relaxed)).sum();
    let places = shared.places.iter().map(|place| place.0.load(Relaxed));
    let at = places.filter(|&index| index != u64::MAX).min();
    let time = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let rate = done as f64 / time;
    let at = at.map_or(String::new(), |index| format!(", at case {index}"));
    format!("{time:.0} s: {done} {what}, {rate:.0} per second{at}")
}
