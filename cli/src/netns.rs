// SPDX-License-Identifier: MIT OR Apache-2.0
//! How `-n` names a network namespace.

use std::str::FromStr;

/// A network namespace other than this process's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Netns {
    /// By iproute2's name, or a path when there is a `/` in it.
    Named(String),
    /// The one that a process is in.
    OfProcess(u32),
}

impl FromStr for Netns {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("pid:").map(str::parse) {
            None if text.is_empty() => Err("the name is empty"),
            None => Ok(Self::Named(text.to_owned())),
            Some(Ok(pid @ 1..)) => Ok(Self::OfProcess(pid)),
            Some(_) => Err("pid: needs the number of a process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_processes() {
        assert_eq!("blue".parse(), Ok(Netns::Named("blue".into())));
        assert_eq!(
            "/proc/1/ns/net".parse(),
            Ok(Netns::Named("/proc/1/ns/net".into()))
        );
        assert_eq!("pid:42".parse(), Ok(Netns::OfProcess(42)));
        assert_eq!("pid".parse(), Ok(Netns::Named("pid".into())));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "pid:",
            "pid:0",
            "pid:-1",
            "pid:one",
            "pid:4294967296",
            "pid:1 ",
        ] {
            assert!(text.parse::<Netns>().is_err(), "{text:?}");
        }
    }
}
