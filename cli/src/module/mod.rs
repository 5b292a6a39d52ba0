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
                return Ok(Outcome::Failed(first_line(name, &text)));
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

/// What a tool of kmod said: `modprobe: FATAL: Module x not found.` without what
/// stands before the sentence.
fn first_line(tool: &str, stderr: &str) -> String {
    let line = stderr
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it failed without a message");
    let line = line.strip_prefix(&format!("{tool}: ")).unwrap_or(line);
    ["FATAL: ", "ERROR: "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line)
        .trim()
        .trim_end_matches('.')
        .to_owned()
}

/// The failure to `action` the module, told from what a tool said.
fn refused(action: &str, said: &str) -> Failure {
    let (status, code) = if said.contains("not permitted") || said.contains("Permission denied") {
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
    fn what_a_tool_said_becomes_one_sentence() {
        for (tool, said, line) in [
            (
                "modprobe",
                "modprobe: FATAL: Module lunatik not found in directory /lib/modules/6.12\n",
                "Module lunatik not found in directory /lib/modules/6.12",
            ),
            (
                "modprobe",
                "modprobe: ERROR: could not insert 'lunatik': Operation not permitted\n",
                "could not insert 'lunatik': Operation not permitted",
            ),
            (
                "rmmod",
                "\nrmmod: ERROR: Module lunatik is in use.\nmore\n",
                "Module lunatik is in use",
            ),
            ("rmmod", "", "it failed without a message"),
        ] {
            assert_eq!(first_line(tool, said), line);
        }
    }

    #[test]
    fn exit_status_follows_what_a_tool_said() {
        for (said, status) in [
            (
                "could not insert 'lunatik': Operation not permitted",
                Status::NotPermitted,
            ),
            (
                "Module lunatik not found in directory /lib/modules/6.12",
                Status::ModuleMissing,
            ),
            ("Module lunatik is in use", Status::Failure),
            (
                "could not insert 'lunatik': Invalid argument",
                Status::Failure,
            ),
        ] {
            assert_eq!(refused("load", said).status(), status, "{said}");
        }
    }
}
