// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles to states.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use lunatik_sys::{lunatik_attr, lunatik_cmd, lunatik_flag};

use crate::{
    batch::Batch,
    call::{self, Call},
    channel::{Answer, Next},
    description::{Description, missing},
    error::{Error, Result},
    limits,
    log::{self, Log},
    session::{Inner, Session, put_name, put_timeout},
    subscription::Subscription,
    value::Value,
    wire::Request,
};

/// How a request says which state it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    Name(String),
    Number(u32),
}

impl Id {
    pub(crate) fn put(&self, request: &mut Request<'_>) -> Result<()> {
        match self {
            Self::Name(name) => put_name(request, name),
            Self::Number(id) => request.u32(lunatik_attr::LUNATIK_A_STATE_ID, *id),
        }
    }
}

/// A handle to a state.
///
/// One that [`Session::get_state`] or [`NewState::create`](crate::NewState::create)
/// gave has a reference, and always means that very state. Dropping it drops
/// the reference; a failure of that cannot be told, [`put`](Self::put) tells it.
///
/// One that [`Session::state`] gave has none, and means whichever state has the
/// name when a request is made.
pub struct State {
    session: Arc<Inner>,
    id: Id,
    description: Option<Box<Description>>,
    referenced: AtomicBool,
}

impl State {
    pub(crate) fn handle(session: &Session, id: Id) -> Self {
        Self {
            session: Arc::clone(&session.0),
            id,
            description: None,
            referenced: AtomicBool::new(false),
        }
    }

    pub(crate) fn referenced(session: &Session, description: Description) -> Self {
        Self {
            session: Arc::clone(&session.0),
            id: Id::Number(description.id),
            description: Some(Box::new(description)),
            referenced: AtomicBool::new(true),
        }
    }

    pub(crate) fn get(session: &Session, id: &Id) -> Result<Self> {
        let description = get(&session.0, id)?;
        Ok(Self::referenced(session, description))
    }

    /// The session that this handle belongs to.
    pub fn session(&self) -> Session {
        Session(Arc::clone(&self.session))
    }

    /// The state's name; `None` for a handle by number that has no reference.
    pub fn name(&self) -> Option<&str> {
        match (&self.description, &self.id) {
            (Some(description), _) => Some(&description.name),
            (None, Id::Name(name)) => Some(name),
            (None, Id::Number(_)) => None,
        }
    }

    /// The state's number; `None` for a handle by name that has no reference.
    pub fn id(&self) -> Option<u32> {
        match &self.id {
            Id::Name(_) => None,
            Id::Number(id) => Some(*id),
        }
    }

