// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sessions: a client's control channel in one network namespace.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lunatik_sys::{lunatik_attr, lunatik_cmd, lunatik_flag};
use nix::libc;

use crate::{
    batch::Batch,
    channel::{Answer, Channel, Next},
    description::{Context, Description, Info, missing},
    error::{Error, Result},
    events::Events,
    family::Family,
    limits,
    log::LogFollow,
    netns::Netns,
    state::{Id, State},
    wire::{Attrs, Request},
};

/// How often a dump that changed while it was read is tried.
const DUMP_TRIES: usize = 16;

/// A control channel in one network namespace.
///
/// References to states belong to a session; they end with it, when the last of
/// its clones and of its [`State`]s is dropped.
///
/// A session is `Send` and `Sync`, and clones of it share it. Its requests run
/// one at a time: while one runs in the kernel, other threads that use the
/// session wait. Threads that should not wait for each other open a session
/// each.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    channel: Mutex<Channel>,
    pub(crate) family: Family,
    netns: Netns,
    /// The control socket's port id and network namespace.
    port: u32,
    cookie: Option<u64>,
}

impl Session {
    /// Opens a session in the calling thread's network namespace. Loads the
    /// module if it is installed, not loaded and may be loaded.
    ///
    /// Subscriptions and event streams are opened in the namespace of the thread
    /// that asks for them, which must be this one still.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ModuleMissing`](crate::ErrorKind::ModuleMissing) when the
    /// kernel does not have the module.
    pub fn open() -> Result<Self> {
        Self::open_in(Netns::Current)
    }

    /// Opens a session in the network namespace that iproute2 calls `name`, or
    /// that the path `name` leads to when it contains a `/`. The calling thread
    /// stays where it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoNamespace`](crate::ErrorKind::NoNamespace) when there is no
    /// such namespace, [`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted)
    /// when the process may not enter it, and those of [`open`](Self::open).
    pub fn in_netns(name: impl AsRef<str>) -> Result<Self> {
        Self::open_in(Netns::named(name.as_ref())?)
    }

    /// Opens a session in the network namespace of process `pid`. The calling
    /// thread stays where it is.
    ///
    /// # Errors
    ///
    /// Those of [`in_netns`](Self::in_netns).
    pub fn of_pid(pid: u32) -> Result<Self> {
        Self::open_in(Netns::of_pid(pid)?)
    }

    fn open_in(netns: Netns) -> Result<Self> {
        let socket = netns.socket(None)?;
        let (port, cookie) = (socket.port()?, socket.netns());
        let (channel, family) = Channel::control(socket)?;
        Ok(Self(Arc::new(Inner {
            channel: Mutex::new(channel),
            family,
            netns,
            port,
            cookie,
        })))
    }

    /// Starts to make a state called `name`: 1 to [`limits::STATE_NAME`] bytes of
    /// printable ASCII without `/`.
    pub fn new_state<'a>(&'a self, name: &'a str) -> NewState<'a> {
        NewState {
            session: self,
            name,
            max_alloc: None,
            timeout: None,
            context: None,
            flags: 0,
        }
    }

    /// Takes a reference to the state called `name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoState`](crate::ErrorKind::NoState) when there is none.
    pub fn get_state(&self, name: &str) -> Result<State> {
        State::get(self, &Id::Name(name.to_owned()))
    }

    /// Takes a reference to the state with the number `id`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoState`](crate::ErrorKind::NoState) when there is none.
    pub fn get_state_by_id(&self, id: u32) -> Result<State> {
        State::get(self, &Id::Number(id))
    }

    /// A handle to the state called `name`, whether there is one or not: nothing
    /// is sent, no reference is taken, and each request looks the name up.
    pub fn state(&self, name: impl Into<String>) -> State {
        State::handle(self, Id::Name(name.into()))
    }

    /// A handle to the state with the number `id`, as [`state`](Self::state).
    pub fn state_by_id(&self, id: u32) -> State {
        State::handle(self, Id::Number(id))
    }

    /// Every state of the namespace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Inconsistent`](crate::ErrorKind::Inconsistent) when states
    /// came and went each time while the kernel listed them.
    pub fn states(&self) -> Result<Vec<Description>> {
        self.0.dump(
            lunatik_cmd::LUNATIK_CMD_GETSTATE,
            |_| Ok(()),
            Description::read,
        )
    }

