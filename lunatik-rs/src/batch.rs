// SPDX-License-Identifier: MIT OR Apache-2.0
//! Batches: many messages to states in one system call.

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use lunatik_sys::{lunatik_attr, lunatik_cmd};
use neli::consts::nl::NlmF;
use nix::libc;

use crate::{
    call::join,
    channel::{Channel, DATAGRAM, Step, control, is_silent, unanswered},
    error::{Error, LuaError, Result},
    session::Inner,
    state::{State, put_data},
    wire::{Message, Request},
};

/// How many messages go together before it is known how long they take.
const FIRST: usize = 16;
/// How long the messages of one system call should take. The kernel gives all of
/// them the longest deadline together, 10 s unless the host says otherwise.
const GOAL: Duration = Duration::from_millis(100);
/// What the kernel says to those that it does not run because that time is up.
const TIME_IS_UP: &str = "requests sent at once have had the longest deadline together";

/// Data for states of one session, sent many messages in one system call.
///
/// [`State::send_data`] makes two system calls for each message; this makes one
/// for many, and one for each message that is answered. As many go together as
/// the session's socket surely has room for the answers of: 256 where the
/// process may set the size of that (with `CAP_NET_ADMIN` on the host), else few,
/// down to 1. Longer batches are divided.
///
/// Each message is run as if it had been sent alone, in the order of
/// [`push`](Self::push), whether those before it succeed or fail. Only time is
/// shared: what goes together in one system call has [`Info::max_timeout`] in
/// all. The library sends so few at once that this takes much less, judged by
/// those before, and sends again what was not run because the time was up. But a
/// message that runs when it is up ends with [`Deadline`](crate::ErrorKind::Deadline),
/// even if its own deadline has not passed.
///
/// [`Info::max_timeout`]: crate::Info::max_timeout
///
/// ```no_run
/// # fn main() -> lunatik::Result<()> {
/// let session = lunatik::Session::open()?;
/// let (fw, counter) = (session.get_state("fw")?, session.get_state("counter")?);
/// let mut batch = session.batch();
/// batch.push(&fw, "192.0.2.1").push(&fw, "192.0.2.2").push(&counter, "2");
/// for answer in batch.send() {
///     println!("{:?}", answer?);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before `send`"]
pub struct Batch {
    session: Arc<Inner>,
    /// The requests, one after the other.
    requests: Vec<u8>,
    slots: Vec<Slot>,
    pace: Pace,
}

/// A message, and what has come of its answer.
struct Slot {
    /// Where its request is.
    request: Range<usize>,
    reply: Option<Vec<u8>>,
    /// What Lua said of an error that follows.
    message: Option<Vec<u8>>,
    traceback: Option<Vec<u8>>,
    /// Whether more must come before it ends.
    open: bool,
    /// Why a reply could not be read.
    failure: Option<Error>,
    end: Option<Result<()>>,
}

/// How many messages go together.
#[derive(Debug, Clone, Copy)]
struct Pace(usize);

impl Batch {
    pub(crate) fn new(session: &Arc<Inner>) -> Self {
        Self {
            session: Arc::clone(session),
            requests: Vec::new(),
            slots: Vec::new(),
            pace: Pace(FIRST),
        }
    }

    /// Adds `data` for `state`, at most [`limits::DATA`](crate::limits::DATA)
    /// bytes. What cannot be sent fails when its turn comes, as every message
    /// that fails.
    pub fn push(&mut self, state: &State, data: impl AsRef<[u8]>) -> &mut Self {
        self.add(state, data.as_ref(), None)
    }

