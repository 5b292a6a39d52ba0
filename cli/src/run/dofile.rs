// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{ffi::OsString, path::PathBuf, time::Duration};

use lunatik::limits;

use super::Script;
use crate::{context::Context, failure::Result, input, units};

/// Run a file of Lua in a state
///
/// Prints what it returns as dostring does. A first line that begins with `#` is
/// skipped, as the Lua interpreter does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl dofile fw firewall.lua
  lunatikctl dofile fw firewall.lua eth0 443
  generate | lunatikctl dofile fw -")]
pub(crate) struct Args {
    /// The state
    name: String,

    /// The script; `-` reads standard input
    file: PathBuf,

    /// Strings that the script has as `...`
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    arguments: Vec<OsString>,

    /// The limit of this run's wall-clock time, such as 500ms or 2s [default: the
    /// state's]
    #[arg(long, value_name = units::DURATION, value_parser = units::duration)]
    timeout: Option<Duration>,
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        let (chunk_name, code) = if input::is_stdin(self.file.as_os_str()) {
            ("=stdin".to_owned(), input::stdin(limits::CODE)?)
        } else {
            let name = format!("@{}", self.file.to_string_lossy());
            (name, input::file(&self.file, limits::CODE)?)
        };
        Script {
            state: self.name,
            code: without_first_comment(code),
            arguments: self.arguments,
            chunk_name: Some(chunk_name),
            timeout: self.timeout,
        }
        .run(context)
    }
}

/// Leaves out a byte order mark and the text of a first line that begins with
/// `#`, as `luaL_loadfilex` does; the line itself stays, and so do the numbers of
/// the others.
fn without_first_comment(mut code: Vec<u8>) -> Vec<u8> {
    let start = if code.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let end = match code.get(start) {
        Some(b'#') => code
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(code.len()),
        _ => start,
    };
    code.drain(..end);
    code
}

#[cfg(test)]
mod tests {
    use super::without_first_comment;

    #[test]
    fn first_comment_is_left_out_and_lines_keep_their_numbers() {
        for (file, code) in [
            ("", ""),
            ("return 1", "return 1"),
            ("#!/usr/bin/lua\nreturn 1", "\nreturn 1"),
            ("# only", ""),
            ("\u{feff}return 1", "return 1"),
            ("\u{feff}#!lua\nreturn 1", "\nreturn 1"),
            ("return #t\n#", "return #t\n#"),
        ] {
            assert_eq!(
                without_first_comment(file.into()),
                code.as_bytes(),
                "{file:?}"
            );
        }
    }
}
