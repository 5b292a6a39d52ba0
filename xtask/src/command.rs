// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs and telling clearly when one fails.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Standard output of `command`; its standard error becomes the error's text when it fails.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!(
            "{name}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(output.stdout)
}

/// As [`output`], for programs that print text.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?).into_owned())
}

/// Runs `command` with both of its outputs in one stream of lines, each given to `line` as it comes.
/// What was printed becomes the error's text when it fails.
pub(crate) fn lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<String> {
    let name = describe(command);
    let (reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    // The command holds the pipe's writing ends, which must be closed for the reader to see its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut all = String::new();
    for bytes in BufReader::new(reader).split(b'\n') {
        let text = String::from_utf8_lossy(&bytes?).into_owned();
        line(&text);
        all.push_str(&text);
        all.push('\n');
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{name}: {status}\n{}", all.trim_end());
    }
    Ok(all)
}

/// `text` as one word of the shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut text = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    if text.len() > 200 {
        text.truncate(text.floor_char_boundary(200));
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_one_word() {
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
