// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel tells about the hooks of a state.

use std::time::Duration;

use lunatik_sys::{lunatik_hook_kind, lunatik_on_error};

use crate::{
    description::missing,
    error::Result,
    names::names,
    netfilter::{NetfilterFamily, NetfilterHook},
    verdict::Verdict,
    wire::{Attr, Attrs, read},
};

/// A function of a state's script that is called for packets, as it was when the
/// kernel was asked.
///
/// In a state of replicas the figures are the sums of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hook {
    /// What it is bound to.
    pub kind: HookKind,
    /// The device whose packets it is called for, by the name that it has now; `None`
    /// for a hook that is not of one device.
    pub dev: Option<String>,
    /// What becomes of a packet that the function gave no verdict for, because it
    /// failed or could not be called.
    pub on_error: OnError,
    /// Packets that the function was called for.
    pub calls: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// Calls, of these, that the deadline ended.
    pub deadline_kills: u64,
    /// Packets that the function could not be called for.
    pub missed: u64,
    /// Wall-clock time in all calls.
    pub run_time: Duration,
    /// The verdicts that the function gave, and to how many packets.
    pub verdicts: Vec<(Verdict, u64)>,
}

/// What a hook is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookKind {
    /// A hook of netfilter, in the state's network namespace.
    Netfilter {
        /// The protocol family.
        family: NetfilterFamily,
        /// The place on a packet's way.
        hook: NetfilterHook,
        /// When it is called among those of the same place: the least first.
        priority: i32,
    },
    /// XDP programs that call the state.
    Xdp,
    /// TC programs that call the state.
    Tc,
    /// A kind that this library does not know, by its number.
    Unknown(u32),
}

/// What becomes of a packet that a hook has no verdict for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// The same as if there were no hook.
    Native,
    /// It is dropped.
    Drop,
    /// One that this library does not know, by its number.
    Unknown(u32),
}

names! { OnError {
    Native => "native",
    Drop => "drop",
} }

impl From<u32> for OnError {
    fn from(number: u32) -> Self {
        match lunatik_on_error(number) {
            lunatik_on_error::LUNATIK_ON_ERROR_NATIVE => Self::Native,
            lunatik_on_error::LUNATIK_ON_ERROR_DROP => Self::Drop,
            lunatik_on_error(number) => Self::Unknown(number),
        }
    }
}

impl std::fmt::Display for HookKind {
    /// `netfilter`, `xdp`, `tc`, or the number of an unknown kind.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Netfilter { .. } => f.pad("netfilter"),
            Self::Xdp => f.pad("xdp"),
            Self::Tc => f.pad("tc"),
            Self::Unknown(number) => write!(f, "{number}"),
        }
    }
}

impl HookKind {
    /// What its hooks mean by the verdict of that number.
    fn verdict(self, number: u32) -> Verdict {
        match self {
            Self::Netfilter { .. } => Verdict::of_netfilter(number),
            Self::Xdp => Verdict::of_xdp(number),
            Self::Tc => Verdict::of_tc(number),
            Self::Unknown(_) => Verdict::Unknown(number),
        }
    }
}

impl Hook {
    /// Reads a HOOK.
    pub(crate) fn read(nest: Attr<'_>) -> Result<Self> {
        read! { Attrs(nest.payload),
            kind: LUNATIK_A_HOOK_KIND = u32;
            on_error: LUNATIK_A_ON_ERROR = u32;
            calls: LUNATIK_A_CALLS = u64;
            errors: LUNATIK_A_ERRORS = u64;
            deadline_kills: LUNATIK_A_DEADLINE_KILLS = u64;
            missed: LUNATIK_A_MISSED = u64;
            run_time: LUNATIK_A_RUN_TIME = u64;
            ?family: LUNATIK_A_FAMILY = u32;
            ?hook: LUNATIK_A_HOOK_NUMBER = u32;
            ?priority: LUNATIK_A_PRIORITY = i32;
            ?dev: LUNATIK_A_DEV = string;
            *verdicts: LUNATIK_A_VERDICT = verdict;
        }
        let kind = match lunatik_hook_kind(kind) {
            lunatik_hook_kind::LUNATIK_HOOK_NETFILTER => {
                let family = family.ok_or_else(|| missing("FAMILY"))?.into();
                let hook = hook.ok_or_else(|| missing("HOOK_NUMBER"))?;
                HookKind::Netfilter {
                    family,
                    hook: NetfilterHook::new(family, hook),
                    priority: priority.ok_or_else(|| missing("PRIORITY"))?,
                }
            }
            lunatik_hook_kind::LUNATIK_HOOK_XDP => HookKind::Xdp,
            lunatik_hook_kind::LUNATIK_HOOK_TC => HookKind::Tc,
            lunatik_hook_kind(number) => HookKind::Unknown(number),
        };
        let verdicts = verdicts.into_iter();
        Ok(Self {
            kind,
            dev,
            on_error: on_error.into(),
            calls,
            errors,
            deadline_kills,
            missed,
            run_time: Duration::from_nanos(run_time),
            verdicts: verdicts
                .map(|(number, count)| (kind.verdict(number), count))
                .collect(),
        })
    }
}

