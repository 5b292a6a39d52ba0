// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the kernel's log: what is a failure, and what the guest cannot survive.

/// How bad a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The kernel complains: the run fails.
    Complaint,
    /// The guest is dead or stuck: the run ends.
    Fatal,
}

/// Messages after which waiting is of no use.
const FATAL: &[&str] = &[
    "Kernel panic - not syncing",
    "Oops:",
    "general protection fault",
    "BUG: kernel NULL pointer dereference",
    "BUG: unable to handle",
    "BUG: soft lockup",
    "hard LOCKUP",
    "self-detected stall",
    "detected stalls on CPUs/tasks",
    "detected expedited stalls",
    "blocked for more than",
];

/// Messages that a healthy kernel does not print.
const COMPLAINTS: &[&str] = &[
    "BUG:",
    // SLUB's reports: "BUG kmalloc-64 (Tainted): Poison overwritten".
    "BUG ",
    "WARNING:",
    "UBSAN:",
    "KASAN:",
    "KCSAN:",
    "KFENCE:",
    "kernel BUG at",
    "suspicious RCU usage",
    "possible recursive locking",
    "possible circular locking",
    "inconsistent lock state",
    "INFO: trying to register non-static key",
    "unreferenced object 0x",
    "new suspected memory leaks",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "ref_tracker:",
    "unregister_netdevice: waiting for",
    // A checker that gave up, with or without something to report.
    "turning off the locking correctness validator",
    "Kernel memory leak detector disabled",
    "ODEBUG disabled",
    "sleeping function called from invalid context",
    "scheduling while atomic",
];

/// What a line of the log means for the run, if it means something.
pub(crate) fn severity(line: &str) -> Option<Severity> {
    let contains = |messages: &[&str]| messages.iter().any(|message| contains_words(line, message));
    if contains(FATAL) {
        Some(Severity::Fatal)
    } else if contains(COMPLAINTS) {
        Some(Severity::Complaint)
    } else {
        None
    }
}

/// Whether `line` has `message`, and not as the end of a longer word such as DEBUG.
fn contains_words(line: &str, message: &str) -> bool {
    let ends_word = |before: &str| before.ends_with(|c: char| c.is_alphanumeric());
    line.match_indices(message)
        .any(|(at, _)| !ends_word(&line[..at]))
}

/// The log from a few lines before its first bad one, at most `most` lines.
pub(crate) fn excerpt(log: &[String], most: usize) -> Option<&[String]> {
    let first = log.iter().position(|line| severity(line).is_some())?;
    let start = first.saturating_sub(3);
    Some(&log[start..log.len().min(start + most)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_are_told_from_good_ones() {
        let fatal = [
            "[    5.1] Kernel panic - not syncing: sysrq triggered crash",
            "[    5.1] Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "[    5.1] general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
            "[   30.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [lunatikctl:99]",
            "[   30.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[  242.0] INFO: task lunatikctl:99 blocked for more than 120 seconds.",
        ];
        let complaints = [
            "[    3.0] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:4721 __alloc_pages+0x1",
            "[    3.0] WARNING: suspicious RCU usage",
            "[    3.0] WARNING: possible recursive locking detected",
            "[    3.0] BUG: sleeping function called from invalid context at mm/slab.h:1",
            "[    3.0] BUG: KASAN: slab-out-of-bounds in foo+0x1",
            "[    3.0] UBSAN: array-index-out-of-bounds in kmod/state.c:1:2",
            "[    3.0] unreferenced object 0xffff888000000000 (size 64):",
            "[    3.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    3.0] BUG kmalloc-64 (Tainted: G           O): Poison overwritten",
            "[    3.0] [ BUG: Invalid wait context ]",
            "[    3.0] WARNING: possible irq lock inversion dependency detected",
            "[    3.0] WARNING: CPU: 0 PID: 9 at lib/debugobjects.c:612 debug_print_object+0x1a2/0x2b0",
            "[    3.0] list_del corruption. prev->next should be 0000000061, but was 00000000dead",
            "[    3.0] ref_tracker: net notrefcnt@0000000062 has 1/1 users at",
            "[    3.0] unregister_netdevice: waiting for lo to become free. Usage count = 2",
            "[    3.0] turning off the locking correctness validator.",
            "[    3.0] kmemleak: Kernel memory leak detector disabled",
            "[    3.0] ODEBUG: Out of memory. ODEBUG disabled",
        ];
        let good = [
            "[    0.0] Linux version 6.12.95+deb12-cloud-amd64",
            "[    1.0] lunatik: loading out-of-tree module taints kernel.",
            "[    0.1] Warning: unable to open an initial console.",
            "[    0.1] x86/fpu: x87 FPU will use FXSAVE",
            "[    2.0] DEBUG: all is well",
            "[    0.0] KernelAddressSanitizer initialized",
            "[    0.0] kmemleak: Kernel memory leak detector initialized (mem pool available: 63700)",
            "[    0.0] SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=1, Nodes=1",
            "[    9.0] FAULT_INJECTION: forcing a failure.",
        ];
        for line in fatal {
            assert_eq!(severity(line), Some(Severity::Fatal), "{line}");
        }
        for line in complaints {
            assert_eq!(severity(line), Some(Severity::Complaint), "{line}");
        }
        for line in good {
            assert_eq!(severity(line), None, "{line}");
        }
    }

    #[test]
    fn excerpts_start_before_the_first_bad_line() {
        let log: Vec<String> = (0..10)
            .map(|n| {
                if n == 5 {
                    "BUG: x".to_owned()
                } else {
                    n.to_string()
                }
            })
            .collect();
        assert_eq!(excerpt(&log, 4).unwrap(), &log[2..6]);
        assert!(excerpt(&log[..5], 4).is_none());
    }
}
