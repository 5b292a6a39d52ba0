// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command reads: an argument, a file, or standard input.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use crate::failure::{Failure, Result, Status};

/// The argument that means standard input.
const STDIN: &str = "-";

pub(crate) fn is_stdin(argument: &OsStr) -> bool {
    argument == STDIN
}

/// The bytes of an argument, or of standard input when it is `-`.
pub(crate) fn argument(argument: &OsStr, limit: usize) -> Result<Vec<u8>> {
    if is_stdin(argument) {
        return stdin(limit);
    }
    Ok(argument.as_bytes().to_vec())
}

/// All of standard input.
pub(crate) fn stdin(limit: usize) -> Result<Vec<u8>> {
    read("standard input", io::stdin().lock(), limit)
}

/// All of a file.
pub(crate) fn file(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let name = path.to_string_lossy();
    match File::open(path) {
        Ok(file) => read(&name, file, limit),
        Err(error) => Err(Failure::input(name, error)),
    }
}

fn read(name: &str, source: impl Read, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::input(name, error))?;
    if bytes.len() > limit {
        let message = format!("more than {limit} bytes, the limit");
        return Err(Failure::new(Status::Failure, "EMSGSIZE", message).about(name));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_the_longest_that_is_read() {
        assert_eq!(read("x", &b"12345"[..], 5).expect("fits"), b"12345");
        let failure = read("x", &b"123456"[..], 5).expect_err("is too long");
        assert_eq!(
            failure.to_string(),
            "x: more than 5 bytes, the limit (EMSGSIZE)"
        );
    }

    #[test]
    fn missing_file_is_told_by_its_name() {
        let failure = file(Path::new("/nonexistent/x.lua"), 5).expect_err("is not there");
        assert_eq!(
            failure.to_string(),
            "/nonexistent/x.lua: cannot read: no such file or directory (ENOENT)"
        );
        assert_eq!(failure.status(), Status::Failure);
    }
}
