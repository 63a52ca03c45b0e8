//! Durations as people write them: `30`, `30s`, `2m`, `1h30m`, `0.5`.

use std::time::Duration;

/// Longer than any run, short enough to be added to any clock.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Units, the largest first, in nanoseconds.
const UNITS: [(&str, u128); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a duration: write seconds (30, 0.5) or units from d h m s ms (1h30m)")]
pub struct InvalidDuration(String);

/// Reads a duration: seconds without a unit, or numbers with the units `d`,
/// `h`, `m`, `s` and `ms`, each at most once and from large to small.
///
/// # Errors
/// If the text is anything else, or longer than 366 days.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let trimmed = text.trim();
    nanoseconds(trimmed)
        .and_then(|total| {
            let seconds = u64::try_from(total / 1_000_000_000).ok()?;
            let rest = u32::try_from(total % 1_000_000_000).ok()?;
            Some(Duration::new(seconds, rest)).filter(|duration| *duration <= DURATION_MAX)
        })
        .ok_or_else(|| InvalidDuration(text.into()))
}

/// Writes a duration so that [`parse`] reads it back, to the millisecond.
pub fn format(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    let mut text = String::new();
    for (unit, size) in UNITS {
        if left / size > 0 {
            text.push_str(&std::format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn nanoseconds(text: &str) -> Option<u128> {
    if !text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return number(text)?.checked_mul(1_000_000_000 / SCALE);
    }
    let (mut rest, mut total, mut units) = (text, 0u128, UNITS.iter());
    while !rest.is_empty() {
        let (amount, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        // Going on in the same iterator is what refuses 1s1h and 1s1s.
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number(amount)?.checked_mul(size / SCALE)?)?;
        rest = next;
    }
    Some(total)
}

/// What a number is multiplied with, to keep six decimal places.
const SCALE: u128 = 1_000_000;

/// A decimal number in millionths.
fn number(text: &str) -> Option<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = std::format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(SCALE)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds, shown) in [
            ("30", 30_000, "30s"),
            ("30.0", 30_000, "30s"),
            ("0.5", 500, "500ms"),
            ("0", 0, "0s"),
            ("30s", 30_000, "30s"),
            (" 2m ", 120_000, "2m"),
            ("90m", 5_400_000, "1h30m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1.5h", 5_400_000, "1h30m"),
            ("1d1ms", 86_400_001, "1d1ms"),
            ("250ms", 250, "250ms"),
            ("366d", 31_622_400_000, "366d"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(format(duration), shown);
            assert_eq!(parse(shown), Ok(duration));
        }
        for bad in [
            "",
            " ",
            "-1",
            "+1",
            "1e3",
            "inf",
            "nan",
            ".5",
            "5.",
            "1..2",
            "s",
            "1x",
            "1s1h",
            "1s1s",
            "1h 30m",
            "1h30",
            "1:30",
            "367d",
            "99999999999999999999999999999999999999d",
            "1S",
        ] {
            assert_eq!(parse(bad), Err(InvalidDuration(bad.into())), "{bad}");
        }
    }
}
