// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forked copies of the test, which become other users.

use std::{
    any::Any,
    fs,
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::Mutex,
    thread,
    time::Duration,
};

use nix::{
    libc,
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{self, Signal},
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
            UnixAddr, recvmsg, sendmsg, setsockopt, socketpair, sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Gid, Pid, Uid, fork, getgid, getuid, setgroups, setresgid, setresuid},
};

use crate::eventually;

/// A user without rights.
pub const NOBODY: u32 = 65534;
/// The number of `CAP_NET_ADMIN`.
pub const CAP_NET_ADMIN: u32 = 12;
/// How long one side waits for the other, in seconds.
const PATIENCE: u32 = 60;
/// What a panic's text comes after.
const PANIC: &str = "panic: ";

/// A forked copy of the test. A test that drops it without
/// [`join`](Self::join) kills it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    peer: Peer,
    joined: bool,
}

/// The way to the other side of a fork.
#[derive(Debug)]
pub struct Peer(OwnedFd);

impl Process {
    /// Runs `body` in a copy of this process that has only the calling thread.
    /// It may change its user and its namespaces. For tests that run alone: the
    /// copy keeps every descriptor of the process.
    pub fn fork(body: impl FnOnce(&Peer)) -> Self {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("a pair of sockets");
        for side in [&ours, &theirs] {
            let patience = TimeVal::seconds(PATIENCE.into());
            setsockopt(side, ReceiveTimeout, &patience).expect("a timeout");
        }
        // SAFETY: the tests that do this run one at a time, so no other thread
        // holds a lock that the copy will need.
        match unsafe { fork() }.expect("a process") {
            ForkResult::Parent { child } => Self {
                pid: child,
                peer: Peer(ours),
                joined: false,
            },
            ForkResult::Child => {
                drop(ours);
                let status = child(&Peer(theirs), body);
                // SAFETY: ends the process without what its parent registered.
                unsafe { libc::_exit(status) }
            }
        }
    }

    /// The way to it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().try_into().expect("a pid")
    }

    /// Waits for its end, and fails if it failed.
    #[track_caller]
    pub fn join(mut self) {
        if let Some(text) = self.peer.receive().0 {
            panic!("the process says {text:?}");
        }
        self.joined = true;
        let status = waitpid(self.pid, None).expect("a child");
        assert_eq!(status, WaitStatus::Exited(self.pid, 0));
    }

    /// Kills it and waits for its end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.joined {
            self.joined = true;
            // It may have ended already, and waits to be waited for.
            let _ = signal::kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn child(peer: &Peer, body: impl FnOnce(&Peer)) -> i32 {
    static TEXT: Mutex<String> = Mutex::new(String::new());

    // SAFETY: takes a number and changes nothing but this process's alarm.
    unsafe { libc::alarm(2 * PATIENCE) };
    panic::set_hook(Box::new(|info| {
        *TEXT.lock().expect("one thread") = info.to_string();
    }));
    match panic::catch_unwind(AssertUnwindSafe(|| body(peer))) {
        Ok(()) => 0,
        Err(payload) => {
            let text = TEXT
                .lock()
                .map_or_else(|_| describe(&payload), |t| t.clone());
            // The parent may have stopped listening; the status tells it, too.
            let _ = peer.send(&format!("{PANIC}{text}"), None);
            1
        }
    }
}

fn describe(payload: &Box<dyn Any + Send>) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

impl Peer {
    /// Tells the other side something.
    pub fn say(&self, text: &str) {
        self.send(text, None).expect("the other side lives");
    }

    /// Waits for the other side to say `text`.
    #[track_caller]
    pub fn hear(&self, text: &str) {
        assert_eq!(self.line(), text);
    }

    /// What the other side says next.
    #[track_caller]
    pub fn line(&self) -> String {
        self.receive().0.expect("the other side lives")
    }

    /// Closes all descriptors of a forked process but the standard ones, this one
    /// and `keep`: others may be its parent's to close.
    pub fn close_all_but(&self, keep: &[&dyn AsFd]) {
        let mut keep: Vec<_> = keep.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
        keep.extend([0, 1, 2, self.0.as_raw_fd()]);
        let open: Vec<i32> = fs::read_dir("/proc/self/fd")
            .expect("a list")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for fd in open {
            if !keep.contains(&fd) {
                // SAFETY: whoever has it is in the parent; here nobody uses it.
                // One of them was the list's.
                unsafe { libc::close(fd) };
            }
        }
    }

