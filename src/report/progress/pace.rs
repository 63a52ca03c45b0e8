//! How fast something goes.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(5);

/// How much is between two of the points that are kept, about.
const STEP: Duration = Duration::from_millis(50);

/// What is shorter says nothing yet.
const ENOUGH: Duration = Duration::from_millis(500);

/// The average of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(VecDeque<(Timestamp, u64)>);

impl Pace {
    /// Takes how many bytes there are by now.
    pub(super) fn note(&mut self, at: Timestamp, bytes: u64) {
        // It began anew.
        if self.0.back().is_some_and(|(_, before)| bytes < *before) {
            self.0.clear();
        }
        let before = self.0.len().checked_sub(2).and_then(|place| self.0.get(place));
        if before.is_some_and(|(before, _)| since(*before, at) < STEP) {
            self.0.pop_back();
        }
        self.0.push_back((at, bytes));
        // The last one before the window is where the window begins.
        while self.0.get(1).is_some_and(|(second, _)| since(*second, at) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Bytes in a second; `None` as long as that cannot be told.
    pub(super) fn rate(&self, now: Timestamp) -> Option<f64> {
        let (begin, first) =
            self.0.iter().rev().find(|(at, _)| since(*at, now) >= WINDOW).or(self.0.front())?;
        let (_, last) = self.0.back()?;
        let time = since(*begin, now);
        (time >= ENOUGH).then(|| (last - first) as f64 / time.as_secs_f64())
    }
}

/// Zero where the clock was set back.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::super::fixture::at;
    use super::*;

    fn after(millis: i64) -> Timestamp {
        at() + SignedDuration::from_millis(millis)
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        assert_eq!(pace.rate(after(0)), None);
        pace.note(after(0), 0);
        pace.note(after(100), 1000);
        assert_eq!(pace.rate(after(100)), None);
        for tenth in 2..=100 {
            pace.note(after(tenth * 100), tenth as u64 * 1000);
        }
        assert_eq!(pace.rate(after(10_000)), Some(10_000.0));
        assert!(pace.0.len() <= 52, "{}", pace.0.len());
        for tenth in 101..=200 {
            pace.note(after(tenth * 100), 100_000 + (tenth as u64 - 100) * 2000);
        }
        assert_eq!(pace.rate(after(20_000)), Some(20_000.0));
    }

    #[test]
    fn what_is_kept_does_not_grow_with_what_is_told() {
        let mut pace = Pace::default();
        for milli in 0..20_000 {
            pace.note(after(milli), milli as u64);
        }
        assert!(pace.0.len() < 220, "{}", pace.0.len());
        assert!(pace.rate(after(20_000)).is_some_and(|rate| (990.0..1010.0).contains(&rate)));
    }

    #[test]
    fn what_stands_still_slows_down_to_nothing() {
        let mut pace = Pace::default();
        pace.note(after(0), 0);
        pace.note(after(1000), 10_000);
        assert_eq!(pace.rate(after(2000)), Some(5000.0));
        assert_eq!(pace.rate(after(6000)), Some(0.0));
    }

    #[test]
    fn a_new_attempt_begins_anew() {
        let mut pace = Pace::default();
        pace.note(after(0), 0);
        pace.note(after(1000), 10_000);
        pace.note(after(1100), 0);
        assert_eq!(pace.rate(after(1100)), None);
        pace.note(after(2100), 500);
        assert_eq!(pace.rate(after(2100)), Some(500.0));
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let mut pace = Pace::default();
        pace.note(after(0), 0);
        pace.note(after(-60_000), 10_000);
        assert_eq!(pace.rate(after(-60_000)), None);
    }
}
