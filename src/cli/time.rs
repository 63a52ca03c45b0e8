//! Moments as people write them.

use jiff::{SignedDuration, Timestamp};

use crate::config::duration;

/// `2026-11-21T02:40:00Z` (RFC 3339), `2026-11-21` (its first moment in UTC),
/// or how long ago: `2h`, `30m`, `7d`.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if let Ok(moment) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
        return Ok(moment);
    }
    let ago = duration::parse(text).ok().and_then(|ago| SignedDuration::try_from(ago).ok());
    let moment = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    moment.ok_or_else(|| {
        "write a time with its zone (2026-11-21T02:40:00Z), a date (2026-11-21, in UTC) or how \
         long ago (2h, 30m, 7d)"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let same = "2026-11-21T02:40:00Z".parse().unwrap();
        assert_eq!(parse_moment("2026-11-21T02:40:00Z"), Ok(same));
        assert_eq!(parse_moment("2026-11-21T03:40:00+01:00"), Ok(same));
        let day = "2026-11-21T00:00:00Z".parse().unwrap();
        assert_eq!(parse_moment("2026-11-21"), Ok(day));
        let two_hours_ago = || Timestamp::now() - SignedDuration::from_hours(2);
        let (before, moment, after) = (two_hours_ago(), parse_moment("2h"), two_hours_ago());
        assert!((before..=after).contains(&moment.unwrap()));
        for bad in ["", "yesterday", "2026-13-01", "2026-11-21T02:40:00", "-2h", "2h ago"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
    }
}