    /// Gives the other side a descriptor, as `SCM_RIGHTS`.
    pub fn give(&self, fd: impl AsFd) {
        self.send("fd", Some(fd.as_fd()))
            .expect("the other side lives");
    }

    /// Takes a descriptor that the other side gives.
    #[track_caller]
    pub fn take(&self) -> OwnedFd {
        let (text, fd) = self.receive();
        fd.unwrap_or_else(|| panic!("no descriptor but {text:?}"))
    }

    fn send(&self, text: &str, fd: Option<BorrowedFd<'_>>) -> nix::Result<usize> {
        let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            if fds.is_empty() { &[] } else { &rights },
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
    }

    /// What comes next; no text when the other side has ended.
    #[track_caller]
    fn receive(&self) -> (Option<String>, Option<OwnedFd>) {
        let mut buffer = vec![0; 1 << 16];
        let mut space = nix::cmsg_space!(i32);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .expect("the other side says something in time");
        let mut fd = None;
        for message in message.cmsgs().expect("room for a descriptor") {
            if let ControlMessageOwned::ScmRights(fds) = message {
                // SAFETY: the kernel has just made the descriptor, for us.
                fd = Some(unsafe { OwnedFd::from_raw_fd(fds[0]) });
            }
        }
        let length = message.bytes;
        if length == 0 {
            return (None, fd);
        }
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if let Some(text) = text.strip_prefix(PANIC) {
            panic!("in a forked process: {text}");
        }
        (Some(text), fd)
    }
}

/// Makes this process one of the user `uid`, who has no capabilities.
pub fn become_user(uid: u32) {
    setgroups(&[]).expect("root may drop its groups");
    let (gid, uid) = (Gid::from_raw(uid), Uid::from_raw(uid));
    setresgid(gid, gid, gid).expect("root may be any group");
    setresuid(uid, uid, uid).expect("root may be any user");
    // Without it, /proc/self would be root's.
    prctl::set_dumpable(true).expect("a flag");
}

/// As [`become_user`], but with one capability left.
pub fn become_user_with(uid: u32, capability: u32) {
    prctl::set_keepcaps(true).expect("a flag");
    become_user(uid);
    set_capabilities(1 << capability);
}

/// Makes this thread act as the user `uid` who may make namespaces.
pub(crate) fn act_as(uid: u32) {
    const CAP_SYS_ADMIN: u32 = 21;
    const UNCHANGED: u32 = u32::MAX;

    // SAFETY: takes numbers. Unlike the C library's function it leaves other threads alone.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, UNCHANGED, uid, UNCHANGED) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    set_capabilities(1 << CAP_SYS_ADMIN);
}

/// Gives this process exactly these capabilities of those that it is permitted.
pub fn set_capabilities(mask: u32) {
    /// `struct __user_cap_data_struct` of linux/capability.h.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;

    let header = [VERSION_3, 0];
    let none = Data {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    };
    let some = Data {
        effective: mask,
        permitted: mask,
        inheritable: 0,
    };
    let data = [some, none];
    // SAFETY: both are as version 3 of the call has them.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Makes this process root of a user namespace of its own, with a network
/// namespace of its own, as any user may.
pub fn enter_user_namespace() {
    enter(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
}

/// As [`enter_user_namespace`], but in the network namespace where it was.
pub fn enter_user_namespace_only() {
    enter(CloneFlags::CLONE_NEWUSER);
}

fn enter(flags: CloneFlags) {
    let (uid, gid) = (getuid(), getgid());
    unshare(flags).expect("a user namespace");
    fs::write("/proc/self/setgroups", "deny").expect("a setting");
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).expect("a map");
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).expect("a map");
}

/// Whether a task waits for what no signal but a deadly one ends.
fn asleep(task: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{task}/stat")).expect("a task");
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    rest.starts_with('D')
}

/// Waits until one of the tasks has been asleep for a while: in the kernel, for its turn or
/// for memory.
#[track_caller]
pub fn sleeper(tasks: impl IntoIterator<Item = u32, IntoIter: Clone>) {
    let tasks = tasks.into_iter();
    eventually("one of them sleeps", || {
        tasks.clone().any(|task| {
            (0..4).all(|_| {
                thread::sleep(Duration::from_millis(2));
                asleep(task)
            })
        })
    });
}
