// SPDX-License-Identifier: MIT OR Apache-2.0
//! Batches: many messages to states in one system call.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use lunatik_sys::{lunatik_attr, lunatik_cmd};
use nix::libc;

use crate::{
    call::join,
    channel::{Answer, Next, SEND_BUFFER},
    error::{Error, LuaError, Refusal, Result},
    limits,
    session::{Inner, microseconds},
    state::{Id, State},
    wire::{self, Attrs},
};

/// Bytes of the messages of one request. What it has beside them fits any socket's
/// buffer, too.
const TOGETHER: usize = SEND_BUFFER - 256;

/// Data for states of one session, sent many messages in one system call.
///
/// [`State::send_data`] makes two system calls for each message, this makes two for
/// many: messages that follow each other go together, up to 128 KiB of them, if
/// they are for the same state and have the same limit of time.
///
/// Each message is run as if it had been sent alone, in the order of
/// [`push`](Self::push), whether those before it succeed or fail, and has its
/// limit of time for itself. Those that go together have the state for themselves
/// until all of them have been run or 100 ms have passed; the library sends the
/// others again then. So a limit that is less than 100 ms below
/// [`Info::max_timeout`] may come that much sooner.
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
    /// The data of all messages, as attributes of a request.
    data: Vec<u8>,
    slots: Vec<Slot>,
    groups: Vec<Group>,
}

/// A message.
struct Slot {
    /// Where its attribute is.
    data: Range<usize>,
    /// What came of it, if that is not success with nothing to tell.
    answer: Option<Result<Vec<u8>>>,
}

/// Messages that differ in nothing but their data.
struct Group {
    state: Id,
    /// In microseconds.
    timeout: Option<u32>,
    slots: Range<usize>,
}

impl Batch {
    pub(crate) fn new(session: &Arc<Inner>) -> Self {
        Self {
            session: Arc::clone(session),
            data: Vec::new(),
            slots: Vec::new(),
            groups: Vec::new(),
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
        let start = self.data.len();
        let answer = self.write(state, data, timeout).err().map(Err);
        let data = start..self.data.len();
        self.slots.push(Slot { data, answer });
        self
    }

    fn write(&mut self, state: &State, data: &[u8], timeout: Option<Duration>) -> Result<()> {
        if !Arc::ptr_eq(state.inner(), &self.session) {
            let text = "the state is of another session than the batch";
            return Err(Error::refuse(libc::EINVAL, text));
        }
        if data.len() > limits::DATA {
            return Err(Error::too_large("DATA", data.len(), limits::DATA));
        }
        let timeout = timeout.map(microseconds).transpose()?;
        wire::put_bytes(&mut self.data, lunatik_attr::LUNATIK_A_MESSAGE, data)?;

        let index = self.slots.len();
        let id = state.request_id();
        match self.groups.last_mut() {
            Some(group)
                if group.slots.end == index && group.timeout == timeout && group.state == *id =>
            {
                group.slots.end += 1;
            }
            _ => self.groups.push(Group {
                state: id.clone(),
                timeout,
                slots: index..index + 1,
            }),
        }
        Ok(())
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
    /// Each message has its own, those of [`State::send_data`]. Those that go
    /// together are refused together, when there is no such state, say. Where a
    /// system call failed, its messages and all that follow have that error. Of
    /// messages whose error says that there was no room for the answer, in the
    /// kernel's memory or in the namespace's quota, it is not known whether they
    /// were run.
    pub fn send(&mut self) -> Vec<Result<Option<Vec<u8>>>> {
        'groups: for group in &self.groups {
            let mut first = group.slots.start;
            while first < group.slots.end {
                let slots = &mut self.slots[first..group.slots.end];
                match group.send(&self.session, &self.data, slots) {
                    Ok(taken) => first += taken,
                    Err(error) => {
                        fail(&mut self.slots[first..], &error);
                        break 'groups;
                    }
                }
            }
        }
        self.groups.clear();
        self.data.clear();
        let answers = self.slots.drain(..).map(|slot| slot.answer.transpose());
        answers.collect()
    }
}

impl Group {
    /// Sends the first of the messages, as many as go together, and tells how many
    /// of them have their answer now. An error is one of the system call.
    fn send(&self, session: &Inner, data: &[u8], slots: &mut [Slot]) -> Result<usize> {
        let start = slots[0].data.start;
        let count = slots
            .partition_point(|slot| slot.data.end - start <= TOGETHER)
            .max(1);
        let slots = &mut slots[..count];
        let data = &data[start..slots[count - 1].data.end];
        let mut answers = Answers {
            slots,
            said: None,
            taken: None,
        };
        let sent = session.request(
            lunatik_cmd::LUNATIK_CMD_SENDDATA,
            Answer::Reply,
            |request| {
                self.state.put(request)?;
                if let Some(timeout) = self.timeout {
                    request.u32(lunatik_attr::LUNATIK_A_TIMEOUT, timeout)?;
                }
                request.attributes(data);
                Ok(())
            },
            |attrs| {
                answers.read(attrs)?;
                Ok(Next::End)
            },
        );
        match (sent, answers.taken) {
            (Err(error @ Error::Io { .. }), _) => Err(error),
            (Err(error), _) => {
                fail(slots, &error);
                Ok(count)
            }
            (Ok(()), Some(taken)) if (1..=count).contains(&taken) => Ok(taken),
            (Ok(()), taken) => {
                fail(
                    slots,
                    &Error::protocol(format!("of {count} messages {taken:?} were run")),
                );
                Ok(count)
            }
        }
    }
}

/// Gives the error to those that have no answer.
fn fail(slots: &mut [Slot], error: &Error) {
    for slot in slots {
        slot.answer.get_or_insert_with(|| Err(error.again()));
    }
}

/// What a request is answered.
struct Answers<'a> {
    slots: &'a mut [Slot],
    /// What Lua said of an error, the number of which follows.
    said: Option<LuaError>,
    taken: Option<usize>,
}

