// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command reads: an argument, a file, or standard input.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read},
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

/// The lines of a source, as they come.
pub(crate) struct Lines<R> {
    source: BufReader<R>,
    limit: usize,
    /// How many there were.
    count: u64,
    /// What came after those that were given.
    failure: Option<Failure>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source: R, limit: usize) -> Self {
        Self {
            source: BufReader::with_capacity(1 << 17, source),
            limit,
            count: 0,
            failure: None,
        }
    }

    /// Waits for a line, and gives all that are there then, without their ends;
    /// none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        while self.failure.is_none() {
            match self.line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(failure) => self.failure = Some(failure),
            }
            if !self.source.buffer().contains(&b'\n') {
                break;
            }
        }
        match self.failure.take() {
            Some(failure) if lines.is_empty() => Err(failure),
            failure => {
                self.failure = failure;
                Ok(lines)
            }
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.count += 1;
        (&mut self.source)
            .take(self.limit as u64 + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::input("standard input", error))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.ends_with(b"\n") {
            line.pop();
        } else if line.len() > self.limit {
            let message = format!("more than {} bytes, the limit", self.limit);
            return Err(Failure::new(Status::Failure, "EMSGSIZE", message)
                .about(format!("line {}", self.count)));
        }
        Ok(Some(line))
    }
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
    fn lines_come_as_they_are_there() {
        let mut lines = Lines::new(&b"a\n\nabc\nb"[..], 3);
        assert_eq!(lines.next().expect("lines"), [&b"a"[..], b"", b"abc"]);
        // It might have gone on.
        assert_eq!(lines.next().expect("lines"), [b"b"]);
        assert!(lines.next().expect("the end").is_empty());
        // A pipe that has only a part of a line.
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut lines = Lines::new(reader, 10);
        io::Write::write_all(&mut writer, b"one\ntwo\nthr").expect("room");
        assert_eq!(lines.next().expect("lines"), [b"one", b"two"]);
        io::Write::write_all(&mut writer, b"ee\n").expect("room");
        assert_eq!(lines.next().expect("lines"), [b"three"]);
        drop(writer);
        assert!(lines.next().expect("the end").is_empty());
    }

    #[test]
    fn line_that_is_too_long_fails_after_those_before_it() {
        let mut lines = Lines::new(&b"abc\nabcd\nabc\n"[..], 3);
        assert_eq!(lines.next().expect("lines"), [b"abc"]);
        let failure = lines.next().expect_err("is too long");
        assert_eq!(
            failure.to_string(),
            "line 2: more than 3 bytes, the limit (EMSGSIZE)"
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