    /// The state as it was when the reference was taken; `None` for a handle
    /// that has none.
    pub fn snapshot(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// The state as it is now.
    ///
    /// The kernel describes a state when a reference to it is taken, so this
    /// takes one and drops it: the count of references includes it.
    pub fn description(&self) -> Result<Description> {
        let description = get(&self.session, &self.id)?;
        self.drop_reference()?;
        Ok(description)
    }

    /// Runs `code` and gives what it returns. In a state of replicas it runs in each
    /// of them, and what it returns on the CPU that took the request is given.
    ///
    /// # Errors
    ///
    /// [`Compile`](crate::ErrorKind::Compile), [`Script`](crate::ErrorKind::Script),
    /// [`OutOfMemory`](crate::ErrorKind::OutOfMemory) and
    /// [`Deadline`](crate::ErrorKind::Deadline) have what Lua said in
    /// [`Error::lua`]. [`TooLarge`](crate::ErrorKind::TooLarge) is a script over
    /// [`limits::CODE`], a string over [`limits::STRING`] among the results, or
    /// results over [`limits::REPLY`] in all.
    pub fn do_string(&self, code: impl AsRef<[u8]>) -> Result<Vec<Value>> {
        self.call(code.as_ref()).run()
    }

    /// Starts a call of `code` with arguments, a chunk name or a timeout of its
    /// own.
    pub fn call<'a>(&'a self, code: &'a (impl AsRef<[u8]> + ?Sized)) -> Call<'a> {
        Call::new(self, code.as_ref())
    }

    /// Calls the function that the script gave to `lunatik.receive` with `data`,
    /// at most [`limits::DATA`] bytes, and gives the string that it returns, if
    /// it returns one.
    ///
    /// # Errors
    ///
    /// [`NoReceiver`](crate::ErrorKind::NoReceiver) when there is no function;
    /// else as [`do_string`](Self::do_string).
    pub fn send_data(&self, data: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.send(data.as_ref(), None)
    }

    /// As [`send_data`](Self::send_data), with a limit of this run's wall-clock
    /// time in microsecond precision.
    pub fn send_data_within(
        &self,
        data: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> Result<Option<Vec<u8>>> {
        self.send(data.as_ref(), Some(timeout))
    }

    /// As [`send_data`](Self::send_data) for each of many messages, many in one
    /// system call: what each was answered, in order. [`Batch`] tells more.
    ///
    /// ```no_run
    /// # fn main() -> lunatik::Result<()> {
    /// # let session = lunatik::Session::open()?;
    /// let fw = session.get_state("fw")?;
    /// for (host, answer) in ["a.example", "b.example"].iter().zip(fw.send_all(["a", "b"])) {
    ///     match answer {
    ///         Ok(reply) => println!("{host}: {} bytes", reply.unwrap_or_default().len()),
    ///         Err(error) => println!("{host}: {error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all<T: AsRef<[u8]>>(
        &self,
        data: impl IntoIterator<Item = T>,
    ) -> Vec<Result<Option<Vec<u8>>>> {
        let mut batch = Batch::new(&self.session);
        for data in data {
            batch.push(self, data);
        }
        batch.send()
    }

    fn send(&self, data: &[u8], timeout: Option<Duration>) -> Result<Option<Vec<u8>>> {
        let mut reply = None;
        call::run(
            self,
            lunatik_cmd::LUNATIK_CMD_SENDDATA,
            |request| put_data(request, data, timeout),
            |attr| {
                if attr.kind == lunatik_attr::LUNATIK_A_DATA.as_u16() {
                    reply = Some(attr.payload.to_vec());
                }
                Ok(())
            },
        )?;
        Ok(reply)
    }

    /// Opens a data channel: what the script passes to `lunatik.send` from now
    /// on. It has a reference of its own, which counts as this session's when a
    /// state is closed.
    pub fn subscribe(&self) -> Result<Subscription> {
        Subscription::open(&self.session, &self.id)
    }

    /// The lines of the state's log from number `from` on, or from the oldest
    /// kept. Lines count from 1; reading removes none.
    pub fn log(&self, from: Option<u64>) -> Result<Log> {
        log::read(&self.session, &self.id, from)
    }

    /// Closes the state. The references of this session end with it.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) when another session has a reference.
    pub fn close(&self) -> Result<()> {
        self.close_with(0)
    }

    /// Closes the state whoever has references to it; a script that runs in it
    /// ends with [`Closed`](crate::ErrorKind::Closed).
    pub fn close_force(&self) -> Result<()> {
        self.close_with(lunatik_flag::LUNATIK_F_FORCE.0)
    }

    fn close_with(&self, flags: u32) -> Result<()> {
        self.session.request(
            lunatik_cmd::LUNATIK_CMD_CLOSE,
            Answer::Ack,
            |request| {
                self.id.put(request)?;
                if flags != 0 {
                    request.u32(lunatik_attr::LUNATIK_A_FLAGS, flags)?;
                }
                Ok(())
            },
            |_| Ok(Next::End),
        )?;
        self.referenced.store(false, Relaxed);
        Ok(())
    }

    /// Drops a reference of this session: this handle's, or for a handle without
    /// one any.
    pub fn put(self) -> Result<()> {
        self.referenced.store(false, Relaxed);
        self.drop_reference()
    }

    fn drop_reference(&self) -> Result<()> {
        self.session.request(
            lunatik_cmd::LUNATIK_CMD_PUTSTATE,
            Answer::Ack,
            |request| self.id.put(request),
            |_| Ok(Next::End),
        )
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.session
    }

    pub(crate) fn request_id(&self) -> &Id {
        &self.id
    }
}

/// Adds what a SENDDATA has beside its state.
pub(crate) fn put_data(
    request: &mut Request<'_>,
    data: &[u8],
    timeout: Option<Duration>,
) -> Result<()> {
    if data.len() > limits::DATA {
        return Err(Error::too_large("DATA", data.len(), limits::DATA));
    }
    request.bytes(lunatik_attr::LUNATIK_A_DATA, data)?;
    put_timeout(request, timeout)
}

fn get(session: &Inner, id: &Id) -> Result<Description> {
    let mut description = None;
    session.request(
        lunatik_cmd::LUNATIK_CMD_GETSTATE,
        Answer::Reply,
        |request| id.put(request),
        |attrs| {
            description = Some(Description::read(attrs)?);
            Ok(Next::End)
        },
    )?;
    description.ok_or_else(|| missing("the description"))
}

impl Drop for State {
    fn drop(&mut self) {
        // With the last handle the socket closes, which drops all references.
        // Whoever closed the state took the reference with it, so this may fail.
        if *self.referenced.get_mut() && Arc::strong_count(&self.session) > 1 {
            let _ = self.drop_reference();
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("id", &self.id)
            .field("referenced", &self.referenced)
            .finish_non_exhaustive()
    }
}