    /// Calls `body` in the session's network namespace: on a thread of its own if
    /// the session was opened by the name of a namespace or the number of a
    /// process, else as it is called.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted) when the process
    /// may not enter the namespace any more.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        self.0.netns.within(body)
    }

    /// What the namespace uses, its quotas, and the ceilings for one state.
    pub fn info(&self) -> Result<Info> {
        let mut info = None;
        self.0.request(
            lunatik_cmd::LUNATIK_CMD_GETINFO,
            Answer::Reply,
            |_| Ok(()),
            |attrs| {
                info = Some(Info::read(attrs)?);
                Ok(Next::End)
            },
        )?;
        info.ok_or_else(|| missing("everything"))
    }

    /// Starts a batch: data for states of this session, many messages in one system
    /// call.
    pub fn batch(&self) -> Batch {
        Batch::new(&self.0)
    }

    /// What happens to the namespace's states from now on.
    pub fn events(&self) -> Result<Events> {
        Events::open(&self.0)
    }

    /// What the namespace's states log from now on. [`State::log`] has the lines
    /// before.
    pub fn log_follow(&self) -> Result<LogFollow> {
        LogFollow::open(&self.0)
    }

    /// The port id of the control channel, which tells one session from another
    /// in the kernel.
    pub fn port_id(&self) -> u32 {
        self.0.port
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("port", &self.0.port)
            .field("netns", &self.0.netns)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn channel(&self) -> MutexGuard<'_, Channel> {
        // A channel is consistent between any two messages.
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    pub(crate) fn request(
        &self,
        cmd: lunatik_cmd,
        answer: Answer,
        write: impl FnOnce(&mut Request<'_>) -> Result<()>,
        read: impl FnMut(Attrs<'_>) -> Result<Next>,
    ) -> Result<()> {
        self.channel().request(cmd, answer, write, read).map(drop)
    }

    /// Lists what `cmd` dumps, again while it changes as it is read.
    pub(crate) fn dump<T>(
        &self,
        cmd: lunatik_cmd,
        write: impl Fn(&mut Request<'_>) -> Result<()>,
        read: impl Fn(Attrs<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut channel = self.channel();
        for _ in 0..DUMP_TRIES {
            let mut items = Vec::new();
            let interrupted = channel.request(cmd, Answer::Dump, &write, |attrs| {
                items.push(read(attrs)?);
                Ok(Next::End)
            })?;
            if !interrupted {
                return Ok(items);
            }
        }
        Err(Error::Inconsistent)
    }

    /// Opens a socket of this session for what comes unasked; `waiting` bytes
    /// of it may wait to be read.
    pub(crate) fn listen(&self, group: Option<u32>, waiting: usize) -> Result<Channel> {
        let socket = self.netns.socket(group)?;
        if socket.netns() != self.cookie {
            return Err(Error::refuse(
                libc::EXDEV,
                "the calling thread has left the session's network namespace",
            ));
        }
        Ok(Channel::listening(socket, self.family, waiting))
    }
}

/// A state about to be made.
#[derive(Debug, Clone)]
#[must_use = "nothing is made before `create`"]
pub struct NewState<'a> {
    session: &'a Session,
    name: &'a str,
    max_alloc: Option<u32>,
    timeout: Option<Duration>,
    context: Option<Context>,
    flags: u32,
}

impl NewState<'_> {
    /// Caps the memory of the state, in bytes; at least
    /// [`limits::MAX_ALLOC_MIN`], at most [`Info::max_alloc`]. 1 MiB unless set.
    pub fn max_alloc(mut self, bytes: u32) -> Self {
        self.max_alloc = Some(bytes);
        self
    }

    /// Limits the wall-clock time of each run, with microsecond precision, at
    /// most [`Info::max_timeout`]. [`Info::timeout`] unless set.
    ///
    /// In a softirq state this limits what runs while packets wait: hooks, timers,
    /// and scripts once the state has either. It is at most
    /// [`Info::max_softirq_timeout`], and [`Info::softirq_timeout`] unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says where the state runs, for its whole life. In a process unless set.
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Whether the state has a replica for each CPU, each with a cap of its own on
    /// its memory; it must run in [`Context::Softirq`] then. It has not unless set.
    pub fn percpu(self, percpu: bool) -> Self {
        self.flag(lunatik_flag::LUNATIK_F_PERCPU, percpu)
    }

    /// Whether the state closes with its last reference. It does not unless set.
    pub fn ephemeral(self, ephemeral: bool) -> Self {
        self.flag(lunatik_flag::LUNATIK_F_EPHEMERAL, ephemeral)
    }

    fn flag(mut self, flag: lunatik_flag, on: bool) -> Self {
        self.flags = if on {
            self.flags | flag.0
        } else {
            self.flags & !flag.0
        };
        self
    }

    /// Makes the state and takes a reference to it.
    ///
    /// # Errors
    ///
    /// [`Exists`](crate::ErrorKind::Exists), [`Invalid`](crate::ErrorKind::Invalid)
    /// or [`TooLarge`](crate::ErrorKind::TooLarge) for the name,
    /// [`Invalid`](crate::ErrorKind::Invalid) for a context that the kernel does not
    /// know and for replicas in another than [`Context::Softirq`],
    /// [`OutOfRange`](crate::ErrorKind::OutOfRange) for the cap and the timeout,
    /// [`Quota`](crate::ErrorKind::Quota),
    /// [`OutOfMemory`](crate::ErrorKind::OutOfMemory),
    /// [`NotPermitted`](crate::ErrorKind::NotPermitted).
    pub fn create(self) -> Result<State> {
        let mut description = None;
        self.session.0.request(
            lunatik_cmd::LUNATIK_CMD_NEWSTATE,
            Answer::Reply,
            |request| {
                put_name(request, self.name)?;
                if let Some(bytes) = self.max_alloc {
                    request.u32(lunatik_attr::LUNATIK_A_MAX_ALLOC, bytes)?;
                }
                if let Some(context) = self.context {
                    request.u32(lunatik_attr::LUNATIK_A_CONTEXT, context.into())?;
                }
                if self.flags != 0 {
                    request.u32(lunatik_attr::LUNATIK_A_FLAGS, self.flags)?;
                }
                put_timeout(request, self.timeout)
            },
            |attrs| {
                description = Some(Description::read(attrs)?);
                Ok(Next::End)
            },
        )?;
        let description = description.ok_or_else(|| missing("the description"))?;
        Ok(State::referenced(self.session, description))
    }
}

/// Adds `STATE_NAME`. What names may hold is for the kernel to say.
pub(crate) fn put_name(request: &mut Request<'_>, name: &str) -> Result<()> {
    if name.len() > limits::STATE_NAME {
        return Err(Error::too_large(
            "STATE_NAME",
            name.len(),
            limits::STATE_NAME,
        ));
    }
    put_string(request, lunatik_attr::LUNATIK_A_STATE_NAME, name)
}

/// Adds a string that ends with NUL, and so cannot hold one.
pub(crate) fn put_string(request: &mut Request<'_>, attr: lunatik_attr, text: &str) -> Result<()> {
    if text.contains('\0') {
        let name = crate::wire::attribute_name(attr).unwrap_or("the name");
        return Err(Error::refuse(libc::EINVAL, format!("{name} holds a NUL")));
    }
    request.string(attr, text.as_bytes())
}

/// Adds TIMEOUT, in whole microseconds, up rather than down.
pub(crate) fn put_timeout(request: &mut Request<'_>, timeout: Option<Duration>) -> Result<()> {
    match timeout {
        Some(timeout) => request.u32(lunatik_attr::LUNATIK_A_TIMEOUT, microseconds(timeout)?),
        None => Ok(()),
    }
}

/// As the kernel takes it.
pub(crate) fn microseconds(timeout: Duration) -> Result<u32> {
    let microseconds = timeout.as_nanos().div_ceil(1000);
    u32::try_from(microseconds).map_err(|_| {
        Error::refuse(
            libc::ERANGE,
            format!("TIMEOUT is {microseconds} us, the limit is {}", u32::MAX),
        )
    })
}

#[cfg(test)]
impl Session {
    /// A session with the other end of a socket pair for the kernel.
    pub(crate) fn fake() -> (Self, std::os::unix::net::UnixDatagram) {
        let (socket, kernel) = crate::socket::Socket::pair();
        let session = Self(Arc::new(Inner {
            channel: Mutex::new(Channel::fake(socket)),
            family: Family {
                id: crate::fake::FAMILY,
                events: 1,
                log: 2,
            },
            netns: Netns::Current,
            port: 1,
            cookie: None,
        }));
        (session, kernel)
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Session>();
    is_send_and_sync::<State>();
};

#[cfg(test)]
mod tests {
    use neli::consts::nl::NlmF;

    use super::*;
    use crate::{
        ErrorKind,
        fake::{self, done, message},
    };

    #[test]
    fn listing_is_read_again_while_it_changes() {
        let (session, kernel) = Session::fake();
        let (multi, interrupted) = (NlmF::MULTI, NlmF::MULTI | NlmF::DUMP_INTR);
        kernel
            .send(&message(3, interrupted, 1, &[0; 4]))
            .expect("room");
        kernel.send(&message(3, multi, 2, &[0; 4])).expect("room");
        assert_eq!(session.states().expect("the second is whole"), []);
    }

    #[test]
    fn listing_that_keeps_changing_is_an_error() {
        let (session, kernel) = Session::fake();
        // More answers than a socket pair queues.
        let answering = std::thread::spawn(move || {
            kernel.set_nonblocking(false).expect("a socket");
            let flags = NlmF::MULTI | NlmF::DUMP_INTR;
            for sequence in (1..).take(DUMP_TRIES) {
                kernel.recv(&mut [0; 64]).expect("a request");
                kernel
                    .send(&message(3, flags, sequence, &[0; 4]))
                    .expect("room");
            }
        });
        let error = session.states().expect_err("never whole");
        assert_eq!(error.kind(), ErrorKind::Inconsistent);
        answering.join().expect("no panic");
    }

    #[test]
    fn timeouts_are_whole_microseconds_never_less() {
        let sent = |timeout| {
            let (session, kernel) = Session::fake();
            kernel.send(&done(1, libc::EPERM, &[])).expect("room");
            let error = session
                .new_state("a")
                .timeout(timeout)
                .create()
                .expect_err("refused");
            if error.kind() != ErrorKind::NotPermitted {
                return Err(error.kind());
            }
            let mut request = [0; 64];
            let length = kernel.recv(&mut request).expect("sent");
            let timeout = request[..length].last_chunk().expect("an integer");
            Ok(u32::from_ne_bytes(*timeout))
        };
        assert_eq!(sent(Duration::from_nanos(1)), Ok(1));
        assert_eq!(sent(Duration::from_nanos(1_000_001)), Ok(1001));
        assert_eq!(sent(Duration::ZERO), Ok(0));
        assert_eq!(sent(Duration::from_micros(u32::MAX.into())), Ok(u32::MAX));
        assert_eq!(
            sent(Duration::from_secs(1 << 40)),
            Err(ErrorKind::OutOfRange)
        );
    }

    #[test]
    fn contexts_and_flags_are_sent_when_they_are_set() {
        let sent = |set: fn(NewState<'_>) -> NewState<'_>| {
            let (session, kernel) = Session::fake();
            kernel.send(&done(1, libc::EPERM, &[])).expect("room");
            let refused = set(session.new_state("a")).create();
            assert_eq!(
                refused.expect_err("refused").kind(),
                ErrorKind::NotPermitted
            );
            let mut request = [0; 64];
            let length = kernel.recv(&mut request).expect("sent");
            // Behind the headers and the name.
            request[28..length].to_vec()
        };
        let context = |context| fake::attr(lunatik_attr::LUNATIK_A_CONTEXT, &[context, 0, 0, 0]);
        let flags = |flags| fake::attr(lunatik_attr::LUNATIK_A_FLAGS, &[flags, 0, 0, 0]);
        assert!(sent(|new| new).is_empty());
        assert_eq!(sent(|new| new.context(Context::Process)), context(0));
        assert_eq!(
            sent(|new| new.context(Context::Softirq).percpu(true)),
            [context(1), flags(8)].concat()
        );
        assert_eq!(
            sent(|new| new.percpu(true).ephemeral(true).percpu(false)),
            flags(1)
        );
        assert_eq!(sent(|new| new.context(Context::Unknown(7))), context(7));
    }

    #[test]
    fn names_that_cannot_be_sent_are_refused() {
        let (session, _kernel) = Session::fake();
        let refused = |name: &str| {
            let error = session.get_state(name).expect_err("refused");
            (error.kind(), error.to_string())
        };
        assert_eq!(
            refused(&"a".repeat(64)),
            (
                ErrorKind::TooLarge,
                "STATE_NAME is 64 bytes, the limit is 63 (EMSGSIZE)".to_owned()
            )
        );
        assert_eq!(
            refused("a\0b"),
            (
                ErrorKind::Invalid,
                "STATE_NAME holds a NUL (EINVAL)".to_owned()
            )
        );
    }
}
