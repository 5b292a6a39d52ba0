// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each allocation of each operation fails in turn: the first, the second, and so
//! on until there are no more. Every time the operation ends in success or in an
//! error, the states are as before or as asked, and no memory is lost. It needs a
//! kernel that lets allocations fail on purpose. (What its checkers say in the log
//! fails the whole run of tests.)

use std::{
    fs::{self, File},
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lunatik::ErrorKind;
use lunatik_sys::{
    lunatik_attr as A, lunatik_cmd as C, lunatik_context, lunatik_flag as F, lunatik_value as V,
};
use lunatik_tests::{
    AllFail, Answer, Caller, Fault, Faults, Message, NLM_F_DUMP, Netns, Packet, Parameter, Raw,
    Reply,
    bpf::{HOSTILE, Pins},
    eventually, run, tell,
};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module},
    libc,
    sched::{CloneFlags, unshare},
    sys::socket::{MsgFlags, recv, send},
};

/// Of an operation with more points than this, later ones are taken in steps.
const EACH: u32 = 200;
const STEP: u32 = 10;

/// How often memory runs out: each time a bit later.
const STEPS: u32 = 12;

/// The bytes that Lua's stacks and tables of strings may be larger or smaller
/// than the last time.
const SHAPES: u32 = 1024;

/// What a fault may make of an operation that would succeed: no memory for it, or
/// none for netlink to take the request or to answer it.
const FAULTS: [i32; 2] = [libc::ENOMEM, libc::ENOBUFS];

/// What has been swept.
#[derive(Default)]
struct Tally {
    operations: u32,
    points: u32,
    failures: Vec<String>,
}

impl Tally {
    /// Sweeps an operation of at least `least` points. `once` does it with the
    /// allocation of that number failing, sees to what came of it, and tells
    /// whether there was such an allocation.
    fn sweep(&mut self, name: &str, least: u32, mut once: impl FnMut(u32) -> bool) {
        let mut nth = 0;
        self.operations += 1;
        self.count(name, least, |points| {
            nth += if points < EACH { 1 } else { STEP };
            once(nth)
        });
    }

    /// As [`sweep`](Self::sweep), for a part of an operation; `once` is told how
    /// many points there were.
    fn count(&mut self, name: &str, least: u32, mut once: impl FnMut(u32) -> bool) {
        let start = Instant::now();
        let mut points = 0;
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            while once(points) {
                points += 1;
            }
            assert!(points >= least, "only {points} points");
        }));
        let elapsed = start.elapsed().as_millis();
        let which = if points > EACH {
            format!(" (each of the first {EACH}, then every {STEP}th)")
        } else {
            String::new()
        };
        tell!("{name}: {points} points{which}, {elapsed} ms");
        self.points += points;
        if result.is_err() {
            tell!("{name}: FAILED after {points} points");
            self.failures.push(format!("{name}, after {points} points"));
        }
    }
}

/// What is said of states and of hooks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Process,
    Softirq,
    Percpu,
}

impl Kind {
    /// A request for such a state.
    fn of(self, message: Message) -> Message {
        let softirq = |message: Message| {
            message.u32(
                A::LUNATIK_A_CONTEXT,
                lunatik_context::LUNATIK_CONTEXT_SOFTIRQ.0,
            )
        };
        match self {
            Self::Process => message,
            Self::Softirq => softirq(message),
            Self::Percpu => softirq(message).u32(A::LUNATIK_A_FLAGS, F::LUNATIK_F_PERCPU.0),
        }
    }
}

/// The deadline of states for packets: as long as the module may allow (microseconds).
const LONGEST: u32 = 1_000_000;

/// What one asks about a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    name: String,
    flags: u32,
    max_alloc: u32,
    timeout: u32,
    references: u32,
    subscribers: u32,
}

impl Seen {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            flags: 0,
            max_alloc: 1 << 20,
            timeout: 1_000_000,
            references: 0,
            subscribers: 0,
        }
    }
}

fn number(reply: &Reply, kind: A) -> u32 {
    reply.u32(kind).unwrap_or_else(|| panic!("no {kind:?}"))
}

/// Asks without faults.
struct Observer(Raw);

impl Observer {
    #[track_caller]
    fn ask(&mut self, message: &Message) -> Answer {
        let answer = self.0.request(message);
        assert_eq!(answer.errno, 0, "{message:?}: {answer:?}");
        answer
    }

    fn dump(&mut self) -> Vec<Reply> {
        let list = Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP);
        self.ask(&list).replies
    }

    fn states(&mut self) -> Vec<Seen> {
        let mut states: Vec<_> = self
            .dump()
            .iter()
            .map(|reply| Seen {
                name: reply.text(A::LUNATIK_A_STATE_NAME).expect("a name"),
                flags: number(reply, A::LUNATIK_A_FLAGS),
                max_alloc: number(reply, A::LUNATIK_A_MAX_ALLOC),
                timeout: number(reply, A::LUNATIK_A_TIMEOUT),
                references: number(reply, A::LUNATIK_A_REFERENCES),
                subscribers: number(reply, A::LUNATIK_A_SUBSCRIBERS),
            })
            .collect();
        states.sort();
        states
    }

    /// What the namespace is charged.
    fn alloc(&mut self) -> u64 {
        let answer = self.ask(&Message::new(C::LUNATIK_CMD_GETINFO));
        let mut attributes = answer.replies[0].attributes.iter();
        let alloc = attributes.find(|(kind, _)| *kind == A::LUNATIK_A_ALLOC.as_u16());
        u64::from_ne_bytes(alloc.expect("a figure").1[..].try_into().expect("8 bytes"))
    }

    fn id(&mut self, name: &str) -> u32 {
        let answer = self.ask(&named(C::LUNATIK_CMD_GETSTATE, name));
        // Its reference is this socket's.
        self.ask(&named(C::LUNATIK_CMD_PUTSTATE, name));
        number(&answer.replies[0], A::LUNATIK_A_STATE_ID)
    }

    fn make(&mut self, name: &str, kind: Kind) {
        // Its reference goes with the socket.
        let message = kind.of(named(C::LUNATIK_CMD_NEWSTATE, name));
        // Time enough for a slow machine.
        let timeout = if kind == Kind::Process {
            5_000_000
        } else {
            LONGEST
        };
        let message = message.u32(A::LUNATIK_A_TIMEOUT, timeout);
        let answer = self.0.another().request(&message);
        assert_eq!(answer.errno, 0, "{answer:?}");
    }

    /// Runs something in a state and collects its garbage.
    fn run(&mut self, name: &str, code: &str) {
        self.ask(&script(name, code));
        self.collect(name);
    }

    /// Sees that a state is usable; what it holds when its garbage is gone.
    fn collect(&mut self, name: &str) -> u32 {
        let code = "collectgarbage() return 42";
        let answer = self.ask(&script(name, code));
        assert_eq!(answer.replies.len(), 1, "{answer:?}");
        let value = &answer.replies[0].attributes[0].1;
        assert_eq!(value[4..], 42_i64.to_ne_bytes(), "{answer:?}");
        self.held(name)
    }

    fn held(&mut self, name: &str) -> u32 {
        let dump = self.dump();
        let state = dump
            .iter()
            .find(|reply| reply.text(A::LUNATIK_A_STATE_NAME).as_deref() == Some(name));
        let state = state.expect("the state");
        let held = number(state, A::LUNATIK_A_CURR_ALLOC);
        assert!(held <= number(state, A::LUNATIK_A_MAX_ALLOC), "{held}");
        held
    }

    /// Closes every state.
    fn clear(&mut self) {
        for state in self.states() {
            let close = named(C::LUNATIK_CMD_CLOSE, &state.name);
            self.ask(&close.u32(A::LUNATIK_A_FLAGS, F::LUNATIK_F_FORCE.0));
        }
        eventually("nothing is charged", || self.alloc() == 0);
    }
}

