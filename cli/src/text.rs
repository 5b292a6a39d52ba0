// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text from scripts, on a line of its own.

use std::fmt::Write as _;

/// `bytes` as text that neither ends its line nor steers a terminal: control
/// characters but the tab are escaped as Lua would, and so is what is not UTF-8.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => text.push(c),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                c if c.is_control() => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn text_stays_as_it_is() {
        assert_eq!(visible("a\tb \\ \"ü\"".as_bytes()), "a\tb \\ \"ü\"");
    }

    #[test]
    fn control_characters_and_binary_are_escaped() {
        assert_eq!(
            visible(b"a\nb\rc\0\x1b[31m\x7f\xff\xc3"),
            "a\\nb\\rc\\x00\\x1b[31m\\x7f\\xff\\xc3"
        );
        assert_eq!(visible("\u{9b}".as_bytes()), "\\xc2\\x9b");
    }
}
