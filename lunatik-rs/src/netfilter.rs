// SPDX-License-Identifier: MIT OR Apache-2.0
//! The places where netfilter has hooks.

use nix::libc;

use crate::names::names;

/// A protocol family of netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetfilterFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ipv4,
    /// ARP.
    Arp,
    /// All that a device receives or sends.
    Netdev,
    /// Frames that a bridge forwards.
    Bridge,
    /// IPv6.
    Ipv6,
    /// A family that this library does not know, by its number.
    Unknown(u32),
}

names! { NetfilterFamily {
    Inet => "inet",
    Ipv4 => "ipv4",
    Arp => "arp",
    Netdev => "netdev",
    Bridge => "bridge",
    Ipv6 => "ipv6",
} }

impl From<u32> for NetfilterFamily {
    fn from(number: u32) -> Self {
        match number.cast_signed() {
            libc::NFPROTO_INET => Self::Inet,
            libc::NFPROTO_IPV4 => Self::Ipv4,
            libc::NFPROTO_ARP => Self::Arp,
            libc::NFPROTO_NETDEV => Self::Netdev,
            libc::NFPROTO_BRIDGE => Self::Bridge,
            libc::NFPROTO_IPV6 => Self::Ipv6,
            _ => Self::Unknown(number),
        }
    }
}

/// A place on a packet's way where netfilter has hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetfilterHook {
    /// Before the packet is routed.
    Prerouting,
    /// On the way to this machine.
    Input,
    /// On the way through this machine.
    Forward,
    /// On the way from this machine.
    Output,
    /// After the packet was routed.
    Postrouting,
    /// When a device has received it.
    Ingress,
    /// When a device is about to send it.
    Egress,
    /// A place that this library does not know, by its number in the family.
    Unknown(u32),
}

names! { NetfilterHook {
    Prerouting => "prerouting",
    Input => "input",
    Forward => "forward",
    Output => "output",
    Postrouting => "postrouting",
    Ingress => "ingress",
    Egress => "egress",
} }

/// `NF_ARP_IN` and those after it.
const ARP: [NetfilterHook; 3] = [
    NetfilterHook::Input,
    NetfilterHook::Output,
    NetfilterHook::Forward,
];

/// `NF_INET_PRE_ROUTING` and those after it, and as `NF_BR_` the same but the last.
const INET: [NetfilterHook; 6] = [
    NetfilterHook::Prerouting,
    NetfilterHook::Input,
    NetfilterHook::Forward,
    NetfilterHook::Output,
    NetfilterHook::Postrouting,
    NetfilterHook::Ingress,
];

/// `NF_NETDEV_INGRESS` and the one after it.
const NETDEV: [NetfilterHook; 2] = [NetfilterHook::Ingress, NetfilterHook::Egress];

impl NetfilterHook {
    /// The hook of that number in `family`.
    pub(crate) fn new(family: NetfilterFamily, number: u32) -> Self {
        let hooks = match family {
            NetfilterFamily::Arp => &ARP[..],
            NetfilterFamily::Inet => &INET,
            NetfilterFamily::Netdev => &NETDEV,
            NetfilterFamily::Ipv4 | NetfilterFamily::Ipv6 | NetfilterFamily::Bridge => &INET[..5],
            NetfilterFamily::Unknown(_) => &[],
        };
        let hook = usize::try_from(number).ok().and_then(|at| hooks.get(at));
        hook.copied().unwrap_or(Self::Unknown(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_family() {
        let shown = |family: i32, hook| {
            let family = NetfilterFamily::from(family.cast_unsigned());
            format!("{family} {}", NetfilterHook::new(family, hook))
        };
        assert_eq!(shown(libc::NFPROTO_IPV4, 0), "ipv4 prerouting");
        assert_eq!(shown(libc::NFPROTO_IPV6, 1), "ipv6 input");
        assert_eq!(shown(libc::NFPROTO_IPV4, 2), "ipv4 forward");
        assert_eq!(shown(libc::NFPROTO_IPV4, 3), "ipv4 output");
        assert_eq!(shown(libc::NFPROTO_BRIDGE, 4), "bridge postrouting");
        assert_eq!(shown(libc::NFPROTO_INET, 5), "inet ingress");
        assert_eq!(shown(libc::NFPROTO_ARP, 0), "arp input");
        assert_eq!(shown(libc::NFPROTO_ARP, 1), "arp output");
        assert_eq!(shown(libc::NFPROTO_ARP, 2), "arp forward");
        assert_eq!(shown(libc::NFPROTO_NETDEV, 0), "netdev ingress");
        assert_eq!(shown(libc::NFPROTO_NETDEV, 1), "netdev egress");
        for (family, hook, expected) in [
            (libc::NFPROTO_IPV4, 5, "ipv4 5"),
            (libc::NFPROTO_ARP, 3, "arp 3"),
            (libc::NFPROTO_NETDEV, 2, "netdev 2"),
            (libc::NFPROTO_DECNET, 0, "12 0"),
            (-1, u32::MAX, "4294967295 4294967295"),
        ] {
            assert_eq!(shown(family, hook), expected);
        }
    }
}