fn named(command: C, name: &str) -> Message {
    Message::new(command).name(name)
}

fn script(name: &str, code: &str) -> Message {
    named(C::LUNATIK_CMD_DOSTRING, name).attr(A::LUNATIK_A_CODE, code.as_bytes())
}

fn data(payload: &[u8]) -> Message {
    named(C::LUNATIK_CMD_SENDDATA, "s").attr(A::LUNATIK_A_DATA, payload)
}

fn several(payloads: &[&[u8]]) -> Message {
    let add = |message: Message, payload: &&[u8]| message.attr(A::LUNATIK_A_MESSAGE, payload);
    payloads
        .iter()
        .fold(named(C::LUNATIK_CMD_SENDDATA, "s"), add)
}

fn subscribe(name: &str) -> Message {
    named(C::LUNATIK_CMD_GETSTATE, name).u32(A::LUNATIK_A_FLAGS, F::LUNATIK_F_SUBSCRIBE.0)
}

/// One more argument of a DOSTRING.
fn arg(message: Message, kind: V, payload: &[u8]) -> Message {
    const NESTED: u16 = 0x8000;
    let length = u16::try_from(4 + payload.len()).expect("an attribute");
    let mut value = length.to_ne_bytes().to_vec();
    value.extend(kind.as_u16().to_ne_bytes());
    value.extend(payload);
    value.resize(value.len().next_multiple_of(4), 0);
    message.any(A::LUNATIK_A_ARG.as_u16() | NESTED, &value)
}

/// What came for a request.
#[derive(Debug)]
struct Outcome {
    answer: Answer,
    /// The error number, or 0; nothing if no end came.
    errno: Option<i32>,
    /// Whether netlink says that it had no memory for a message.
    lost: bool,
    /// How many datagrams came.
    datagrams: u32,
}

impl Outcome {
    fn new() -> Self {
        Self {
            answer: Answer::default(),
            errno: None,
            lost: false,
            datagrams: 0,
        }
    }

    /// Reads what is there, without waiting. A dump goes on when it is read;
    /// `receive` is told how many datagrams came before.
    fn read(&mut self, sent: &[u8], mut receive: impl FnMut(u32, &mut [u8]) -> nix::Result<usize>) {
        let mut buffer = vec![0; 1 << 17];
        loop {
            match receive(self.datagrams, &mut buffer) {
                Ok(length) => {
                    self.datagrams += 1;
                    if self.answer.take(&buffer[..length], sent) > 0 {
                        // Netlink goes on with a dump that it has refused for lack
                        // of memory: the first error counts.
                        let first = self.errno.filter(|errno| *errno != 0);
                        self.errno = first.or(Some(self.answer.errno));
                    }
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::ENOBUFS) => self.lost = true,
                Err(error) => panic!("cannot receive: {error}"),
            }
        }
    }
}

/// What is done while an allocation fails.
enum Act {
    Send(Message),
    /// A datagram leaves the namespace, in two pieces: the kernel copies the second one
    /// to a page of its own.
    Datagram,
    /// A packet is passed to the functions for XDP, or for TC, as a program would do it.
    Ask {
        xdp: bool,
    },
    /// The asker's socket is closed.
    Close,
    /// The asker joins a multicast group.
    Join(&'static str),
}

/// An operation, and what has to be there for it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says what an operation is like"
)]
struct Operation {
    name: &'static str,
    /// It has at least so many points.
    least: u32,
    act: Act,
    /// What is run before in the state `s`, which is then there.
    state: Option<&'static str>,
    kind: Kind,
    /// What the asker asked for before.
    before: Vec<Message>,
    subscribers: usize,
    /// Whether someone listens to the multicast groups.
    listeners: bool,
    /// What it does to the states.
    effect: fn(&mut Vec<Seen>),
    /// How it ends without a fault.
    errno: i32,
    /// Whether it replies the same every time.
    steady: bool,
    /// Whether the calls that read the reply are swept, too.
    reading: bool,
    /// Whether it leaves something in the state, which is then closed.
    fresh: bool,
}

impl Operation {
    fn new(name: &'static str, least: u32, act: Act) -> Self {
        Self {
            name,
            least,
            act,
            state: Some(""),
            kind: Kind::Process,
            before: Vec::new(),
            subscribers: 0,
            listeners: false,
            effect: |_| {},
            errno: 0,
            steady: false,
            reading: false,
            fresh: false,
        }
    }

    fn send(name: &'static str, least: u32, message: Message) -> Self {
        Self::new(name, least, Act::Send(message))
    }

    /// A script in a state of its own, which is as before when it has ended.
    fn script(name: &'static str, least: u32, code: &str) -> Self {
        let operation = Self::send(name, least, script("s", code));
        operation.steady()
    }

    fn without_state(self) -> Self {
        Self {
            state: None,
            ..self
        }
    }

    fn state(self, code: &'static str) -> Self {
        Self {
            state: Some(code),
            ..self
        }
    }

    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    fn before(mut self, message: Message) -> Self {
        self.before.push(message);
        self
    }

