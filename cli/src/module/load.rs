// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{path::Path, str::FromStr};

use super::{NAME, Outcome, SYSFS, loaded, refused, tool};
use crate::{
    context::Context,
    failure::{Failure, Result, Status},
};

/// Load the kernel module
///
/// Does nothing when it is loaded. The first command that needs the module loads
/// it too, where it is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Parameters:
  max_states=N              states that one network namespace may have
  max_total_alloc=N         bytes that the states of one network namespace may use
  max_alloc=N               highest memory cap of one state, in bytes
  timeout_us=N              limit of a run that nobody sets another for, in
                            microseconds
  max_timeout_us=N          highest such limit
  softirq_timeout_us=N      limit of a softirq state that was made without one, in
                            microseconds
  max_softirq_timeout_us=N  highest such limit
  allow_user_ns=0|1         whether to serve network namespaces that belong to a
                            user namespace other than the first

Examples:
  lunatikctl load
  lunatikctl load max_states=64 max_total_alloc=16777216")]
pub(crate) struct Args {
    /// Parameters of the module
    #[arg(value_name = "KEY=VALUE")]
    parameters: Vec<Parameter>,
}

/// A parameter of the module.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    key: String,
    value: String,
}

impl FromStr for Parameter {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("a parameter is KEY=VALUE")?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(is_word) {
            return Err("KEY is letters, digits and `_`");
        }
        if value.is_empty() || !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("VALUE is printable and has no spaces");
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Args {
    pub(crate) fn run(self, _context: &mut Context) -> Result<()> {
        if loaded() == Some(true) {
            if self.parameters.is_empty() {
                return Ok(());
            }
            let message = format!(
                "the {NAME} module is loaded already; parameters need `lunatikctl unload` first"
            );
            return Err(Failure::new(Status::Failure, "EBUSY", message));
        }
        let mut arguments = vec![NAME.to_owned()];
        let parameters = self.parameters.iter();
        arguments.extend(parameters.map(|Parameter { key, value }| format!("{key}={value}")));
        if let Outcome::Failed(said) = tool("modprobe", &arguments)? {
            return Err(refused("load", &said));
        }
        // The kernel loads a module whatever parameters it does not know.
        let unknown = |parameter: &&Parameter| {
            let path = Path::new(SYSFS).join("parameters").join(&parameter.key);
            loaded() == Some(true) && !path.exists()
        };
        match self.parameters.iter().find(unknown) {
            None => Ok(()),
            Some(Parameter { key, .. }) => {
                let message = format!("the {NAME} module is loaded, but has no parameter {key}");
                Err(Failure::new(Status::Failure, "EINVAL", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_a_key_and_a_value() {
        let parameter = Parameter {
            key: "max_states".into(),
            value: "64".into(),
        };
        assert_eq!("max_states=64".parse(), Ok(parameter));
        for text in [
            "",
            "max_states",
            "=1",
            "max_states=",
            "a b=1",
            "a=1 b=2",
            "-r=1",
        ] {
            assert!(text.parse::<Parameter>().is_err(), "{text:?}");
        }
    }
}
