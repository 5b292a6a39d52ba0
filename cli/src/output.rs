// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command prints: for people, or JSON.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::failure::{Failure, Result, Status};

/// Standard output, and standard error for what went wrong.
pub(crate) struct Output {
    json: bool,
    stdout: BufWriter<StdoutLock<'static>>,
}

/// What goes to standard error with `-j`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Report<'a> {
    Error(&'a Failure),
    Warning(&'a Failure),
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            stdout: BufWriter::new(io::stdout().lock()),
        }
    }

    /// Prints `document` with `-j`, else what `people` writes.
    pub(crate) fn print(
        &mut self,
        document: &impl Serialize,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        if self.json {
            self.stdout.write_all(&json(document)?)?;
        } else {
            people(&mut self.stdout)?;
        }
        Ok(())
    }

    /// Hands on what was printed, for a command that goes on.
    pub(crate) fn flush(&mut self) -> Result<()> {
        Ok(self.stdout.flush()?)
    }

    /// Tells why the command failed.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if failure.status() != Status::OutputClosed {
            // The failure that counts is the one being told.
            let _ = self.stdout.flush();
            self.report(&Report::Error(failure), failure);
        }
    }

    /// Tells what went wrong while the command goes on.
    pub(crate) fn warn(&mut self, warning: &Failure) {
        self.report(&Report::Warning(warning), warning);
    }

    fn report(&self, report: &Report<'_>, failure: &Failure) {
        let text = match json(report) {
            Ok(text) if self.json => text,
            _ => format!("lunatikctl: {failure}\n").into_bytes(),
        };
        // Nobody is left to be told when standard error fails.
        let _ = io::stderr().lock().write_all(&text);
    }
}

/// The one serializer: a document on a line of its own.
fn json(document: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(document)?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_documents_too() {
        let failure =
            Failure::new(Status::NoState, "ENOENT", "no such state in this namespace").about("fw");
        let text = json(&Report::Error(&failure)).expect("serializes");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "{\"error\":{\"subject\":\"fw\",\"message\":\"no such state in this namespace\",\
             \"code\":\"ENOENT\"}}\n"
        );
    }
}