    fn subscribers(self, subscribers: usize) -> Self {
        Self {
            subscribers,
            ..self
        }
    }

    fn listeners(self) -> Self {
        Self {
            listeners: true,
            ..self
        }
    }

    fn effect(self, effect: fn(&mut Vec<Seen>)) -> Self {
        Self { effect, ..self }
    }

    fn fails(self, errno: i32) -> Self {
        Self { errno, ..self }
    }

    fn steady(self) -> Self {
        Self {
            steady: true,
            ..self
        }
    }

    fn fresh(self) -> Self {
        Self {
            fresh: true,
            ..self
        }
    }

    fn reading(self) -> Self {
        Self {
            reading: true,
            ..self
        }
    }

    fn sweep(&self, faults: &Faults, tally: &mut Tally) {
        let mut scene = None;
        let failures = tally.failures.len();
        tally.sweep(self.name, self.least, |nth| {
            let scene = scene.get_or_insert_with(|| Scene::new(self));
            scene.point(faults, None, Fault::Nth(nth))
        });
        // One that has failed is out of order.
        let Some(mut scene) = scene.filter(|_| tally.failures.len() == failures) else {
            return;
        };
        // Lua collects its garbage and asks again: one fault is not enough.
        let bytes = scene.bytes(faults);
        if bytes > 0 {
            let name = format!("{}, memory running out", self.name);
            tally.count(&name, 1, |point| {
                let fault = Fault::After {
                    bytes: bytes / STEPS * point,
                    times: if point % 2 == 0 { 3 } else { 1 << 20 },
                };
                point <= STEPS && scene.point(faults, None, fault)
            });
        }
        if self.reading {
            let name = format!("{}, reading it", self.name);
            let datagrams = scene.usual.datagrams;
            let (mut part, mut nth) = (0, 0);
            tally.count(&name, datagrams - 1, |_| {
                while part < datagrams {
                    nth += 1;
                    if scene.point(faults, Some(part), Fault::Nth(nth)) {
                        return true;
                    }
                    part += 1;
                    nth = 0;
                }
                false
            });
        }
        scene.observer.clear();
    }
}

/// A datagram of which the kernel has the first piece.
struct Datagram(UdpSocket);

impl Datagram {
    fn begin() -> Self {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect("10.9.0.2:9").expect("a route");
        let more = MsgFlags::from_bits_retain(libc::MSG_MORE);
        let sent = send(socket.as_raw_fd(), &[b'a'; 100], more);
        sent.expect("there is room");
        Self(socket)
    }

    /// The second one, with which it is sent.
    fn end(&self) -> nix::Result<usize> {
        send(self.0.as_raw_fd(), &[b'b'; 1000], MsgFlags::empty())
    }
}

/// Where an operation takes place: the thread's network namespace.
struct Scene<'a> {
    operation: &'a Operation,
    observer: Observer,
    ears: Vec<Raw>,
    subscribers: Vec<Raw>,
    /// What comes of it without a fault.
    usual: Outcome,
    /// What the state holds when its garbage is gone.
    held: Option<u32>,
}

impl<'a> Scene<'a> {
    fn new(operation: &'a Operation) -> Self {
        let mut observer = Observer(Raw::here());
        // What failed before may have left something.
        observer.clear();
        let mut ears = Vec::new();
        if operation.listeners {
            for group in ["events", "log"] {
                let mut raw = Raw::here();
                raw.join(group).expect("root may listen");
                ears.push(raw);
            }
        }
        let mut scene = Self {
            operation,
            observer,
            ears,
            subscribers: Vec::new(),
            usual: Outcome::new(),
            held: None,
        };
        // The second time, whatever is made once is there.
        scene.perform(|_, act| act());
        scene.usual = scene.perform(|_, act| act());
        scene
    }

    /// The bytes of small objects that its system call asks for.
    fn bytes(&mut self, faults: &Faults) -> u32 {
        let mut bytes = 0;
        self.perform(|part, act| {
            if part.is_some() {
                return act();
            }
            let (result, count) = faults.bytes(act);
            bytes = count;
            result
        });
        bytes
    }

    /// Does it with allocations failing of its own system call, or of the one that
    /// reads the part `part` of the reply. Whether there were such allocations.
    fn point(&mut self, faults: &Faults, part: Option<u32>, fault: Fault) -> bool {
        let mut injected = false;
        let outcome = self.perform(|at, act| {
            if at == part {
                let (result, hit) = faults.inject(fault, act);
                injected = hit;
                result
            } else {
                act()
            }
        });
        if !injected {
            assert!(!outcome.lost, "{outcome:?}");
            assert_eq!(outcome.errno, Some(self.operation.errno), "{outcome:?}");
        }
        injected
    }

    /// Does it once and sees to what came of it. `call` makes the system calls,
    /// the one itself or those that read a part of the reply.
    fn perform(
        &mut self,
        mut call: impl FnMut(Option<u32>, &mut dyn FnMut() -> nix::Result<usize>) -> nix::Result<usize>,
    ) -> Outcome {
        let operation = self.operation;
        self.prepare();
        let mut asker = Some(self.observer.0.another());
        let mut sent = Vec::new();
        if let Some(raw) = &mut asker {
            for message in &operation.before {
                let answer = raw.request(message);
                assert_eq!(answer.errno, 0, "{message:?}: {answer:?}");
            }
            if let Act::Send(message) = &operation.act {
                sent = raw.encoded(message);
            }
        }
        let mut group = 0;
        if let (Act::Join(name), Some(raw)) = (&operation.act, &mut asker) {
            let mut groups = raw.groups().into_iter();
            group = groups.find(|(known, _)| known == name).expect("a group").1;
        }
        let datagram = matches!(operation.act, Act::Datagram).then(Datagram::begin);
        let caller = if let Act::Ask { xdp } = operation.act {
            let caller = Caller::open(xdp).expect("where memory fails, no program calls");
            sent = caller.encoded(self.observer.id("s"), &packet());
            Some(caller)
        } else {
            None
        };
        let before = self.observer.states();
        let fd = asker.as_ref().expect("open").as_fd().as_raw_fd();
        let result = call(None, &mut || match operation.act {
            Act::Send(_) => send(fd, &sent, MsgFlags::empty()),
            Act::Datagram => datagram.as_ref().expect("begun").end(),
            Act::Ask { .. } => {
                let caller = caller.as_ref().expect("open");
                caller
                    .call(&sent)
                    .map_err(|error| Errno::from_raw(error.raw_os_error().expect("the kernel's")))
            }
            Act::Close => {
                asker = None;
                Ok(0)
            }
            Act::Join(_) => asker.as_ref().expect("open").join_group(group).map(|()| 0),
        });
        let mut outcome = Outcome::new();
        if let (Act::Send(_), Ok(_)) = (&operation.act, result) {
            outcome.read(&sent, |part, buffer| {
                call(Some(part), &mut || recv(fd, buffer, MsgFlags::MSG_DONTWAIT))
            });
        } else {
            outcome.errno = Some(result.err().map_or(0, |error| error as i32));
        }
        self.check(&outcome, &before);
        drop(asker);
        self.settle();
        outcome
    }

