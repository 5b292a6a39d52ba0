// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages to the family: valid ones, nearly valid ones and noise, on several
//! sockets of several threads.

mod answers;
mod family;
mod make;
mod message;
mod mutate;
mod scripts;
mod socket;
mod spec;
mod values;

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, bail, ensure};
use lunatik::Session;

use self::{
    answers::{Answers, Sent},
    make::{Read, SOCKETS, Step},
    message::{Message, World},
    socket::{Datagram, Socket},
};
use crate::{
    Plan, Tally,
    check::{self, Witness},
    pace,
    random::Random,
    runner::{self, Worker},
};

/// Cases between two checks that the module still works.
const CHECK: u64 = 500;
/// Checks between two that nothing is left when everything is closed.
const CLEAN: u64 = 8;

/// The case `index` in words and bytes.
pub fn show(seed: u64, index: u64) -> String {
    let step = make::step(&mut Random::new(seed, index));
    let mut text = format!("case {index}: {step:#?}");
    if let Step::Send { messages, .. } = &step {
        let world = World::unknown();
        let mut bytes = Vec::new();
        for message in messages {
            message.encode(&world, 0, &mut bytes);
        }
        let _ = write!(text, "\n{} bytes:", bytes.len());
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
    }
    text
}

/// Runs the cases of `plan` in a network namespace of its own; what was answered.
pub fn run(plan: &Plan) -> Result<Tally> {
    let witness = Witness::new()?;
    let plan = *plan;
    check::in_new_netns(move || {
        let all = Arc::new(All::new(&plan, witness)?);
        let workers = (0..plan.threads).map(|thread| Fuzzer {
            all: Arc::clone(&all),
            seed: plan.seed,
            thread,
            sent: 0,
            // An error repeats the request, unless told not to.
            buffer: vec![0; 1 << 20],
        });
        let tally = runner::run(&plan, "messages", workers.collect())?;
        all.clean().context("at the end")?;
        Ok(tally)
    })
}

/// A socket and what it is due.
struct Place {
    socket: Socket,
    port: u32,
    answers: Answers,
    sequence: u32,
}

impl Place {
    fn open(port: u32) -> Result<Self> {
        Ok(Self {
            socket: Socket::open(port)?,
            port,
            answers: Answers::default(),
            sequence: 0,
        })
    }
}

/// What the threads share.
struct All {
    world: World,
    groups: [u32; 2],
    /// By thread.
    places: Vec<Mutex<Vec<Place>>>,
    control: Session,
    /// Who runs a case reads; who checks writes.
    checks: RwLock<Checks>,
}

struct Checks {
    witness: Witness,
    count: u64,
}

impl All {
    fn new(plan: &Plan, witness: Witness) -> Result<Self> {
        let (family, groups) = family::resolve()?;
        let control = Session::open()?;
        let mut places = Vec::new();
        let mut ports = Vec::new();
        for thread in 0..plan.threads {
            let mut own = Vec::new();
            for socket in 0..SOCKETS {
                let port = 1 + thread * SOCKETS + socket;
                let port = u32::try_from(port)? << 20;
                own.push(Place::open(port)?);
                ports.push(port);
            }
            places.push(Mutex::new(own));
        }
        Ok(Self {
            world: World {
                family,
                ports,
                newest: AtomicU32::new(0),
                pace: pace::measure(&control)?,
            },
            groups,
            places,
            control,
            checks: RwLock::new(Checks { witness, count: 0 }),
        })
    }