impl Answers<'_> {
    /// Takes a part of the reply.
    fn read(&mut self, attrs: Attrs<'_>) -> Result<()> {
        for attr in attrs {
            let attr = attr?;
            match lunatik_attr::from(attr.kind) {
                lunatik_attr::LUNATIK_A_ANSWER => self.take(Attrs(attr.payload))?,
                lunatik_attr::LUNATIK_A_TAKEN => self.taken = usize::try_from(attr.u32()?).ok(),
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, mut attrs: Attrs<'_>) -> Result<()> {
        let mut next = || attrs.next().transpose()?.ok_or_else(incomplete);
        let (index, what) = (next()?, next()?);
        let index = usize::try_from(index.u32()?).unwrap_or(usize::MAX);
        let slot = self.slots.get_mut(index).ok_or_else(incomplete)?;
        match lunatik_attr::from(what.kind) {
            lunatik_attr::LUNATIK_A_DATA => slot.answer = Some(Ok(what.payload.to_vec())),
            lunatik_attr::LUNATIK_A_ERROR => {
                self.said = Some(LuaError {
                    message: what.payload.to_vec(),
                    traceback: None,
                });
            }
            lunatik_attr::LUNATIK_A_TRACEBACK => {
                if let Some(said) = &mut self.said {
                    join(&mut said.traceback, what.payload);
                }
            }
            lunatik_attr::LUNATIK_A_ERRNO => {
                let errno = i32::try_from(what.u32()?).map_err(|_| incomplete())?;
                slot.answer = Some(Err(Error::Refused(Box::new(Refusal {
                    errno,
                    message: None,
                    offset: None,
                    attribute: None,
                    lua: self.said.take(),
                }))));
            }
            _ => {}
        }
        Ok(())
    }
}

fn incomplete() -> Error {
    Error::protocol("an answer that makes no sense")
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.slots.len())
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, thread};

    use neli::consts::nl::NlmF;

    use super::*;
    use crate::{
        ErrorKind, Session,
        fake::{attr, done, error, reply},
        wire::Messages,
    };

    const CMD: lunatik_cmd = lunatik_cmd::LUNATIK_CMD_SENDDATA;

    fn answer(index: u32, kind: lunatik_attr, payload: &[u8]) -> Vec<u8> {
        let index = attr(lunatik_attr::LUNATIK_A_INDEX, &index.to_ne_bytes());
        let inner = [index, attr(kind, payload)].concat();
        attr(lunatik_attr::LUNATIK_A_ANSWER, &inner)
    }

    fn data(index: u32, data: &[u8]) -> Vec<u8> {
        answer(index, lunatik_attr::LUNATIK_A_DATA, data)
    }

    fn said(index: u32, text: &[u8]) -> Vec<u8> {
        answer(index, lunatik_attr::LUNATIK_A_ERROR, text)
    }

    fn failed(index: u32, errno: i32) -> Vec<u8> {
        answer(index, lunatik_attr::LUNATIK_A_ERRNO, &errno.to_ne_bytes())
    }

    fn taken(count: u32) -> Vec<u8> {
        attr(lunatik_attr::LUNATIK_A_TAKEN, &count.to_ne_bytes())
    }

    /// A whole reply.
    fn told(sequence: u32, attrs: &[Vec<u8>]) -> Vec<u8> {
        reply(NlmF::empty(), sequence, CMD, &attrs.concat())
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

    /// The state's name, the limit of time and the data in the next datagram,
    /// which is one request.
    fn sent(kernel: &UnixDatagram) -> (String, Option<u32>, Vec<Vec<u8>>) {
        let mut datagram = vec![0; 1 << 20];
        let length = kernel.recv(&mut datagram).expect("sent");
        let mut messages = Messages(&datagram[..length]);
        let message = messages.next().expect("one").expect("well-formed");
        assert!(messages.next().is_none(), "another request");
        assert_eq!(message.flags, NlmF::REQUEST);
        let (cmd, attrs) = message.genl().expect("a command");
        assert_eq!(cmd, CMD);
        let (mut name, mut timeout, mut data) = (None, None, Vec::new());
        for attr in attrs.map(|attr| attr.expect("well-formed")) {
            match lunatik_attr::from(attr.kind) {
                lunatik_attr::LUNATIK_A_STATE_NAME => name = attr.string().ok(),
                lunatik_attr::LUNATIK_A_TIMEOUT => timeout = attr.u32().ok(),
                lunatik_attr::LUNATIK_A_MESSAGE => data.push(attr.payload.to_vec()),
                other => panic!("{other:?}"),
            }
        }
        (name.expect("a name"), timeout, data)
    }

    fn texts<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
        texts.map(|text| text.as_bytes().to_vec()).into()
    }

    fn kinds(answers: Vec<Result<Option<Vec<u8>>>>) -> Vec<Result<Option<Vec<u8>>, ErrorKind>> {
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| error.kind()))
            .collect()
    }

    #[test]
    fn messages_go_in_one_request_and_answers_find_theirs() {
        let (answers, kernel) = answered(
            5,
            &[told(
                1,
                &[
                    data(0, b"first"),
                    // The second succeeds with nothing to tell.
                    said(2, b"fw:1: boom"),
                    answer(2, lunatik_attr::LUNATIK_A_TRACEBACK, b"stack traceback:"),
                    failed(2, libc::EREMOTEIO),
                    data(3, b""),
                    failed(4, libc::ENOMEM),
                    taken(5),
                ],
            )],
        );
        let error = answers[2].as_ref().expect_err("failed");
        assert_eq!(error.to_string(), "fw:1: boom (EREMOTEIO)");
        let traceback = error.lua().expect("Lua said something").traceback();
        assert_eq!(traceback.as_deref(), Some("stack traceback:"));
        assert_eq!(answers[4].as_ref().expect_err("failed").lua(), None);
        assert_eq!(
            kinds(answers),
            [
                Ok(Some(b"first".to_vec())),
                Ok(None),
                Err(ErrorKind::Script),
                Ok(Some(vec![])),
                Err(ErrorKind::OutOfMemory),
            ]
        );
        let expected = texts(["0", "1", "2", "3", "4"]);
        assert_eq!(sent(&kernel), ("fw".to_owned(), None, expected));
        assert!(kernel.recv(&mut [0; 16]).is_err(), "another datagram");
    }

    #[test]
    fn nothing_is_sent_for_no_messages() {
        let (answers, kernel) = answered(0, &[]);
        assert!(answers.is_empty());
        assert!(kernel.recv(&mut [0; 16]).is_err());
    }

    #[test]
    fn long_reply_comes_in_parts() {
        let (answers, _kernel) = answered(
            2,
            &[
                reply(NlmF::MULTI, 1, CMD, &data(0, b"first")),
                reply(NlmF::MULTI, 1, CMD, &said(1, b"boom")),
                reply(
                    NlmF::MULTI,
                    1,
                    CMD,
                    &[failed(1, libc::ETIME), taken(2)].concat(),
                ),
                done(1, 0, &[]),
            ],
        );
        assert_eq!(
            answers[1].as_ref().expect_err("failed").to_string(),
            "boom (ETIME)"
        );
        assert_eq!(
            kinds(answers),
            [Ok(Some(b"first".to_vec())), Err(ErrorKind::Deadline)]
        );
    }

    #[test]
    fn what_was_not_run_is_sent_again() {
        let (answers, kernel) = answered(
            4,
            &[
                told(1, &[data(0, b"a"), failed(1, libc::ETIME), taken(2)]),
                told(2, &[data(0, b"c"), taken(1)]),
                told(3, &[data(0, b"d"), taken(1)]),
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
        assert_eq!(sent(&kernel).2.len(), 4);
        assert_eq!(sent(&kernel).2, texts(["2", "3"]));
        assert_eq!(sent(&kernel).2, texts(["3"]));
        assert!(kernel.recv(&mut [0; 16]).is_err());
    }

    #[test]
    fn what_differs_in_more_than_data_goes_apart() {
        let (session, kernel) = Session::fake();
        for sequence in 1..=5 {
            let count = if sequence == 1 { 2 } else { 1 };
            kernel.send(&told(sequence, &[taken(count)])).expect("room");
        }
        let (fw, nat) = (session.state("fw"), session.state("nat"));
        let second = Duration::from_secs(1);
        let mut batch = session.batch();
        batch.push(&fw, "1").push(&fw, "2").push(&nat, "3");
        batch.push(&fw, "4").push_within(&fw, "5", second);
        batch.push_within(&fw, "6", second * 2);
        assert_eq!(batch.len(), 6);
        let answers = batch.send();
        assert!(batch.is_empty());
        assert_eq!(kinds(answers), vec![Ok(None); 6]);
        for (name, timeout, data) in [
            ("fw", None, &["1", "2"][..]),
            ("nat", None, &["3"]),
            ("fw", None, &["4"]),
            ("fw", Some(1_000_000), &["5"]),
            ("fw", Some(2_000_000), &["6"]),
        ] {
            let data = data.iter().map(|data| data.as_bytes().to_vec()).collect();
            assert_eq!(sent(&kernel), (name.to_owned(), timeout, data));
        }
    }

    #[test]
    fn what_cannot_be_sent_fails_in_its_turn() {
        let (session, kernel) = Session::fake();
        for datagram in [
            told(1, &[data(0, b"1"), taken(1)]),
            told(2, &[data(1, b"6"), taken(2)]),
        ] {
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
            .push(&fw, "5")
            .push(&fw, "6");
        assert_eq!(
            kinds(batch.send()),
            [
                Ok(Some(b"1".to_vec())),
                Err(ErrorKind::TooLarge),
                Err(ErrorKind::Invalid),
                Err(ErrorKind::OutOfRange),
                Ok(None),
                Ok(Some(b"6".to_vec())),
            ]
        );
        assert_eq!(sent(&kernel).2, texts(["1"]));
        assert_eq!(sent(&kernel).2, texts(["5", "6"]));
    }

    #[test]
    fn batch_can_be_filled_again() {
        let (session, kernel) = Session::fake();
        let fw = session.state("fw");
        let mut batch = session.batch();
        for (sequence, text) in [(1, "one"), (2, "two")] {
            let reply = told(sequence, &[data(0, text.as_bytes()), taken(1)]);
            kernel.send(&reply).expect("room");
            batch.push(&fw, text);
            assert_eq!(kinds(batch.send()), [Ok(Some(text.as_bytes().to_vec()))]);
            assert_eq!(sent(&kernel).2, texts([text]));
        }
    }

    #[test]
    fn requests_have_a_size_that_any_socket_sends() {
        let (session, kernel) = Session::fake();
        let large = vec![b'x'; limits::DATA];
        for (sequence, count) in [(1, 2), (2, 2), (3, 1)] {
            kernel.send(&told(sequence, &[taken(count)])).expect("room");
        }
        kernel.set_nonblocking(false).expect("a socket");
        // More than a socket pair queues.
        let reading = thread::spawn(move || [(); 3].map(|()| sent(&kernel).2.len()));
        let answers = session.state("fw").send_all(vec![large; 5]);
        assert_eq!(reading.join().expect("no panic"), [2, 2, 1]);
        assert_eq!(kinds(answers), vec![Ok(None); 5]);
    }

    #[test]
    fn refusal_is_for_all_that_went_together() {
        let (session, kernel) = Session::fake();
        for datagram in [
            // What is told of some of them stays.
            told(9, &[data(0, b"late"), taken(3)]),
            error(1, libc::ESHUTDOWN, &[]),
            told(2, &[data(0, b"3"), taken(1)]),
        ] {
            kernel.send(&datagram).expect("room");
        }
        let (fw, nat) = (session.state("fw"), session.state("nat"));
        let mut batch = session.batch();
        batch.push(&fw, "1").push(&fw, "2").push(&nat, "3");
        assert_eq!(
            kinds(batch.send()),
            [
                Err(ErrorKind::Closed),
                Err(ErrorKind::Closed),
                Ok(Some(b"3".to_vec()))
            ]
        );
    }

    #[test]
    fn failing_system_call_befalls_all_that_follow() {
        let (session, kernel) = Session::fake();
        drop(kernel);
        let (fw, nat) = (session.state("fw"), session.state("nat"));
        let mut batch = session.batch();
        batch.push(&fw, "1").push(&nat, "2").push(&fw, "3");
        let io = Err(ErrorKind::Io);
        assert_eq!(kinds(batch.send()), [io.clone(), io.clone(), io]);
    }

    #[test]
    fn answers_that_make_no_sense_are_errors() {
        for attrs in [
            vec![],
            vec![data(0, b"no count")],
            vec![taken(0)],
            vec![taken(4)],
            vec![data(3, b"not asked"), taken(3)],
            vec![attr(lunatik_attr::LUNATIK_A_ANSWER, &[]), taken(3)],
            vec![answer(0, lunatik_attr::LUNATIK_A_ERRNO, b"?"), taken(3)],
        ] {
            let (answers, kernel) = answered(3, &[told(1, &attrs)]);
            let answers = kinds(answers);
            assert_eq!(answers[2], Err(ErrorKind::Protocol), "{attrs:?}");
            sent(&kernel);
            assert!(kernel.recv(&mut [0; 16]).is_err(), "{attrs:?} sent again");
        }
    }
}
