// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the module still does what it should.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lunatik::{ErrorKind, Session, State, Value};
use nix::sched::{CloneFlags, unshare};

/// How long what is released in the background may take.
const SOON: Duration = Duration::from_secs(20);
/// Enough for a trifle on a machine that is busy.
const AMPLE: Duration = Duration::from_secs(10);

/// Does `work` in a network namespace of its own.
pub(crate) fn in_new_netns<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        work()
    });
    match thread.join() {
        Ok(result) => result,
        Err(_) => bail!("a panic"),
    }
}

/// A state in another network namespace, which nothing that is done here may change.
pub(crate) struct Witness {
    state: State,
    checks: i64,
}

impl Witness {
    /// Makes it in the calling thread's network namespace.
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("witness-{}", COUNT.fetch_add(1, Relaxed));
        let name = format!("{name}-{}", std::process::id());
        let state = Session::open()?
            .new_state(&name)
            .timeout(AMPLE)
            .ephemeral(true)
            .create()
            .context("cannot make the witness")?;
        state.do_string("n = 0")?;
        Ok(Self { state, checks: 0 })
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.checks += 1;
        let found = self.state.do_string("n = n + 1 return n");
        let found = found.context("the state in the other namespace")?;
        ensure!(
            found == [Value::Integer(self.checks)],
            "the state in the other namespace has {found:?}, not {}",
            self.checks
        );
        Ok(())
    }
}

/// Makes a state, runs a script in it and closes it.
pub(crate) fn control(session: &Session) -> Result<()> {
    let state = session.new_state("control").timeout(AMPLE).create();
    let state = state.context("the control request NEWSTATE")?;
    let results = state.do_string("return 1");
    let results = results.context("the control request DOSTRING")?;
    ensure!(
        results == [Value::Integer(1)],
        "`return 1` gave {results:?}"
    );
    state.close().context("the control request CLOSE")
}

/// Closes all states; nothing may be left then. Dumps that nobody read hold
/// states until the kernel has forgotten their sockets.
pub(crate) fn clean(session: &Session) -> Result<()> {
    for description in session.states().context("the list of states")? {
        match session.state_by_id(description.id).close_force() {
            Err(error) if error.kind() != ErrorKind::NoState => {
                return Err(error).context("cannot close a state");
            }
            _ => {}
        }
    }
    let start = Instant::now();
    loop {
        let info = session.info()?;
        if info.states == 0 && info.alloc == 0 {
            return Ok(());
        }
        ensure!(
            start.elapsed() < SOON,
            "{} states and {} bytes are left after all are closed",
            info.states,
            info.alloc
        );
        thread::sleep(Duration::from_millis(5));
    }
}
