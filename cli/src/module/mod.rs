// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel module.

use std::{io, path::Path, process::Command};

use lunatik::Error;

use crate::failure::{Failure, Result, Status};

pub(crate) mod load;
pub(crate) mod status;
pub(crate) mod unload;

/// Its name.
const NAME: &str = "lunatik";
/// Where the kernel tells about it.
const SYSFS: &str = "/sys/module/lunatik";

/// Whether the module is loaded, where the kernel tells.
fn loaded() -> Option<bool> {
    let sysfs = Path::new(SYSFS);
    sysfs.parent()?.is_dir().then(|| sysfs.is_dir())
}

/// What a tool of kmod did.
enum Outcome {
    Done,
    Failed(String),
}

/// Runs a tool of kmod. Administrators' folders are searched too, because the
/// search path of others lacks them.
fn tool(name: &str, arguments: &[String]) -> Result<Outcome> {
    for program in [name, &format!("/usr/sbin/{name}"), &format!("/sbin/{name}")] {
        let output = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(Outcome::Done),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                return Ok(Outcome::Failed(reason(&text)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let action = "cannot start it";
                return Err(Failure::from(Error::Io { action, source }).about(name));
            }
        }
    }
    let message = "not found; it is part of kmod";
    Err(Failure::new(Status::Failure, "ENOENT", message).about(name))
}

/// Why a tool of kmod failed, from what it said: of `modprobe: ERROR: could not
/// insert 'x': Operation not permitted` what stands last, as it stands in a
/// sentence.
fn reason(stderr: &str) -> String {
    let line = stderr.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or("no reason was told").trim_end_matches('.');
    let reason = line.rsplit(": ").next().unwrap_or(line);
    let mut chars = reason.chars();
    chars.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_lowercase(), chars.as_str())
    })
}

/// The failure to `action` the module, told from what a tool said.
fn refused(action: &str, said: &str) -> Failure {
    let (status, code) = if said.contains("not permitted") || said.contains("permission denied") {
        (Status::NotPermitted, "EPERM")
    } else if said.contains("not found") {
        (Status::ModuleMissing, "ENOENT")
    } else if said.contains("in use") || said.contains("temporarily unavailable") {
        (Status::Failure, "EBUSY")
    } else {
        (Status::Failure, "EIO")
    };
    let message = format!("cannot {action} the {NAME} module: {said}");
    Failure::new(status, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_what_a_tool_said_last() {
        for (said, expected) in [
            (
                "modprobe: FATAL: Module lunatik not found in directory /lib/modules/6.12\n",
                "module lunatik not found in directory /lib/modules/6.12",
            ),
            (
                "modprobe: ERROR: could not insert 'lunatik': Operation not permitted\n",
                "operation not permitted",
            ),
            (
                "\nrmmod: ERROR: Module lunatik is in use.\nmore\n",
                "module lunatik is in use",
            ),
            ("", "no reason was told"),
        ] {
            assert_eq!(reason(said), expected);
        }
    }

    #[test]
    fn exit_status_follows_the_reason() {
        for (reason, status) in [
            ("operation not permitted", Status::NotPermitted),
            (
                "module lunatik not found in directory /lib/modules/6.12",
                Status::ModuleMissing,
            ),
            ("module lunatik is in use", Status::Failure),
            ("invalid argument", Status::Failure),
        ] {
            assert_eq!(refused("load", reason).status(), status, "{reason}");
        }
    }
}
