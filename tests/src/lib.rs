// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the integration tests share. They run as root in a VM whose kernel has
//! the module loaded; `cargo xtask test` boots it.

use std::{
    fmt::Debug,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    ops::Range,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lunatik::{Context, Error, ErrorKind, Session, State, Value};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{self, Signal},
    unistd::Pid,
};

pub mod bpf;
mod capture;
mod cgroup;
mod clients;
mod cpu;
mod document;
mod faults;
mod network;
mod nft;
mod parameter;
mod probe;
mod process;
mod queue;
mod raw;
mod server;
mod transfer;

pub use capture::Capture;
pub use cgroup::Cgroup;
pub use clients::Amounts;
pub use cpu::{Removable, cpus, stay_on};
pub use document::Block;
pub use faults::{AllFail, Fault, Faults};
pub use network::{Family, Host, Network};
pub use parameter::Parameter;
pub use probe::{Asker, Caller, Packet, Stack, load_probe, undisturbed};
pub use process::{
    CAP_NET_ADMIN, NOBODY, Peer, Process, become_user, become_user_with, enter_user_namespace,
    enter_user_namespace_only, set_capabilities, sleeper,
};
pub use queue::{Queue, Queued};
pub use raw::{Answer, Message, NLM_F_DUMP, Raw, Reply, attributes, every_operation};
pub use server::Server;
pub use transfer::{Arrived, Broken, Datagrams, Transfer, free};

/// Prints a line to standard error, where the test runner does not keep it for
/// itself when a test passes: figures, and what a test that skips something
/// skips it for.
#[macro_export]
macro_rules! tell {
    ($($argument:tt)*) => {
        $crate::print_line(format_args!($($argument)*))
    };
}

#[doc(hidden)]
pub fn print_line(line: std::fmt::Arguments<'_>) {
    writeln!(io::stderr(), "{line}").expect("standard error");
}

/// How long something that should happen at once may take on a slow machine.
pub const SOON: Duration = Duration::from_secs(10);

/// A network namespace of one test; it is deleted when this is dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
    deleted: bool,
}

impl Netns {
    /// Makes a network namespace with a name that no other test uses.
    #[expect(clippy::new_without_default, reason = "it makes something outside")]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Relaxed)
        );
        run(Command::new("ip").args(["netns", "add", &name])).success();
        Self {
            name,
            deleted: false,
        }
    }

    /// Makes one whose datagrams to 10.9.0.2 leave it by the device `dummy0`, for nobody.
    pub fn to_nobody() -> Self {
        let netns = Self::new();
        for words in [
            "link set lo up",
            "link add dummy0 type dummy",
            "addr add 10.9.0.1/24 dev dummy0",
            "link set dummy0 up",
            "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev dummy0",
        ] {
            netns.ip(words).success();
        }
        netns
    }

    /// Makes one that reaches itself over its loopback device.
    pub fn with_loopback() -> Self {
        let netns = Self::new();
        netns.ip("link set lo up").success();
        netns
    }

    /// Its name, as `ip netns` has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Takes the calling thread into it.
    pub fn enter(&self) {
        let namespace = File::open(self.path()).expect("a namespace");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
    }

    /// Calls `body` on a thread that is in it. Sockets that it opens stay there.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let call = || {
            self.enter();
            body()
        };
        let result = thread::scope(|scope| scope.spawn(call).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Opens a session in it.
    pub fn session(&self) -> Session {
        Session::in_netns(&self.name).unwrap_or_else(|e| panic!("no session in {}: {e}", self.name))
    }

    /// Makes a state called `name` in it, by a session of its own, with time
    /// enough for a slow machine.
    pub fn state(&self, name: &str) -> State {
        self.session()
            .new_state(name)
            .timeout(Duration::from_secs(5))
            .create()
            .unwrap_or_else(|e| panic!("no state {name}: {e}"))
    }

    /// Makes a state for packets called `name` in it, with the longest time that there
    /// is for them.
    pub fn filter(&self, name: &str) -> State {
        let session = self.session();
        let longest = session.info().expect("info").max_softirq_timeout;
        session
            .new_state(name)
            .context(Context::Softirq)
            .timeout(longest)
            .create()
            .unwrap_or_else(|e| panic!("no state {name}: {e}"))
    }

    /// Opens a raw socket in it.
    pub fn raw(&self) -> Raw {
        Raw::open(&self.path())
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `ip` in it with these words.
    pub fn ip(&self, words: &str) -> Output {
        run(self.command("ip").args(words.split(' ')))
    }

    /// Runs lunatikctl with `-n` for this namespace.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        run(Command::new("lunatikctl")
            .args(["-n", &self.name])
            .args(arguments))
    }

    /// As [`ctl`](Self::ctl), with something on standard input.
    pub fn ctl_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        run_with(
            Command::new("lunatikctl")
                .args(["-n", &self.name])
                .args(arguments),
            input,
        )
    }

    /// Runs a script with lua5.4 in it.
    pub fn lua(&self, script: &str) -> Output {
        run_with(self.command("lua5.4").arg("-"), script.as_bytes())
    }

    /// Starts lua5.4 in it, with `lunatik` required as `l`, and waits for
    /// the script to say "ready". Its standard input stays open.
    pub fn client(&self, script: &str) -> Client {
        let script = format!("io.stdout:setvbuf 'no' local l = require 'lunatik' {script}");
        let mut client = Client::start(self.command("lua5.4").args(["-e", &script]));
        assert_eq!(client.line(), "ready");
        client
    }

    /// Deletes it. What lives in it may live on for a moment.
    pub fn delete(mut self) {
        self.deleted = true;
        run(Command::new("ip").args(["netns", "delete", &self.name])).success();
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.deleted {
            // A test that fails already has something to say.
            let _ = Command::new("ip")
                .args(["netns", "delete", &self.name])
                .status();
        }
    }
}