    /// As [`push`](Self::push), with a limit of this run's wall-clock time in
    /// microsecond precision.
    pub fn push_within(
        &mut self,
        state: &State,
        data: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> &mut Self {
        self.add(state, data.as_ref(), Some(timeout))
    }

    fn add(&mut self, state: &State, data: &[u8], timeout: Option<Duration>) -> &mut Self {
        let start = self.requests.len();
        let end = self.write(state, data, timeout).err().map(|error| {
            self.requests.truncate(start);
            Err(error)
        });
        self.slots.push(Slot {
            request: start..self.requests.len(),
            reply: None,
            message: None,
            traceback: None,
            open: false,
            failure: None,
            end,
        });
        self
    }

    fn write(&mut self, state: &State, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        if !Arc::ptr_eq(state.inner(), &self.session) {
            let text = "the state is of another session than the batch";
            return Err(Error::refuse(libc::EINVAL, text));
        }
        let mut request = Request::new(
            &mut self.requests,
            self.session.family.id,
            NlmF::REQUEST,
            0,
            lunatik_cmd::LUNATIK_CMD_SENDDATA,
        );
        state.put_id(&mut request)?;
        put_data(&mut request, data, timeout)?;
        request.finish()
    }

    /// How many messages wait to be sent.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no message waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Sends the messages and gives what each was answered, in order: the string
    /// that the state's receiver returned, nothing if it returned none, or why
    /// the message failed. The batch is empty then and can be filled again, which
    /// spares the memory of a new one.
    ///
    /// Between two of its system calls other threads' requests of the session may
    /// run.
    ///
    /// # Errors
    ///
    /// Each message has its own, those of [`State::send_data`]. Where a system
    /// call failed, all of its messages and all that follow have that error.
    /// [`Lost`](crate::ErrorKind::Lost) are those of which no answer came while
    /// the kernel had no memory for answers. An error of a script has no text where
    /// that, with its traceback, is over 64 KiB and came second to another such.
    pub fn send(&mut self) -> Vec<Result<Option<Vec<u8>>>> {
        let mut next = 0;
        while let Some(first) = self.next_unanswered(next) {
            match self.send_some(first) {
                Ok(()) => next = first,
                Err(error) => {
                    for slot in &mut self.slots[first..] {
                        slot.end.get_or_insert_with(|| Err(error.again()));
                    }
                    break;
                }
            }
        }
        self.requests.clear();
        self.slots.drain(..).map(Slot::into_answer).collect()
    }

    fn next_unanswered(&self, from: usize) -> Option<usize> {
        let slots = self.slots.get(from..)?;
        let next = slots.iter().position(|slot| slot.end.is_none())?;
        Some(from + next)
    }

    /// Sends some messages from `first` on in one system call. All of them but
    /// those that the kernel had no time for are answered then.
    fn send_some(&mut self, first: usize) -> Result<()> {
        let session = Arc::clone(&self.session);
        let mut channel = session.channel();
        let start = self.slots[first].request.start;
        let fit = self.slots[first..]
            .iter()
            .take(self.pace.0.min(channel.depth()))
            .take_while(|slot| slot.end.is_none() && slot.request.end - start <= DATAGRAM);
        let count = fit.count();
        let slots = &mut self.slots[first..][..count];
        let requests = &mut self.requests[start..slots[count - 1].request.end];
        send_together(&mut channel, slots, requests, &mut self.pace)
    }
}

/// Sends `requests`, which are those of `slots`, in one system call.
fn send_together(
    channel: &mut Channel,
    slots: &mut [Slot],
    requests: &mut [u8],
    pace: &mut Pace,
) -> Result<()> {
    let family = channel.family();
    let start = slots[0].request.start;
    let begin = Instant::now();
    let lost = channel.pipeline(requests, slots.len(), |index, requests, message| {
        let slot = &mut slots[index];
        let request = &requests[slot.request.start - start..slot.request.end - start];
        slot.take(message, family, request)
    })?;
    pace.adapt(slots.len(), begin.elapsed());

    for slot in &mut *slots {
        slot.end.get_or_insert_with(|| match (lost, slot.open) {
            (true, _) => Err(unanswered(Error::Lost)),
            (false, true) => Err(Error::protocol("an answer without an end")),
            (false, false) => Ok(()),
        });
    }
    let silent = |slot: &Slot| matches!(&slot.end, Some(Err(error)) if is_silent(error));
    if slots.iter().any(silent) && channel.is_orphaned() {
        for slot in slots.iter_mut().filter(|slot| silent(slot)) {
            slot.end = Some(Err(Error::ModuleMissing));
        }
    }
    // The first had all the time, so each system call brings some further.
    for slot in slots.iter_mut().skip(1) {
        if matches!(&slot.end, Some(Err(error)) if is_not_run(error)) {
            slot.end = None;
        }
    }
    Ok(())
}

/// Whether the kernel had no time left to run the message.
fn is_not_run(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal)
        if refusal.errno == libc::ETIME && refusal.message() == Some(TIME_IS_UP))
}