    /// Makes the state that has to be there, or sees that none is.
    fn prepare(&mut self) {
        let operation = self.operation;
        let states = self.observer.states();
        let Some(code) = operation.state else {
            if !states.is_empty() {
                self.observer.clear();
            }
            return;
        };
        if states.iter().any(|state| state.name == "s") {
            return;
        }
        self.observer.make("s", operation.kind);
        self.observer.run("s", code);
        self.subscribers.clear();
        for _ in 0..operation.subscribers {
            let mut raw = self.observer.0.another();
            let answer = raw.request(&subscribe("s"));
            assert_eq!(answer.errno, 0, "{answer:?}");
            self.subscribers.push(raw);
        }
    }

    /// Sees that an operation ended as it should and did nothing else.
    fn check(&mut self, outcome: &Outcome, before: &[Seen]) {
        let operation = self.operation;
        let after = self.observer.states();
        let mut asked = before.to_vec();
        (operation.effect)(&mut asked);
        asked.sort();
        match outcome.errno {
            Some(errno) if errno == operation.errno => {
                assert_eq!(after, asked, "{outcome:?}");
                let usual = &self.usual;
                // Where it is known already.
                if operation.steady && errno == 0 && !outcome.lost && usual.errno.is_some() {
                    assert!(
                        same(&outcome.answer, &usual.answer),
                        "{outcome:?} is not {usual:?}"
                    );
                }
            }
            Some(errno) => {
                assert!(FAULTS.contains(&errno), "{outcome:?}");
                assert_eq!(after, before, "{outcome:?}");
            }
            // Nobody knows how it ended, but the asker knows that.
            None => {
                assert!(outcome.lost, "no answer: {outcome:?}");
                assert!(after == before || after == asked, "{after:?}: {outcome:?}");
            }
        }
    }

    /// When the asker is gone: the state is usable, and nobody has lost anything.
    fn settle(&mut self) {
        let mut buffer = vec![0; 1 << 17];
        for raw in self.ears.iter().chain(&self.subscribers) {
            let fd = raw.as_fd().as_raw_fd();
            while recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) != Err(Errno::EAGAIN) {}
        }
        let states = self.observer.states();
        for state in &states {
            let count = u32::try_from(self.subscribers.len()).expect("few");
            let count = if state.name == "s" { count } else { 0 };
            assert_eq!(
                (state.references, state.subscribers),
                (count, count),
                "{state:?}"
            );
            let held = self.observer.collect(&state.name);
            if state.name == "s" && !self.operation.fresh {
                let usual = *self.held.get_or_insert(held);
                assert!(
                    held.abs_diff(usual) < SHAPES,
                    "{held} bytes in use, not {usual}"
                );
            }
        }
        if states.is_empty() || self.operation.fresh {
            self.observer.clear();
        }
    }
}

fn same(one: &Answer, other: &Answer) -> bool {
    let values = |answer: &Answer| -> Vec<_> {
        let replies = answer.replies.iter();
        replies.flat_map(|reply| reply.attributes.clone()).collect()
    };
    values(one) == values(other)
}

/// The state `s` in a listing.
fn s(states: &mut [Seen]) -> &mut Seen {
    states
        .iter_mut()
        .find(|state| state.name == "s")
        .expect("s")
}

fn ephemeral() -> Message {
    let message = named(C::LUNATIK_CMD_NEWSTATE, "n");
    message.u32(A::LUNATIK_A_FLAGS, F::LUNATIK_F_EPHEMERAL.0)
}

/// The asker makes it: it has its reference.
fn made(states: &mut Vec<Seen>) {
    states.push(Seen {
        references: 1,
        ..Seen::new("n")
    });
}

fn states() -> Vec<Operation> {
    use Operation as O;
    let new = named(C::LUNATIK_CMD_NEWSTATE, "n");
    let full = || {
        ephemeral()
            .u32(A::LUNATIK_A_MAX_ALLOC, 65_536)
            .u32(A::LUNATIK_A_TIMEOUT, 5000)
    };
    let close = named(C::LUNATIK_CMD_CLOSE, "s");
    let force = close.clone().u32(A::LUNATIK_A_FLAGS, F::LUNATIK_F_FORCE.0);
    let get = named(C::LUNATIK_CMD_GETSTATE, "s");
    let put = named(C::LUNATIK_CMD_PUTSTATE, "s");
    let list = Message::new(C::LUNATIK_CMD_GETSTATE).flags(NLM_F_DUMP);
    let log = named(C::LUNATIK_CMD_GETLOG, "s").flags(NLM_F_DUMP);
    vec![
        O::send("NEWSTATE", 12, new.clone())
            .without_state()
            .effect(made),
        O::send("NEWSTATE with all attributes and listeners", 12, full())
            .without_state()
            .listeners()
            .effect(|states| {
                states.push(Seen {
                    references: 1,
                    flags: F::LUNATIK_F_EPHEMERAL.0,
                    max_alloc: 65_536,
                    timeout: 5000,
                    ..Seen::new("n")
                });
            }),
        O::send(
            "NEWSTATE of a name that is taken",
            3,
            named(C::LUNATIK_CMD_NEWSTATE, "s"),
        )
        .fails(libc::EEXIST),
        O::send("CLOSE", 3, close.clone()).effect(Vec::clear),
        O::send("CLOSE with subscribers and others", 3, close)
            .subscribers(2)
            .fails(libc::EBUSY),
        O::send("CLOSE by force, with subscribers and listeners", 5, force)
            .subscribers(2)
            .listeners()
            .effect(Vec::clear),
        O::send("GETSTATE", 5, get.clone()).effect(|states| s(states).references += 1),
        O::send("GETSTATE once more", 5, get.clone())
            .before(get.clone())
            .effect(|states| s(states).references += 1),
        O::send(
            "GETSTATE with SUBSCRIBE and SESSION",
            5,
            subscribe("s").u32(A::LUNATIK_A_SESSION, 1),
        )
        .subscribers(1)
        .effect(|states| {
            s(states).references += 1;
            s(states).subscribers += 1;
        }),
        O::send("GETSTATE of no state", 3, get.clone())
            .without_state()
            .fails(libc::ENOENT),
        O::send("PUTSTATE", 3, put.clone())
            .before(get.clone())
            .effect(|states| s(states).references -= 1),
        O::send("PUTSTATE of a subscriber", 3, put)
            .before(subscribe("s"))
            .effect(|states| {
                s(states).references -= 1;
                s(states).subscribers -= 1;
            }),
        O::send(
            "PUTSTATE, the last of an ephemeral state",
            3,
            named(C::LUNATIK_CMD_PUTSTATE, "n"),
        )
        .before(ephemeral())
        .listeners()
        .effect(|states| states.retain(|state| state.name != "n")),
        O::send("GETSTATE as a dump", 5, list.clone()),
        O::send("GETSTATE as a dump of many", 5, list).before(ephemeral()),
        O::send("GETLOG", 5, log)
            .state("for i = 1, 40 do print(('line '):rep(800)) end")
            .steady(),
        O::send("GETINFO", 3, Message::new(C::LUNATIK_CMD_GETINFO)),
    ]
}