/// A program that runs beside the test; it is killed when this is dropped.
#[derive(Debug)]
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    /// Starts a program with pipes for its standard input and output.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            stdin: child.stdin.take(),
            child,
            stdout,
        }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("output in UTF-8");
        line.trim_end_matches('\n').to_owned()
    }

    /// Gives it a line to read.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").expect("the client reads");
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().expect("a pid"));
        signal::kill(pid, signal).expect("the client is there");
    }

    /// Waits for its end; how long that took, and what else it printed.
    pub fn wait(&mut self) -> (Duration, String) {
        let start = Instant::now();
        self.stdin = None;
        let mut rest = String::new();
        self.stdout
            .read_to_string(&mut rest)
            .expect("output in UTF-8");
        self.child.wait().expect("a child");
        (start.elapsed(), rest)
    }

    /// Sends it a signal and waits for its end; how long that took.
    pub fn end(&mut self, signal: Signal) -> Duration {
        self.signal(signal);
        self.wait().0
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; -1 when a signal ended it.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Output {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert_eq!(self.status, 0, "{self:?}");
        &self.stdout
    }

    /// What it printed on standard error, if it ended with `status`.
    #[track_caller]
    pub fn failure(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.stderr.is_empty(), "silent: {self:?}");
        &self.stderr
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.success()).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Runs a command to its end, with nothing to read.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_with(command, b"")
}

/// Runs a command to its end, with `input` to read.
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // What does not read its input may close it.
    let writer = thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("a child");
    writer.join().expect("writes");
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a line of the shell.
#[track_caller]
pub fn sh(line: &str) -> Output {
    run(Command::new("sh").args(["-c", line]))
}

/// The error of something that must be refused so.
#[track_caller]
pub fn refused<T: Debug>(result: lunatik::Result<T>, kind: ErrorKind) -> Error {
    match result {
        Ok(value) => panic!("not refused with {kind:?}: {value:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            error
        }
    }
}

/// The text of the Lua error that `code` must end in, and be refused so.
#[track_caller]
pub fn lua_error(state: &State, code: &str, kind: ErrorKind) -> String {
    let shown: String = code.chars().take(200).collect();
    match state.do_string(code) {
        Ok(values) => panic!("{shown}: no error but {values:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{shown}: {error}");
            let lua = error
                .lua()
                .unwrap_or_else(|| panic!("{shown}: no Lua error in {error}"));
            lua.message().into_owned()
        }
    }
}

/// What `code` must return.
#[track_caller]
pub fn lua(state: &State, code: &str) -> Vec<Value> {
    let shown: String = code.chars().take(200).collect();
    state
        .do_string(code)
        .unwrap_or_else(|e| panic!("{shown}: {e}"))
}

/// The one integer that `code` must return.
#[track_caller]
pub fn integer(state: &State, code: &str) -> i64 {
    let values = lua(state, code);
    match values[..] {
        [Value::Integer(value)] => value,
        _ => panic!("{code}: {values:?}"),
    }
}

