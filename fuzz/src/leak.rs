// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses of the kernel in what comes out of it.

use std::{fs::File, io::Read, mem, ops::RangeInclusive};

use lunatik::Value;

/// Where the kernel's memory is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The machine's memory, small enough that no number is there by chance.
    memory: Vec<RangeInclusive<u64>>,
    /// The rest, where numbers of scripts may be: an address is what `tostring`
    /// shows as one.
    others: Vec<RangeInclusive<u64>>,
}

impl Addresses {
    /// Those of this kernel, as `/proc/kcore` has them; none if that cannot tell.
    pub(crate) fn new() -> Self {
        let mut head = Vec::new();
        let read =
            File::open("/proc/kcore").and_then(|core| core.take(1 << 14).read_to_end(&mut head));
        read.ok()
            .and_then(|_| Self::parse(&head))
            .unwrap_or_default()
    }

    /// From the segments of an ELF core file that are in the upper half.
    fn parse(elf: &[u8]) -> Option<Self> {
        const LOAD: u32 = 1;
        /// Where the kernel's text and modules begin.
        const TEXT: u64 = 0xffff_ffff_8000_0000;
        let u16_at = |at: usize| Some(u16::from_le_bytes(*elf.get(at..)?.first_chunk()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(*elf.get(at..)?.first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(*elf.get(at..)?.first_chunk()?));
        if !elf.starts_with(b"\x7fELF\x02") {
            return None;
        }
        let table = usize::try_from(u64_at(32)?).ok()?;
        let size = usize::from(u16_at(54)?);
        let mut addresses = Self::default();
        for index in 0..usize::from(u16_at(56)?) {
            let entry = table + index * size;
            let (start, physical) = (u64_at(entry + 16)?, u64_at(entry + 24)?);
            let length = u64_at(entry + 40)?;
            if u32_at(entry)? != LOAD || start < 1 << 63 || length == 0 {
                continue;
            }
            let range = start..=start.saturating_add(length - 1);
            if physical != u64::MAX && start < TEXT {
                addresses.memory.push(range);
            } else {
                addresses.others.push(range);
            }
        }
        Some(addresses)
    }

    fn in_memory(&self, number: u64) -> bool {
        self.memory.iter().any(|range| range.contains(&number))
    }

    fn anywhere(&self, number: u64) -> bool {
        self.in_memory(number) || self.others.iter().any(|range| range.contains(&number))
    }

    /// What looks like an address in `bytes`: in hexadecimal, in decimal, or as it is
    /// in memory.
    pub(crate) fn in_bytes(&self, bytes: &[u8]) -> Option<u64> {
        if self.memory.is_empty() {
            return None;
        }
        let raw = bytes.windows(8).map(|window| {
            let window = window.try_into().expect("8 bytes");
            u64::from_le_bytes(window)
        });
        let raw = raw.filter(|&number| self.in_memory(number));
        let written = numbers(bytes)
            .filter(|&(number, shown)| self.in_memory(number) || (shown && self.anywhere(number)));
        raw.chain(written.map(|(number, _)| number)).next()
    }

    /// As [`in_bytes`](Self::in_bytes), in a value.
    pub(crate) fn in_value(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Integer(integer) => {
                Some(integer.cast_unsigned()).filter(|&number| self.in_memory(number))
            }
            Value::String(bytes) | Value::Text(bytes) => self.in_bytes(bytes),
            Value::Table(entries) => entries
                .iter()
                .find_map(|(key, value)| self.in_value(key).or_else(|| self.in_value(value))),
            Value::Nil | Value::Boolean(_) => None,
        }
    }
}

/// The numbers that are written in `bytes` and are long enough for an address, and
/// whether they are where `tostring` shows one.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = (u64, bool)> {
    let word = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    bytes
        .chunk_by(move |a, b| word(a) == word(b))
        .scan(&[][..], |before, chunk| {
            Some((mem::replace(before, chunk), chunk))
        })
        .filter(|(_, chunk)| (10..=20).contains(&chunk.len()))
        .filter_map(|(before, chunk)| {
            let text = std::str::from_utf8(chunk).ok()?;
            let number = match text.parse::<i64>() {
                Ok(number) if number < 0 => number.cast_unsigned(),
                _ => u64::from_str_radix(text, 16).ok()?,
            };
            let shown = before.ends_with(b": ") && chunk.len() == 16;
            Some((number, shown))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            memory: vec![0xffff_8880_0000_0000..=0xffff_8880_1fff_ffff],
            others: vec![0xffff_ffff_8100_0000..=0xffff_ffff_83ff_ffff],
        }
    }

    #[test]
    fn addresses_are_found_however_they_are_written() {
        let address = 0xffff_8880_0123_4567u64;
        let found = |text: String| addresses().in_bytes(text.as_bytes());
        assert_eq!(found(format!("table: 0x{address:016x}")), Some(address));
        assert_eq!(found(format!("{address:X}!")), Some(address));
        assert_eq!(found(format!("x{}", address.cast_signed())), Some(address));
        assert_eq!(found("table: 00000000abcdef01".into()), None);
        assert!(found("function: ffffffff81234567".into()).is_some());
        assert_eq!(found("ffffffff81234567".into()), None);
        assert_eq!(found("x: -2128394905".into()), None);
        assert_eq!(found("-1 ffffffffffffffff".into()), None);
        let raw = [b"x".as_slice(), &address.to_le_bytes(), b"y"].concat();
        assert_eq!(addresses().in_bytes(&raw), Some(address));
        let value = Value::sequence([Value::Integer(address.cast_signed())]);
        assert_eq!(addresses().in_value(&value), Some(address));
    }

    #[test]
    fn what_is_no_core_file_tells_nothing() {
        assert_eq!(Addresses::parse(b""), None);
        assert_eq!(Addresses::parse(b"\x7fELF\x02"), None);
    }
}