fn sockets() -> Vec<Operation> {
    use Operation as O;
    let get = named(C::LUNATIK_CMD_GETSTATE, "s");
    vec![
        O::new("joining `events`", 1, Act::Join("events")),
        O::new("joining `log`", 1, Act::Join("log")).listeners(),
        O::new("closing a socket with references", 0, Act::Close)
            .before(get.clone())
            .before(get)
            .effect(|states| s(states).references -= 2),
        O::new("closing the socket of a subscriber", 0, Act::Close)
            .before(subscribe("s"))
            .subscribers(1)
            .effect(|states| {
                s(states).references -= 1;
                s(states).subscribers -= 1;
            }),
        O::new("closing the socket of an ephemeral state", 2, Act::Close)
            .before(ephemeral())
            .listeners()
            .effect(|states| states.retain(|state| state.name != "n")),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn scripts() -> Vec<Operation> {
    use Operation as O;
    let long = "a".repeat(60_000);
    let with_arguments = {
        let mut message = script("s", "local a, b, c = ... return a, #b, c");
        message = arg(message, V::LUNATIK_V_TABLE, b"");
        for n in 0..8_i64 {
            message = arg(message, V::LUNATIK_V_INTEGER, &n.to_ne_bytes());
            message = arg(message, V::LUNATIK_V_TABLE, b"");
            message = arg(message, V::LUNATIK_V_STRING, format!("key {n}").as_bytes());
            message = arg(message, V::LUNATIK_V_BOOLEAN, &[1]);
            message = arg(message, V::LUNATIK_V_END, b"");
        }
        message = arg(message, V::LUNATIK_V_END, b"");
        message = arg(message, V::LUNATIK_V_STRING, long.as_bytes());
        arg(message, V::LUNATIK_V_STRING, b"short")
    };
    let endless = script("s", "while true do end").u32(A::LUNATIK_A_TIMEOUT, 2000);
    vec![
        O::script("DOSTRING", 10, "return 1"),
        O::send("DOSTRING with arguments", 30, with_arguments).steady(),
        O::script(
            "DOSTRING with nested results",
            30,
            "local t = {} for i = 1, 4 do t[i] = {i, {x = {i}}, true} end return t, nil, print",
        ),
        O::script(
            "DOSTRING with long results",
            20,
            "return ('x'):rep(50000), ('y'):rep(60000), 'z'",
        )
        .reading(),
        O::script(
            "DOSTRING with 1 MiB of results",
            30,
            "local s = ('x'):rep(60000) return s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s",
        )
        .reading(),
        O::script(
            "DOSTRING with an error and a traceback",
            20,
            "local function f(n) if n == 0 then error {} end f(n - 1) end f(10)",
        )
        .listeners()
        .fails(libc::EREMOTEIO),
        O::script("DOSTRING with a syntax error", 10, "x = = 1")
            .listeners()
            .fails(libc::ENOEXEC),
        O::send("DOSTRING until its deadline", 10, endless)
            .listeners()
            .fails(libc::ETIME),
        O::script(
            "DOSTRING without room",
            20,
            "local t = {} for i = 1, 9 do t[i] = ('x'):rep(300000) .. i end",
        )
        .fails(libc::ENOMEM),
        O::script("print", 10, "print('a line', 1, nil)")
            .fresh()
            .listeners(),
        O::script("print when the log is full", 10, "print(('x'):rep(4000))")
            .fresh()
            .state("for i = 1, 5 do print(('x'):rep(4000)) end"),
        O::script(
            "lunatik.send",
            10,
            "local send = require('lunatik').send send('x') send(('x'):rep(60000))",
        )
        .state("require 'lunatik'")
        .subscribers(3),
        O::script(
            "require",
            10,
            "local l = require 'lunatik' package.loaded.lunatik = nil return l.name",
        ),
        O::script(
            "tables",
            30,
            "local t = {} for i = 1, 8 do t[i] = {i} t['k' .. i] = i end return #t",
        ),
        O::script(
            "strings",
            30,
            "local s = '' for i = 1, 20 do s = s .. 'abcdefgh' .. i end return s",
        ),
        O::script(
            "coroutines",
            30,
            "local n = 0 for i = 1, 2 do local c = coroutine.wrap(function(...) \
             local a <close> = setmetatable({}, {__close = function() n = n + 1 end}) \
             coroutine.yield(...) end) c(i, i, i) c() end return n",
        ),
        O::script(
            "closures",
            30,
            "local f = {} for i = 1, 5 do local n = i f[i] = function() n = n + 1 return n end \
             end local n = 0 for i = 1, 5 do n = n + f[i]() end return n",
        ),
        O::script(
            "load",
            30,
            "local f, e = load('local a, b = ... local function f(x) return x + a end return f(b)') \
             if not f then error(e, 0) end return f(1, 2)",
        ),
        O::script(
            "errors that are caught",
            20,
            "local function f(n) if n == 0 then error 'x' end return f(n - 1) + 1 end \
             local ok, e = xpcall(f, function(m) return m .. '!' end, 5) \
             if e ~= 'dostring:1: x!' then error(e, 0) end",
        ),
        O::script(
            "large strings",
            20,
            "local s = ('x'):rep(100000) return #s, #(s .. 'y')",
        ),
        O::script(
            "table.concat and gsub",
            30,
            "local t = {} for i = 1, 6 do t[i] = 'part ' .. i end local s = table.concat(t, ', ') \
             local r, n = s:gsub('%d+', function(d) return '<' .. d .. '>' end) \
             return #s, #r, n, #string.format('%q %s', s, r), table.unpack(t)",
        ),
        O::script(
            "collectgarbage",
            20,
            "local t = {} for i = 1, 10 do t[i] = setmetatable({}, {__mode = 'k'}) end t = nil \
             collectgarbage() collectgarbage 'step' collectgarbage 'incremental' \
             collectgarbage 'generational'",
        ),
        O::send("SENDDATA", 7, data(b"ping"))
            .state("require('lunatik').receive(function(data) return data .. 'pong' end)")
            .steady(),
        O::send("SENDDATA, long", 7, data(&vec![b'x'; 60_000]))
            .state("require('lunatik').receive(function(data) return data end)")
            .steady(),
        O::send("SENDDATA with an error", 10, data(b"ping"))
            .state("require('lunatik').receive(function(data) error(data) end)")
            .fails(libc::EREMOTEIO),
        O::send("SENDDATA without a receiver", 5, data(b"ping")).fails(libc::ENOTCONN),
        // What failed for want of memory is told in the reply.
        O::send("SENDDATA of several", 10, several(&[b"1", b"2", b"3"]))
            .state("require('lunatik').receive(function(data) return data .. 'pong' end)"),
        O::send(
            "SENDDATA of several, long",
            10,
            several(&[&[b'x'; 40_000][..]; 3]),
        )
        .state("require('lunatik').receive(function(data) return data end)"),
        O::send(
            "SENDDATA of several with errors",
            20,
            several(&[b"1", b"2", b"3"]),
        )
        .state("require('lunatik').receive(function(data) error(data) end)"),
    ]
}

/// A function for what leaves the namespace, which does `$body` with each datagram.
macro_rules! on_datagram {
    ($body:literal) => {
        concat!(
            "nf, lunatik = require 'netfilter', require 'lunatik'
             function register() hook = nf.register{family = 'ipv4', hook = 'output', function(pkt)
               if pkt:u8(9) == 17 then ",
            $body,
            " end end} end register()"
        )
    };
}

/// States for packets, hooks, timers and packets.
#[expect(clippy::too_many_lines, reason = "a table")]
fn packets() -> Vec<Operation> {
    use Kind::{Percpu, Softirq};
    use Operation as O;
    const BOUND: &str = on_datagram!("");
    let new = |kind: Kind| kind.of(named(C::LUNATIK_CMD_NEWSTATE, "n"));
    let close = named(C::LUNATIK_CMD_CLOSE, "s");
    let mut all = vec![
        O::send("NEWSTATE for packets", 12, new(Softirq))
            .without_state()
            .listeners()
            .effect(|states| states.push(packet_state(0))),
        O::send("NEWSTATE of replicas", 12, new(Percpu))
            .without_state()
            .listeners()
            .effect(|states| states.push(packet_state(F::LUNATIK_F_PERCPU.0))),
        O::send("CLOSE of a bound state", 3, close.clone())
            .kind(Softirq)
            .state(BOUND)
            .effect(Vec::clear),
        O::send("CLOSE of a bound state of replicas", 3, close)
            .kind(Percpu)
            .state(BOUND)
            .effect(Vec::clear),
        O::script(
            "the functions of XDP and TC",
            20,
            "require 'xdp'.register(print) require 'tc'.register(print)",
        )
        .kind(Percpu)
        .fresh(),
    ];
    for kind in [Softirq, Percpu] {
        all.extend([
            O::script("registering a hook", 20, BOUND).kind(kind).fresh(),
            O::script("registering another hook", 10, "register()")
                .kind(kind)
                .state(BOUND)
                .fresh(),
            O::script("unregistering a hook", 3, "hook:unregister()")
                .kind(kind)
                .state(BOUND)
                .fresh(),
            O::script(
                "hooks that are closed",
                10,
                "do local a <close> = nf.register{family = 'inet', hook = 'input', print} end
                 nf.register{family = 'arp', hook = 'input', print}:unregister()",
            )
            .kind(kind)
            .state(BOUND)
            .fresh(),
            O::script("DOSTRING to a bound state", 10, "return 1")
                .kind(kind)
                .state(BOUND),
            O::script(
                "DOSTRING to a bound state, with tables and strings",
                30,
                "local t = {} for i = 1, 8 do t[i] = {i, 'k' .. i} end return t, ('x'):rep(3000)",
            )
            .kind(kind)
            .state(BOUND),
            O::script(
                "DOSTRING to a bound state with an error",
                20,
                "local function f(n) if n == 0 then error {} end f(n - 1) end f(10)",
            )
            .kind(kind)
            .state(BOUND)
            .listeners()
            .fails(libc::EREMOTEIO),
            O::script("a syntax error for a bound state", 10, "x = = 1")
                .kind(kind)
                .state(BOUND)
                .listeners()
                .fails(libc::ENOEXEC),
            O::send("SENDDATA to a bound state", 7, data(b"ping"))
                .kind(kind)
                .state(concat!(
                    "require('lunatik').receive(function(data) return data .. 'pong' end) ",
                    "require 'netfilter'.register{family = 'arp', hook = 'input', print}"
                )),
            O::script("timers", 10, "local t = lunatik.every(100000, print) lunatik.after(100000, print):cancel() t:cancel()")
                .kind(kind)
                .state("lunatik = require 'lunatik' keep = lunatik.after(1000000, print)"),
            O::script("the first timer", 10, "require 'lunatik'.after(100000, print)")
                .kind(kind)
                .fresh(),
            O::new("a packet", 1, Act::Datagram).kind(kind).state(on_datagram!(
                "local a, b = pkt:string(0, 1000), pkt:string(30) seen = #a + #b + pkt:u32(20)"
            )),
            O::new("a packet that is written to", 2, Act::Datagram).kind(kind).state(on_datagram!(
                "pkt:setstring(900, ('c'):rep(100)) pkt:setu16(1000, 7)"
            )),
            O::new("a packet that becomes longer", 2, Act::Datagram).kind(kind).state(on_datagram!(
                "pkt:append(('d'):rep(2000)) pkt:append('e')"
            )),
            O::new("a packet that becomes shorter", 2, Act::Datagram).kind(kind).state(on_datagram!(
                "pkt:trim(700) pkt:append('f')"
            )),
            O::new("a packet whose function fails", 5, Act::Datagram)
                .kind(kind)
                .listeners()
                .fresh()
                .state(on_datagram!("local function f(n) if n == 0 then error 'no' end f(n - 1) end f(9)")),
            O::new("a packet whose function tells of it", 5, Act::Datagram)
                .kind(kind)
                .listeners()
                .subscribers(2)
                .fresh()
                .state(on_datagram!("lunatik.send(pkt:string(0)) print('a line', #pkt)")),
            O::new("a packet that starts timers", 3, Act::Datagram).kind(kind).state(on_datagram!(
                "lunatik.after(100000, print):cancel() hook:unregister()"
            ))
            .fresh(),
            O::new("a packet and a library", 10, Act::Datagram).kind(kind).fresh().state(on_datagram!(
                "local packet = require 'packet' src = packet.ip(pkt).src"
            )),
        ]);
    }
    all
}

/// What [`Act::Ask`] passes.
fn packet() -> Packet<'static> {
    const BYTES: [u8; 600] = {
        let mut bytes = [0; 600];
        // IPv4
        bytes[12] = 8;
        bytes[14] = 0x45;
        bytes
    };
    Packet {
        bytes: &BYTES,
        linear: 400,
        cloned: false,
    }
}

/// Packets that come to functions by way of eBPF programs, which call others.
fn programs(pins: &Pins) -> Vec<Operation> {
    use Operation as O;
    // So long as the tests run.
    let code = |xdp: bool, programs: &[&str], body: &str| -> &'static str {
        let list = |name: &&str| format!("{name} = bpf.prog '{}'\n", pins.path(name));
        let list: String = programs.iter().map(list).collect();
        let code = format!(
            "bpf, lunatik = require 'bpf', require 'lunatik'
             {list}
             notes = bpf.map('{}', '=I4', '=I8')
             require '{}'.register(function(pkt) {body} end)",
            pins.path("notes"),
            if xdp { "xdp" } else { "tc" },
        );
        code.leak()
    };
    let xdp = |name, least, body| {
        let programs = ["xdp_head", "xdp_tail", "xdp_meta", "xdp_write", "xdp_tails"];
        O::new(name, least, Act::Ask { xdp: true })
            .kind(Kind::Softirq)
            .state(code(true, &programs, body))
    };
    let tc = |name, least, body| {
        let programs = [
            "tc_tail", "tc_head", "tc_room", "tc_pull", "tc_vlan", "tc_proto", "tc_store",
            "tc_write", "tc_clone", "tc_tails",
        ];
        O::new(name, least, Act::Ask { xdp: false })
            .kind(Kind::Softirq)
            .state(code(false, &programs, body))
    };
    vec![
        xdp(
            "a packet of XDP",
            3,
            "local a, b = pkt:string(0, 500), pkt:string(30) seen = #a + #b + pkt:u32(20)
                 pkt:setu32(30, 7) pkt:setstring(40, a:sub(1, 100))",
        ),
        xdp(
            "maps, for a packet of XDP",
            3,
            "notes:update(7, (notes:lookup(7) or 0) + 1) notes:update(#pkt, 1)
                 for k, v in notes:pairs() do seen = k .. v end notes:delete(7)",
        ),
        xdp(
            "a packet of XDP whose function fails",
            5,
            "local function f(n) if n == 0 then error 'no' end f(n - 1) end f(9)",
        )
        .listeners()
        .fresh(),
        tc(
            "a packet of TC",
            3,
            "local a, b = pkt:string(0, 500), pkt:string(30) seen = #a + #b + pkt:u32(20)
                 pkt:setu32(30, 7) pcall(pkt.trim, pkt, 300) pcall(pkt.append, pkt, 'abc')",
        ),
        tc(
            "a packet of TC whose bytes programs move",
            6,
            "for i = 1, 3 do tc_write(pkt) tc_store(pkt) tc_pull(pkt) pkt:setu8(20, i) end",
        ),
        tc(
            "a packet of TC that programs change",
            6,
            "tc_tail(pkt) tc_head(pkt) tc_room(pkt) tc_vlan(pkt) tc_proto(pkt) tc_tails(pkt)
                 seen = #pkt",
        ),
        tc(
            "a packet of TC that a program sends",
            4,
            "tc_clone(pkt) tc_write(pkt) tc_clone(pkt) lunatik.send(pkt:string(0, 100))",
        )
        .subscribers(1),
    ]
}

fn packet_state(flags: u32) -> Seen {
    Seen {
        references: 1,
        timeout: 10_000,
        flags,
        ..Seen::new("n")
    }
}

/// Functions that the kernel calls in softirq context, which belongs to no thread, have
/// no memory at all for a while.
fn callbacks_without_memory(tally: &mut Tally) {
    let mut observer = Observer(Raw::here());
    tally.operations += 1;
    tally.count("packets and timers without any memory", 2, |point| {
        let kinds = [Kind::Softirq, Kind::Percpu];
        let Some(&kind) = kinds.get(point as usize) else {
            return false;
        };
        observer.make("s", kind);
        observer.run(
            "s",
            "n, m, nf, lunatik = 0, 0, require 'netfilter', require 'lunatik'
             nf.register{family = 'ipv4', hook = 'input', function(pkt)
               n = n + 1
               local t = {pkt:string(0), {}}
               print(t) lunatik.send(t[1])
               pkt:append(('x'):rep(5000))
             end}
             lunatik.every(5, function()
               m = m + 1
               local t = {m, {}}
               lunatik.after(1, function() print(t) end)
               error(t)
             end)",
        );
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let to = socket.local_addr().expect("an address");
        // The first call takes memory, which is then there.
        socket.send_to(b"first", to).expect("sends");
        let all_fail = AllFail::new();
        for _ in 0..50 {
            socket.send_to(&[b'a'; 500], to).expect("sends");
            thread::sleep(Duration::from_millis(5));
        }
        drop(all_fail);
        // Those that came meanwhile may have got no further than to their beginning.
        socket.send_to(b"last", to).expect("sends");
        observer.run("s", "if n < 2 or m < 5 then error(n .. ' and ' .. m) end");
        observer.clear();
        true
    });
}

/// The kernel does much besides, so a part of the points has to do: about `count`
/// from the first one on, and each of the last `end`.
fn some(all: u32, count: u32, end: u32) -> impl Iterator<Item = u32> {
    let step = (all / count).max(1);
    let dense = all.saturating_sub(end).max(1);
    // Faults change the way, so there may be a few more.
    (1..dense).step_by(step as usize).chain(dense..all + 20)
}

/// Network namespaces are made, where states then live and go with them.
fn namespaces(faults: &Faults, tally: &mut Tally, home: &Netns) {
    let live = || {
        let mut observer = Observer(Raw::here());
        for (name, kind) in [
            ("a", Kind::Process),
            ("b", Kind::Softirq),
            ("c", Kind::Percpu),
        ] {
            observer.make(name, kind);
            observer.collect(name);
            if kind != Kind::Process {
                observer.run(name, on_datagram!("seen = pkt:string(0)"));
            }
        }
        // Another one dies with its socket.
        observer.ask(&ephemeral());
    };
    let (made, all) = faults.count(|| unshare(CloneFlags::CLONE_NEWNET));
    made.expect("a namespace");
    live();
    home.enter();
    let mut points = some(all, 40, 0);
    tally.operations += 1;
    tally.count("network namespaces", 20, |_| {
        let Some(nth) = points.next() else {
            return false;
        };
        let (made, injected) = faults.inject(Fault::Nth(nth), || unshare(CloneFlags::CLONE_NEWNET));
        match made {
            Ok(()) => {
                live();
                home.enter();
            }
            // Of many parts of the kernel, with an error number of each.
            Err(error) => assert!(injected, "{error}"),
        }
        injected
    });
    tell!("({all} allocations make a network namespace)");

    // The kernel ends them in a thread of its own.
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
    live();
    let mut raw = Raw::here();
    let new = raw.encoded(&named(C::LUNATIK_CMD_NEWSTATE, "n"));
    let all_fail = AllFail::new();
    let sent = send(raw.as_fd().as_raw_fd(), &new, MsgFlags::empty());
    assert_eq!(sent, Ok(new.len()));
    let mut outcome = Outcome::new();
    outcome.read(&new, |_, buffer| {
        recv(raw.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
    });
    assert_eq!(outcome.errno, Some(libc::ENOMEM), "{outcome:?}");
    drop(raw);
    home.enter();
    thread::sleep(Duration::from_secs(1));
    drop(all_fail);
}

/// Loads the module when this is dropped, whatever happened before.
struct Reload;

impl Drop for Reload {
    fn drop(&mut self) {
        run(Command::new("modprobe").arg("lunatik")).success();
    }
}

/// The module is loaded wholly or not at all.
fn module(faults: &Faults, tally: &mut Tally) {
    let _reload = Reload;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let path = format!("/lib/modules/{}/extra/lunatik.ko", release.trim());
    let file = File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let load = || finit_module(&file, c"", ModuleInitFlags::empty());
    let unload = || delete_module(c"lunatik", DeleteModuleFlags::O_NONBLOCK);
    let loaded = || Path::new("/sys/module/lunatik").exists();
    let works = || {
        let mut observer = Observer(Raw::here());
        observer.make("s", Kind::Process);
        observer.collect("s");
        observer.clear();
    };
    unload().expect("nobody uses it");
    let (result, all) = faults.count(load);
    result.expect("it loads");
    unload().expect("nobody uses it");
    tally.sweep("loading the module", 40, |nth| {
        let (result, injected) = faults.inject(Fault::Nth(nth), load);
        assert_eq!(loaded(), result.is_ok(), "{result:?}");
        match result {
            Ok(()) => {
                works();
                unload().expect("nobody uses it");
            }
            Err(error) => assert!(injected && error != Errno::EEXIST, "{error}"),
        }
        injected
    });
    tell!("({all} allocations load the module)");
    tally.sweep("unloading the module", 0, |nth| {
        load().expect("it loads");
        works();
        let (result, injected) = faults.inject(Fault::Nth(nth), unload);
        assert_eq!(loaded(), result.is_err(), "{result:?}");
        if result.is_err() {
            works();
            unload().expect("nobody uses it");
        }
        injected
    });
}

#[test]
fn each_allocation_of_each_operation_fails() {
    // It goes from one network namespace to others.
    thread::spawn(sweep_all)
        .join()
        .expect("every sweep ends well");
}

fn sweep_all() {
    let Some(faults) = Faults::open() else {
        tell!("SKIPPED: this kernel (no CONFIG_FAILSLAB) lets no allocation fail on purpose");
        return;
    };
    let mut tally = Tally::default();
    let netns = Netns::to_nobody();
    netns.enter();
    let longest = Parameter::set("max_softirq_timeout_us", LONGEST);
    let operations = [states(), sockets(), scripts(), packets()];
    for operation in operations.into_iter().flatten() {
        operation.sweep(&faults, &mut tally);
    }
    let pins = Pins::new();
    pins.load(HOSTILE);
    pins.link("xdp_next", "xdp_tails");
    pins.link("tc_next", "tc_tails");
    for operation in programs(&pins) {
        operation.sweep(&faults, &mut tally);
    }
    drop(pins);
    callbacks_without_memory(&mut tally);
    namespaces(&faults, &mut tally, &netns);
    drop(longest);
    module(&faults, &mut tally);
    tell!("{} points in {} operations", tally.points, tally.operations);
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
}

#[test]
fn a_lost_answer_leaves_the_outcome_open_and_says_so() {
    let Some(faults) = Faults::open() else {
        tell!("SKIPPED: this kernel (no CONFIG_FAILSLAB) lets no allocation fail on purpose");
        return;
    };
    let netns = Netns::new();
    let session = netns.session();
    let mut lost = 0;
    for nth in 1.. {
        let state = session.new_state("s").create().expect("a state");
        let (closed, injected) = faults.inject(Fault::Nth(nth), || state.close());
        if !injected {
            closed.expect("nothing failed");
            break;
        }
        if let Err(error) = closed {
            // To send and to read the request takes memory, too.
            let kinds = [ErrorKind::Io, ErrorKind::OutOfMemory, ErrorKind::Lost];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            if error.kind() == ErrorKind::Lost {
                lost += 1;
                assert_eq!(
                    error.to_string(),
                    "the kernel had no memory for its answer: whether it did what was asked \
                     is not known (ENOBUFS)"
                );
            }
        }
        // Done or not: it can be found out.
        for state in session.states().expect("a list") {
            session.state(&state.name).close().expect("it closes");
        }
    }
    assert!(lost > 0);
}
