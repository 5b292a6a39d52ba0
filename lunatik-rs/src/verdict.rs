// SPDX-License-Identifier: MIT OR Apache-2.0
//! What hooks decide about packets.

use nix::libc;

use crate::names::names;

/// What a hook's function decided about a packet, by the name that this has among
/// hooks of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Netfilter: it goes on.
    Accept,
    /// Netfilter, XDP: it is dropped.
    Drop,
    /// Netfilter: a program in user space decides.
    Queue,
    /// XDP: it is dropped, as by a program that failed.
    Aborted,
    /// XDP: it goes on.
    Pass,
    /// XDP: it goes out of the device that it came from.
    Tx,
    /// XDP, TC: it goes to another device.
    Redirect,
    /// TC: the filter's default action decides.
    Unspec,
    /// TC: it goes on.
    Ok,
    /// TC: it is classified anew.
    Reclassify,
    /// TC: it is dropped.
    Shot,
    /// TC: the next action decides.
    Pipe,
    /// TC: it is taken, and not dropped for that.
    Stolen,
    /// TC: it is taken, to be queued.
    Queued,
    /// TC: the action is repeated.
    Repeat,
    /// TC: it goes from the device's hardware to the CPU.
    Trap,
    /// One that this library does not know, as the kernel numbers those of the
    /// hook's kind.
    Unknown(u32),
}

names! { Verdict {
    Accept => "accept",
    Drop => "drop",
    Queue => "queue",
    Aborted => "aborted",
    Pass => "pass",
    Tx => "tx",
    Redirect => "redirect",
    Unspec => "unspec",
    Ok => "ok",
    Reclassify => "reclassify",
    Shot => "shot",
    Pipe => "pipe",
    Stolen => "stolen",
    Queued => "queued",
    Repeat => "repeat",
    Trap => "trap",
} }

/// `enum xdp_action` of `linux/bpf.h`.
const XDP: [Verdict; 5] = [
    Verdict::Aborted,
    Verdict::Drop,
    Verdict::Pass,
    Verdict::Tx,
    Verdict::Redirect,
];

/// `TC_ACT_UNSPEC` of `linux/pkt_cls.h`, which is -1, and those after it.
const TC: [Verdict; 10] = [
    Verdict::Unspec,
    Verdict::Ok,
    Verdict::Reclassify,
    Verdict::Shot,
    Verdict::Pipe,
    Verdict::Stolen,
    Verdict::Queued,
    Verdict::Repeat,
    Verdict::Redirect,
    Verdict::Trap,
];

impl Verdict {
    pub(crate) fn of_netfilter(number: u32) -> Self {
        match number.cast_signed() {
            libc::NF_DROP => Self::Drop,
            libc::NF_ACCEPT => Self::Accept,
            libc::NF_QUEUE => Self::Queue,
            _ => Self::Unknown(number),
        }
    }

    pub(crate) fn of_xdp(number: u32) -> Self {
        known(&XDP, number, number)
    }

    pub(crate) fn of_tc(number: u32) -> Self {
        known(&TC, number.wrapping_add(1), number)
    }
}

fn known(verdicts: &[Verdict], at: u32, number: u32) -> Verdict {
    let verdict = usize::try_from(at).ok().and_then(|at| verdicts.get(at));
    verdict.copied().unwrap_or(Verdict::Unknown(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kind() {
        let shown = |verdict: fn(u32) -> Verdict, numbers: &[u32]| {
            let names = numbers.iter().map(|number| verdict(*number).to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            shown(Verdict::of_netfilter, &[0, 1, 2, 3, u32::MAX]),
            "drop accept 2 queue 4294967295"
        );
        assert_eq!(
            shown(Verdict::of_xdp, &[0, 1, 2, 3, 4, 5, u32::MAX]),
            "aborted drop pass tx redirect 5 4294967295"
        );
        assert_eq!(
            shown(
                Verdict::of_tc,
                &[u32::MAX, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX - 1]
            ),
            "unspec ok reclassify shot pipe stolen queued repeat redirect trap 9 4294967294"
        );
    }
}
