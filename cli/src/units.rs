// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes and times, as people write and read them.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use parse_size::Config;

/// How long, in the options' help.
pub(crate) const DURATION: &str = "DURATION";

/// A size in bytes that fits the wire: `65536`, `64K`, `64KiB`, `1.5M`; K, M and
/// G count by 1024.
pub(crate) fn size(text: &str) -> Result<u32, String> {
    let bytes = Config::new()
        .with_binary()
        .parse_size(text)
        .map_err(|error| format!("{error}; a size is like 65536, 64K or 1MiB"))?;
    u32::try_from(bytes).map_err(|_| format!("{bytes} bytes are more than {}", u32::MAX))
}

/// A time with its unit: `500ms`, `2s`, `1m 30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration is like 500ms or 2s"))
}

/// `14.2K`, for tables.
pub(crate) fn short(bytes: impl Into<u64>) -> String {
    whole(&ByteSize::b(bytes.into()).display().iec_short().to_string())
}

/// `14.2 KiB`.
pub(crate) fn round(bytes: impl Into<u64>) -> String {
    whole(&ByteSize::b(bytes.into()).display().iec().to_string())
}

/// `14.2 KiB (14540 bytes)`.
pub(crate) fn exact(bytes: impl Into<u64>) -> String {
    match bytes.into() {
        bytes @ ..1024 => format!("{bytes} bytes"),
        bytes => format!("{} ({bytes} bytes)", round(bytes)),
    }
}

/// A limit, which is a round number mostly: `1s 500ms`.
pub(crate) fn limit(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A measured time: `1.2ms`.
pub(crate) fn measured(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    whole(&format!("{duration:.1?}"))
}

/// A figure with one digit after the point, or none where that is 0.
fn whole(figure: &str) -> String {
    figure.replacen(".0", "", 1)
}

/// `yes` or `no`.
pub(crate) fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// `1 line`, `2 lines`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// A time in UTC: `2026-01-31T12:00:00.123456Z`.
pub(crate) fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn sizes_count_by_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("32768", 32 << 10),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("64KB", 64 << 10),
            ("64 KiB", 64 << 10),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("1.5M", 3 << 19),
            ("3G", 3 << 30),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "-1", "64X", "4G", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10us"), Ok(Duration::from_micros(10)));
        for text in ["", "2", "s", "-1s", "1 parsec"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn figures_for_people() {
        assert_eq!(short(512u32), "512B");
        assert_eq!(short(14_540u32), "14.2K");
        assert_eq!(short(1u32 << 20), "1M");
        assert_eq!(short(u32::MAX), "4G");
        assert_eq!(round(256u64 << 20), "256 MiB");
        assert_eq!(exact(512u32), "512 bytes");
        assert_eq!(exact(14_540u32), "14.2 KiB (14540 bytes)");
        assert_eq!(limit(Duration::from_millis(1500)), "1s 500ms");
        assert_eq!(measured(Duration::from_nanos(1_234_567)), "1.2ms");
        assert_eq!(measured(Duration::from_micros(50_004)), "50ms");
        assert_eq!(measured(Duration::ZERO), "0s");
        assert_eq!(
            utc(UNIX_EPOCH + Duration::from_micros(1)),
            "1970-01-01T00:00:00.000001Z"
        );
    }
}