/// Reads a VERDICT.
fn verdict(nest: Attr<'_>) -> Result<(u32, u64)> {
    read! { Attrs(nest.payload),
        number: LUNATIK_A_VALUE = u32;
        count: LUNATIK_A_COUNT = u64;
    }
    Ok((number, count))
}

#[cfg(feature = "serde")]
mod json {
    use serde::{Serialize, Serializer, ser::SerializeMap};

    use super::{Hook, HookKind};
    use crate::verdict::Verdict;

    /// Counts by the verdicts' names.
    struct Verdicts<'a>(&'a [(Verdict, u64)]);

    impl Serialize for Verdicts<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }

    impl Serialize for Hook {
        /// The fields by their names, those of its kind beside the others; the time
        /// with its unit in the name, the verdicts as a map of counts.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("kind", &self.kind.to_string())?;
            if let HookKind::Netfilter {
                family,
                hook,
                priority,
            } = self.kind
            {
                map.serialize_entry("family", &family)?;
                map.serialize_entry("hook", &hook)?;
                if let Some(dev) = &self.dev {
                    map.serialize_entry("dev", dev)?;
                }
                map.serialize_entry("priority", &priority)?;
            }
            map.serialize_entry("on_error", &self.on_error)?;
            map.serialize_entry("calls", &self.calls)?;
            map.serialize_entry("errors", &self.errors)?;
            map.serialize_entry("deadline_kills", &self.deadline_kills)?;
            map.serialize_entry("missed", &self.missed)?;
            map.serialize_entry("run_time_ns", &self.run_time.as_nanos())?;
            map.serialize_entry("verdicts", &Verdicts(&self.verdicts))?;
            map.end()
        }
    }
}

#[cfg(test)]
mod tests {
    use lunatik_sys::lunatik_attr as A;

    use super::*;
    use crate::{
        Description, ErrorKind,
        fake::{self, attr, nest},
    };

    fn u32(kind: A, value: u32) -> Vec<u8> {
        attr(kind, &value.to_ne_bytes())
    }

    fn u64(kind: A, value: u64) -> Vec<u8> {
        attr(kind, &value.to_ne_bytes())
    }

    fn verdict(value: u32, count: u64) -> Vec<u8> {
        let parts = [
            u32(A::LUNATIK_A_VALUE, value),
            u64(A::LUNATIK_A_COUNT, count),
        ];
        nest(A::LUNATIK_A_VERDICT, &parts)
    }

    /// The parts of a hook that every kind has.
    fn figures(kind: u32, on_error: u32) -> Vec<Vec<u8>> {
        vec![
            u32(A::LUNATIK_A_HOOK_KIND, kind),
            u32(A::LUNATIK_A_ON_ERROR, on_error),
            u64(A::LUNATIK_A_CALLS, 100),
            u64(A::LUNATIK_A_ERRORS, 3),
            u64(A::LUNATIK_A_DEADLINE_KILLS, 2),
            u64(A::LUNATIK_A_MISSED, 1),
            u64(A::LUNATIK_A_RUN_TIME, 5000),
        ]
    }

    fn netfilter(family: u32, hook: u32, priority: i32) -> Vec<Vec<u8>> {
        let mut parts = figures(0, 0);
        parts.push(u32(A::LUNATIK_A_FAMILY, family));
        parts.push(u32(A::LUNATIK_A_HOOK_NUMBER, hook));
        parts.push(attr(A::LUNATIK_A_PRIORITY, &priority.to_ne_bytes()));
        parts
    }

    /// What is read of a state that has these hooks.
    fn read(hooks: &[Vec<Vec<u8>>]) -> Result<Vec<Hook>> {
        let mut attrs = fake::description();
        for parts in hooks {
            attrs.extend(nest(A::LUNATIK_A_HOOK, parts));
        }
        Description::read(Attrs(&attrs)).map(|state| state.hooks)
    }