impl Slot {
    /// Takes a message of the answer; tells whether that ends it.
    fn take(&mut self, message: Message<'_>, family: u16, request: &[u8]) -> bool {
        if self.end.is_some() {
            return false;
        }
        if message.kind == family {
            if self.failure.is_none() {
                self.failure = self.read(message).err();
            }
            self.open |= message.flags.contains(NlmF::MULTI) || self.message.is_some();
            if !self.open {
                self.end = Some(Ok(()));
            }
        } else {
            self.end = match control(message, request) {
                Ok(Step::More) => None,
                Ok(Step::End) if self.message.is_some() => {
                    Some(Err(Error::protocol("an error of a script that succeeded")))
                }
                Ok(Step::End) => Some(Ok(())),
                Err(Error::Refused(mut refusal)) => {
                    let traceback = self.traceback.take();
                    let said = self.message.take();
                    refusal.lua = said.map(|message| LuaError { message, traceback });
                    Some(Err(Error::Refused(refusal)))
                }
                Err(error) => Some(Err(error)),
            };
        }
        self.end.is_some()
    }

    fn read(&mut self, message: Message<'_>) -> Result<()> {
        let (_, attrs) = message.genl()?;
        for attr in attrs {
            let attr = attr?;
            match lunatik_attr::from(attr.kind) {
                lunatik_attr::LUNATIK_A_DATA => self.reply = Some(attr.payload.to_vec()),
                lunatik_attr::LUNATIK_A_ERROR => join(&mut self.message, attr.payload),
                lunatik_attr::LUNATIK_A_TRACEBACK => join(&mut self.traceback, attr.payload),
                _ => {}
            }
        }
        Ok(())
    }

    fn into_answer(self) -> Result<Option<Vec<u8>>> {
        match (self.end, self.failure) {
            (Some(Err(error)), _) | (_, Some(error)) => Err(error),
            _ => Ok(self.reply),
        }
    }
}

impl Pace {
    /// Learns that `count` messages took `time`.
    fn adapt(&mut self, count: usize, time: Duration) {
        let each = time.as_nanos() / (count as u128).max(1);
        let fit = GOAL.as_nanos() / each.max(1);
        self.0 = usize::try_from(fit).unwrap_or(usize::MAX).max(1);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.slots.len())
            .field("bytes", &self.requests.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::{
        ErrorKind, Session,
        fake::{attr, done, error, reply, tlv},
        limits,
        wire::Messages,
    };

    const CMD: lunatik_cmd = lunatik_cmd::LUNATIK_CMD_SENDDATA;

    fn data(sequence: u32, data: &[u8]) -> Vec<u8> {
        let data = attr(lunatik_attr::LUNATIK_A_DATA, data);
        reply(NlmF::empty(), sequence, CMD, &data)
    }

    fn said(flags: NlmF, sequence: u32, text: &[u8]) -> Vec<u8> {
        let said = attr(lunatik_attr::LUNATIK_A_ERROR, text);
        reply(flags, sequence, CMD, &said)
    }

    fn not_run(sequence: u32) -> Vec<u8> {
        let text = [TIME_IS_UP.as_bytes(), b"\0"].concat();
        error(sequence, libc::ETIME, &tlv(1, &text))
    }

    /// What `count` messages are answered when the kernel answers with these
    /// datagrams.
    fn answered(
        count: usize,
        datagrams: &[Vec<u8>],
    ) -> (Vec<Result<Option<Vec<u8>>>>, UnixDatagram) {
        let (session, kernel) = Session::fake();
        for datagram in datagrams {
            kernel.send(datagram).expect("room");
        }
        let messages = (0..count).map(|n| n.to_string());
        (session.state("fw").send_all(messages), kernel)
    }

    /// The sequence number, the state's name and the data of each request in the
    /// next datagram.
    fn sent(kernel: &UnixDatagram) -> Vec<(u32, String, Vec<u8>)> {
        let mut datagram = vec![0; 1 << 20];
        let length = kernel.recv(&mut datagram).expect("sent");
        let read = |message: Result<Message<'_>>| {
            let message = message.expect("well-formed");
            assert_eq!(message.flags, NlmF::REQUEST);
            let (cmd, attrs) = message.genl().expect("a command");
            assert_eq!(cmd, CMD);
            let (mut name, mut data) = (None, None);
            for attr in attrs.map(|attr| attr.expect("well-formed")) {
                match lunatik_attr::from(attr.kind) {
                    lunatik_attr::LUNATIK_A_STATE_NAME => name = attr.string().ok(),
                    lunatik_attr::LUNATIK_A_DATA => data = Some(attr.payload.to_vec()),
                    _ => {}
                }
            }
            (message.sequence, name.expect("a name"), data.expect("data"))
        };
        Messages(&datagram[..length]).map(read).collect()
    }