    fn places(&self, thread: usize) -> MutexGuard<'_, Vec<Place>> {
        self.places[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the module works, while no case runs.
    fn check(&self) -> Result<()> {
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.count += 1;
        checks.witness.check()?;
        check::control(&self.control)?;
        if checks.count.is_multiple_of(CLEAN) {
            self.clean()?;
        }
        Ok(())
    }

    /// Closes everything, of which nothing may be left.
    fn clean(&self) -> Result<()> {
        for thread in 0..self.places.len() {
            for place in self.places(thread).iter_mut() {
                reopen(place)?;
            }
        }
        check::clean(&self.control)
    }
}

fn reopen(place: &mut Place) -> Result<()> {
    // The port id must be free first.
    let port = place.port;
    place.socket = Socket::open(0)?;
    let sequence = place.sequence;
    *place = Place::open(port)?;
    place.sequence = sequence;
    Ok(())
}

struct Fuzzer {
    all: Arc<All>,
    seed: u64,
    thread: usize,
    /// How many messages.
    sent: u64,
    buffer: Vec<u8>,
}

impl Worker for Fuzzer {
    fn run(&mut self, index: u64, tally: &mut Tally) -> Result<()> {
        if index.is_multiple_of(CHECK) {
            self.all.check()?;
        }
        let all = Arc::clone(&self.all);
        let checks = all.checks.read().unwrap_or_else(PoisonError::into_inner);
        let mut places = all.places(self.thread);
        let step = make::step(&mut Random::new(self.seed, index));
        match step {
            Step::Send {
                socket,
                messages,
                read,
            } => {
                let place = &mut places[socket];
                self.send(place, &messages)?;
                self.read(place, read, tally)?;
            }
            Step::Noise { socket, bytes } => {
                let place = &mut places[socket];
                place.answers.expect(&bytes, all.world.family, &[]);
                place.socket.send(&bytes)?;
                self.read(place, Read::All, tally)?;
            }
            Step::Read { socket, read } => self.read(&mut places[socket], read, tally)?,
            Step::Reopen { socket } => reopen(&mut places[socket])?,
            Step::Group {
                socket,
                group,
                join,
            } => places[socket].socket.group(all.groups[group], join)?,
            Step::Option { socket, which, on } => places[socket].socket.set(which, on)?,
        }
        drop(checks);
        Ok(())
    }

    fn done(&self) -> u64 {
        self.sent
    }
}

impl Fuzzer {
    fn send(&mut self, place: &mut Place, messages: &[Message]) -> Result<()> {
        let world = &self.all.world;
        let mut bytes = Vec::new();
        let mut sent = Vec::with_capacity(messages.len());
        for message in messages {
            // 0 is for what comes unasked.
            place.sequence = (place.sequence % 0x00ff_ffff) + 1;
            sent.push(Sent {
                at: bytes.len(),
                label: message.label,
                refuse: message.refuse,
            });
            message.encode(world, place.sequence, &mut bytes);
        }
        self.sent += messages.len() as u64;
        place.answers.expect(&bytes, world.family, &sent);
        place.socket.send(&bytes)
    }

    fn read(&mut self, place: &mut Place, read: Read, tally: &mut Tally) -> Result<()> {
        let size = match read {
            Read::Nothing => return Ok(()),
            Read::Cut => 24,
            Read::All | Read::One => self.buffer.len(),
        };
        let buffer = &mut self.buffer[..size];
        loop {
            match place.socket.receive(buffer) {
                Datagram::Nothing => return place.answers.complete(tally),
                Datagram::Lost => {
                    tally.add("unread", "lost");
                    place.answers.lose();
                }
                Datagram::Failed(errno) => bail!("reading gave {errno:?}"),
                Datagram::Bytes(length) if length > size => {
                    ensure!(read == Read::Cut, "a datagram of {length} bytes");
                    place.answers.lose();
                }
                Datagram::Bytes(length) => {
                    let family = self.all.world.family;
                    let newest = place.answers.take(&buffer[..length], family, tally)?;
                    self.all.world.newest.fetch_max(newest, Relaxed);
                }
            }
            if read == Read::One {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_made_from_seed_and_index_alone() {
        for index in 0..20 {
            assert_eq!(show(5, index), show(5, index));
        }
        assert_ne!(show(5, 1), show(6, 1));
    }

    #[test]
    fn about_half_of_the_messages_are_wrong_on_purpose() {
        let (mut all, mut wrong) = (0, 0);
        for index in 0..500 {
            if let Step::Send { messages, .. } = make::step(&mut Random::new(1, index)) {
                all += messages.len();
                wrong += messages.iter().filter(|one| one.refuse.is_some()).count();
            }
        }
        assert!(all > 5000, "{all}");
        assert!((all / 10..all / 2).contains(&wrong), "{wrong} of {all}");
    }
}