    #[test]
    fn each_kind_has_names_of_its_own() {
        let input = [netfilter(2, 1, -150), vec![verdict(1, 90), verdict(0, 7)]].concat();
        let xdp = [figures(1, 1), vec![verdict(1, 7), verdict(2, 90)]].concat();
        let tc = [figures(2, 0), vec![verdict(u32::MAX, 1), verdict(2, 96)]].concat();
        let hooks = read(&[input, xdp, tc]).expect("complete");
        assert_eq!(
            hooks[0],
            Hook {
                kind: HookKind::Netfilter {
                    family: NetfilterFamily::Ipv4,
                    hook: NetfilterHook::Input,
                    priority: -150,
                },
                dev: None,
                on_error: OnError::Native,
                calls: 100,
                errors: 3,
                deadline_kills: 2,
                missed: 1,
                run_time: Duration::from_micros(5),
                verdicts: vec![(Verdict::Accept, 90), (Verdict::Drop, 7)],
            }
        );
        assert_eq!(
            (hooks[1].kind, hooks[1].on_error),
            (HookKind::Xdp, OnError::Drop)
        );
        assert_eq!(hooks[1].verdicts, [(Verdict::Drop, 7), (Verdict::Pass, 90)]);
        assert_eq!(hooks[2].kind, HookKind::Tc);
        assert_eq!(
            hooks[2].verdicts,
            [(Verdict::Unspec, 1), (Verdict::Shot, 96)]
        );
    }

    #[test]
    fn hooks_of_a_device_tell_its_name() {
        let mut ingress = netfilter(1, 5, 0);
        ingress.push(attr(A::LUNATIK_A_DEV, b"veth0\0"));
        let hook = read(&[ingress]).expect("complete").remove(0);
        assert_eq!(
            hook.kind,
            HookKind::Netfilter {
                family: NetfilterFamily::Inet,
                hook: NetfilterHook::Ingress,
                priority: 0,
            }
        );
        assert_eq!(hook.dev.as_deref(), Some("veth0"));
        #[cfg(feature = "serde")]
        assert_eq!(
            serde_json::to_value(&hook).expect("serializes")["dev"],
            "veth0"
        );
    }

    #[test]
    fn what_is_unknown_is_read_as_its_number() {
        let mut strange = figures(9, 8);
        strange.push(verdict(7, 6));
        strange.push(u32(A::from(5000), 4));
        let hooks = read(&[strange, netfilter(99, 98, i32::MIN)]).expect("complete");
        assert_eq!(hooks[0].kind, HookKind::Unknown(9));
        assert_eq!(hooks[0].on_error, OnError::Unknown(8));
        assert_eq!(hooks[0].verdicts, [(Verdict::Unknown(7), 6)]);
        assert_eq!(
            hooks[1].kind,
            HookKind::Netfilter {
                family: NetfilterFamily::Unknown(99),
                hook: NetfilterHook::Unknown(98),
                priority: i32::MIN,
            }
        );
    }

    #[test]
    fn hooks_must_be_complete() {
        let whole = netfilter(2, 1, 0);
        let names = [
            "HOOK_KIND",
            "ON_ERROR",
            "CALLS",
            "ERRORS",
            "DEADLINE_KILLS",
            "MISSED",
            "RUN_TIME",
            "FAMILY",
            "HOOK_NUMBER",
            "PRIORITY",
        ];
        assert!(read(std::slice::from_ref(&whole)).is_ok());
        for (at, name) in names.iter().enumerate() {
            let mut parts = whole.clone();
            parts.remove(at);
            let error = read(&[parts]).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(
                error.to_string().ends_with(&format!("lacks {name}")),
                "{error}"
            );
        }
        // What netfilter needs the others do not.
        assert!(read(&[figures(1, 0), figures(2, 0)]).is_ok());
        let half = nest(A::LUNATIK_A_VERDICT, &[u32(A::LUNATIK_A_VALUE, 1)]);
        assert!(read(&[[whole, vec![half]].concat()]).is_err());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn hooks_are_json() {
        let input = [netfilter(10, 4, 100), vec![verdict(1, 90), verdict(9, 7)]].concat();
        let hooks = read(&[input, figures(1, 1)]).expect("complete");
        assert_eq!(
            serde_json::to_string(&hooks[0]).expect("serializes"),
            r#"{"kind":"netfilter","family":"ipv6","hook":"postrouting","priority":100,"#
                .to_owned()
                + r#""on_error":"native","calls":100,"errors":3,"deadline_kills":2,"missed":1,"#
                + r#""run_time_ns":5000,"verdicts":{"accept":90,"9":7}}"#
        );
        assert_eq!(
            serde_json::to_string(&hooks[1]).expect("serializes"),
            r#"{"kind":"xdp","on_error":"drop","calls":100,"errors":3,"deadline_kills":2,"#
                .to_owned()
                + r#""missed":1,"run_time_ns":5000,"verdicts":{}}"#
        );
    }
}