    fn kinds(answers: Vec<Result<Option<Vec<u8>>>>) -> Vec<Result<Option<Vec<u8>>, ErrorKind>> {
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| error.kind()))
            .collect()
    }

    #[test]
    fn messages_go_in_one_datagram_and_answers_come_in_order() {
        let (answers, kernel) = answered(
            5,
            &[
                data(1, b"first"),
                // The second succeeds with nothing to tell.
                said(NlmF::empty(), 3, b"fw:1: boom"),
                error(3, libc::EREMOTEIO, &[]),
                [data(4, b""), data(5, b"last")].concat(),
            ],
        );
        assert_eq!(
            answers[2].as_ref().expect_err("failed").to_string(),
            "fw:1: boom (EREMOTEIO)"
        );
        assert_eq!(
            kinds(answers),
            [
                Ok(Some(b"first".to_vec())),
                Ok(None),
                Err(ErrorKind::Script),
                Ok(Some(vec![])),
                Ok(Some(b"last".to_vec())),
            ]
        );
        let expected: Vec<_> = (0..5)
            .map(|n| (n + 1, "fw".to_owned(), n.to_string().into_bytes()))
            .collect();
        assert_eq!(sent(&kernel), expected);
        assert!(kernel.recv(&mut [0; 16]).is_err(), "another datagram");
    }

    #[test]
    fn silence_is_success() {
        let (answers, _kernel) = answered(3, &[]);
        assert_eq!(kinds(answers), [Ok(None), Ok(None), Ok(None)]);
    }

    #[test]
    fn nothing_is_sent_for_no_messages() {
        let (answers, kernel) = answered(0, &[]);
        assert!(answers.is_empty());
        assert!(kernel.recv(&mut [0; 16]).is_err());
    }

    #[test]
    fn long_answer_may_have_others_between_its_parts() {
        let traceback = attr(lunatik_attr::LUNATIK_A_TRACEBACK, b"stack traceback:");
        let (answers, _kernel) = answered(
            3,
            &[
                said(NlmF::MULTI, 1, b"fw:1: "),
                error(2, libc::EREMOTEIO, &[]),
                data(3, b"third"),
                said(NlmF::MULTI, 1, b"boom"),
                reply(NlmF::MULTI, 1, CMD, &traceback),
                done(1, libc::EREMOTEIO, &[]),
            ],
        );
        let lua = answers[0].as_ref().expect_err("failed").lua();
        let lua = lua.expect("Lua said something");
        assert_eq!(lua.message(), "fw:1: boom");
        assert_eq!(lua.traceback().as_deref(), Some("stack traceback:"));
        let textless = answers[1].as_ref().expect_err("failed");
        assert_eq!(textless.kind(), ErrorKind::Script);
        assert_eq!(textless.lua(), None);
        assert_eq!(
            answers[2].as_ref().expect("succeeded").as_deref(),
            Some(&b"third"[..])
        );
    }

    #[test]
    fn what_the_kernel_had_no_time_for_is_sent_again() {
        let (answers, kernel) = answered(
            4,
            &[
                [
                    data(1, b"a"),
                    error(2, libc::ETIME, &[]),
                    not_run(3),
                    not_run(4),
                ]
                .concat(),
                [data(5, b"c"), data(6, b"d")].concat(),
            ],
        );
        assert_eq!(
            kinds(answers),
            [
                Ok(Some(b"a".to_vec())),
                Err(ErrorKind::Deadline),
                Ok(Some(b"c".to_vec())),
                Ok(Some(b"d".to_vec())),
            ]
        );
        assert_eq!(sent(&kernel).len(), 4);
        let again: Vec<_> = sent(&kernel)
            .into_iter()
            .map(|(sequence, _, data)| (sequence, data))
            .collect();
        assert_eq!(again, [(5, b"2".to_vec()), (6, b"3".to_vec())]);
    }

    #[test]
    fn first_message_is_not_sent_for_ever() {
        let (answers, kernel) = answered(1, &[not_run(1)]);
        assert_eq!(kinds(answers), [Err(ErrorKind::Deadline)]);
        sent(&kernel);
        assert!(kernel.recv(&mut [0; 16]).is_err());
    }

    #[test]
    fn what_cannot_be_sent_fails_in_its_turn() {
        let (session, kernel) = Session::fake();
        for datagram in [data(1, b"1"), data(2, b"5")] {
            kernel.send(&datagram).expect("room");
        }
        let (other, _) = Session::fake();
        let fw = session.state("fw");
        let mut batch = session.batch();
        batch
            .push(&fw, "1")
            .push(&fw, vec![0; limits::DATA + 1])
            .push(&other.state("fw"), "3")
            .push_within(&fw, "4", Duration::from_secs(1 << 40))
            .push(&session.state("nat"), "5");
        assert_eq!(batch.len(), 5);
        let answers = batch.send();
        assert!(batch.is_empty());
        assert_eq!(
            kinds(answers),
            [
                Ok(Some(b"1".to_vec())),
                Err(ErrorKind::TooLarge),
                Err(ErrorKind::Invalid),
                Err(ErrorKind::OutOfRange),
                Ok(Some(b"5".to_vec())),
            ]
        );
        assert_eq!(sent(&kernel), [(1, "fw".to_owned(), b"1".to_vec())]);
        assert_eq!(sent(&kernel), [(2, "nat".to_owned(), b"5".to_vec())]);
    }

    #[test]
    fn batch_can_be_filled_again() {
        let (session, kernel) = Session::fake();
        kernel.send(&data(1, b"one")).expect("room");
        let fw = session.state("fw");
        let mut batch = session.batch();
        for expected in [Some(b"one".to_vec()), None] {
            batch.push(&fw, "x");
            assert_eq!(kinds(batch.send()), [Ok(expected)]);
        }
        assert_eq!(sent(&kernel)[0].0, 1);
        assert_eq!(sent(&kernel)[0].0, 2);
    }

    #[test]
    fn datagrams_have_a_size_that_any_socket_sends() {
        let (session, kernel) = Session::fake();
        let large = vec![b'x'; limits::DATA];
        kernel
            .send(&[data(1, b"1"), data(2, b"2")].concat())
            .expect("room");
        kernel
            .send(&[data(3, b"3"), data(4, b"4")].concat())
            .expect("room");
        kernel.send(&data(5, b"5")).expect("room");
        kernel.set_nonblocking(false).expect("a socket");
        // More than a socket pair queues.
        let reading = std::thread::spawn(move || [(); 3].map(|()| sent(&kernel).len()));
        let mut batch = session.batch();
        let fw = session.state("fw");
        for _ in 0..5 {
            batch.push(&fw, &large);
        }
        let answers = batch.send();
        let datagrams = reading.join().expect("no panic");
        assert_eq!(datagrams, [2, 2, 1]);
        let expected: Vec<_> = (1..=5)
            .map(|n| Ok(Some(n.to_string().into_bytes())))
            .collect();
        assert_eq!(kinds(answers), expected);
    }

    #[test]
    fn failing_system_call_befalls_all_that_follow() {
        let (session, kernel) = Session::fake();
        drop(kernel);
        let answers = session.state("fw").send_all(["1", "2", "3"]);
        let io = Err(ErrorKind::Io);
        assert_eq!(kinds(answers), [io.clone(), io.clone(), io]);
    }

    #[test]
    fn answers_that_make_no_sense_are_errors_of_their_messages() {
        let (answers, _kernel) = answered(
            4,
            &[
                reply(NlmF::empty(), 1, CMD, &[3, 0, 0, 0]),
                [said(NlmF::empty(), 2, b"boom"), error(2, 0, &[])].concat(),
                said(NlmF::MULTI, 3, b"boom"),
                data(4, b"4"),
            ],
        );
        let protocol = Err(ErrorKind::Protocol);
        assert_eq!(
            kinds(answers),
            [
                protocol.clone(),
                protocol.clone(),
                protocol,
                Ok(Some(b"4".to_vec()))
            ]
        );
    }

    #[test]
    fn pace_follows_the_time_that_messages_take() {
        let mut pace = Pace(FIRST);
        pace.adapt(10, Duration::from_micros(100));
        assert_eq!(pace.0, 10_000);
        pace.adapt(10, GOAL);
        assert_eq!(pace.0, 10);
        pace.adapt(1, Duration::from_secs(3));
        assert_eq!(pace.0, 1);
        pace.adapt(1, Duration::ZERO);
        assert!(pace.0 > 10_000);
    }
}