/// The one string that `code` must return.
#[track_caller]
pub fn string(state: &State, code: &str) -> String {
    let values = lua(state, code);
    match &values[..] {
        [value] => value
            .as_str()
            .unwrap_or_else(|| panic!("{code}: {value:?}"))
            .to_owned(),
        _ => panic!("{code}: {values:?}"),
    }
}

/// Fails unless `code` returns true and nothing else.
#[track_caller]
pub fn holds(state: &State, code: &str) {
    assert_eq!(lua(state, code), [Value::Boolean(true)], "{code}");
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "it did not come: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes it true when this is dropped, whatever happened before: who goes on until then
/// must not go on when a test has failed.
#[derive(Debug)]
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What a test does with a stock kernel, or with the debug kernel, which is slow.
pub fn by_kernel<T>(stock: T, debug: T) -> T {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    if release.contains("lunatik-debug") {
        debug
    } else {
        stock
    }
}

/// Where the module's code and data are.
pub fn module_addresses() -> Range<u64> {
    let modules = fs::read_to_string("/proc/modules").expect("a list");
    let module = modules.lines().find(|line| line.starts_with("lunatik "));
    let mut fields = module.expect("the module").split(' ');
    let size: u64 = fields.nth(1).expect("a size").parse().expect("a size");
    let start = fields.nth(3).expect("an address");
    let start = start.strip_prefix("0x").expect("a number");
    let start = u64::from_str_radix(start, 16).expect("a number");
    start..start + size
}

/// Fails unless a state's hooks were called, without an error of its script; where others
/// have the machine, some packets are beyond the time that hooks have.
#[track_caller]
pub fn hooks_worked(state: &State) {
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().any(|hook| hook.calls > 0), "{hooks:?}");
    for hook in hooks {
        assert_eq!(hook.errors, hook.deadline_kills, "{hook:?}");
        let beyond = hook.errors + hook.missed;
        assert!(beyond <= hook.calls / 4, "{hook:?}");
    }
}

/// Fails unless each of a state's hooks was called for all of its packets, and none failed.
#[track_caller]
pub fn none_was_missed(state: &State) {
    let hooks = state.description().expect("a description").hooks;
    assert!(hooks.iter().any(|hook| hook.calls > 0), "{hooks:?}");
    for hook in hooks {
        assert_eq!((hook.errors, hook.missed), (0, 0), "{hook:?}");
    }
}

/// The references that sessions have to a state, without the one that asking takes.
pub fn references(state: &State) -> u32 {
    state.description().expect("a state").references - 1
}

const NAMESPACES_LIMIT: &str = "/proc/sys/user/max_net_namespaces";

/// Calls `body` with what tells whether the user `uid` may make one network
/// namespace more when so many are allowed. The kernel counts them until they are
/// wholly gone. It knows no other tests: for those that run alone.
fn with_limit<T>(uid: u32, body: impl FnOnce(&dyn Fn(u32) -> bool) -> T) -> T {
    let before = fs::read_to_string(NAMESPACES_LIMIT).expect("a limit");
    let result = body(&|limit| {
        fs::write(NAMESPACES_LIMIT, limit.to_string()).expect("root may set it");
        let made = thread::spawn(move || {
            process::act_as(uid);
            unshare(CloneFlags::CLONE_NEWNET)
        });
        made.join().expect("a result").is_ok()
    });
    fs::write(NAMESPACES_LIMIT, before.trim()).expect("root may set it");
    result
}

/// Waits until the network namespaces that nothing holds any more are wholly gone.
#[track_caller]
fn namespaces_settle() {
    // A user without namespaces, as far as tests know.
    const NOBODY: u32 = 65_533;
    // Each call makes one, which goes, and waits for that of the call before. The
    // kernel ends them in the order in which they were left, but for those that it
    // meets at once: what was left before the first is gone with the second.
    for _ in 0..3 {
        namespaces_end(NOBODY, 0);
    }
}

/// How many network namespaces root has made.
#[track_caller]
pub fn namespaces() -> u32 {
    namespaces_settle();
    let count = with_limit(0, |one_more| (0..10_000).find(|&count| one_more(count + 1)));
    // The one that was made goes.
    namespaces_settle();
    count.expect("fewer than that")
}

/// Waits until the user `uid` has no more than `count` network namespaces, those
/// in user namespaces of theirs included.
#[track_caller]
pub fn namespaces_end(uid: u32, count: u32) {
    let start = Instant::now();
    let ended = with_limit(uid, |one_more| {
        while !one_more(count + 1) {
            if start.elapsed() > 3 * SOON {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    });
    assert!(ended, "user {uid} still has more than {count} namespaces");
}
