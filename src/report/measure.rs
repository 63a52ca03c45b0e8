//! Sizes and times as people read them.

use std::time::Duration;

/// A number of bytes: `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1024 is one of the next unit.
    while value >= 1023.5
        && let Some(larger) = units.next()
    {
        value /= 1024.0;
        unit = Some(larger);
    }
    let unit = unit.unwrap_or(&"");
    // Three digits are enough for anybody.
    if value < 99.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// How long something will take: `2 s`, `3 min 20 s`, `1 h 05 min`.
pub(super) fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// How long something has been going on: `0:34`, `1:02:05`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |bytes, expected: &str| assert_eq!(size(bytes), expected, "{bytes}");
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(12_897_485, "12.3 MiB");
        check(429_916_160, "410 MiB");
        check(1_048_575, "1.0 MiB");
        check(104_857, "102 KiB");
        check(2 << 30, "2.0 GiB");
        check(u64::MAX, "16.0 EiB");
    }

    #[test]
    fn spans() {
        let check = |seconds, expected: &str| {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        };
        check(0, "0 s");
        check(59, "59 s");
        check(200, "3 min 20 s");
        check(3900, "1 h 05 min");
        check(u64::MAX, "5124095576030431 h 00 min");
    }

    #[test]
    fn clocks() {
        let check = |seconds, expected: &str| {
            assert_eq!(clock(Duration::from_secs(seconds)), expected);
        };
        check(0, "0:00");
        check(34, "0:34");
        check(3599, "59:59");
        check(3725, "1:02:05");
    }
}
