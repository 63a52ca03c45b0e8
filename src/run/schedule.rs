//! Which hosts go together, one batch after the other. Pure.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A number of hosts, or a share of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many hosts.
    Hosts(usize),
    /// So many of a hundred, rounded down.
    Percent(usize),
}

impl Share {
    /// How many of `total` hosts, rounded down; may be none.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts,
            // Not over the whole product, which may not fit.
            Self::Percent(percent) => {
                total / 100 * percent + (total % 100).saturating_mul(percent) / 100
            }
        }
    }

    /// As [`of`](Self::of), but at least one host.
    pub fn at_least_one_of(self, total: usize) -> usize {
        self.of(total).max(1)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text that is no [`Share`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a number of hosts nor a percentage up to 100%")]
pub struct InvalidShare(String);

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidShare(text.to_owned());
        let digits = text.strip_suffix('%').unwrap_or(text);
        // `parse` alone would take a sign too.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let number = digits.parse().map_err(|_| invalid())?;
        match text.ends_with('%') {
            true if number > 100 => Err(invalid()),
            true => Ok(Self::Percent(number)),
            false => Ok(Self::Hosts(number)),
        }
    }
}

/// The sizes of successive batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How many hosts go before all others.
    pub canary: Option<usize>,
    /// The sizes of the batches after the canary; the last repeats. Without any
    /// the rest is one batch.
    pub sizes: Vec<Share>,
}

impl Schedule {
    /// Whether nobody asked for batches.
    pub fn is_plain(&self) -> bool {
        self.canary.is_none() && self.sizes.is_empty()
    }

    /// The batches of `total` hosts, in order: without gaps, none empty.
    pub fn ranges(&self, total: usize) -> Vec<Range<usize>> {
        let rest = [Share::Percent(100)];
        let sizes = if self.sizes.is_empty() { &rest[..] } else { &self.sizes };
        let last = sizes.last().into_iter().cycle();
        let sizes = sizes.iter().chain(last).map(|size| size.at_least_one_of(total));
        let mut sizes = self.canary.map(|hosts| hosts.max(1)).into_iter().chain(sizes);
        let mut ranges = Vec::new();
        let mut start = 0;
        while start < total {
            let size = sizes.next().unwrap_or(total);
            let end = start.saturating_add(size).min(total);
            ranges.push(start..end);
            start = end;
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes(canary: Option<usize>, sizes: &str, total: usize) -> Vec<usize> {
        let sizes = sizes.split(',').filter(|text| !text.is_empty());
        let sizes = sizes.map(|text| text.parse().unwrap()).collect();
        Schedule { canary, sizes }.ranges(total).into_iter().map(|range| range.len()).collect()
    }

    #[test]
    fn sizes_follow_each_other_and_the_last_repeats() {
        assert_eq!(sizes(None, "1,25%,100%", 40), [1, 10, 29]);
        assert_eq!(sizes(None, "1,5", 12), [1, 5, 5, 1]);
        assert_eq!(sizes(None, "25%", 10), [2, 2, 2, 2, 2]);
        assert_eq!(sizes(None, "", 10), [10]);
        assert_eq!(sizes(None, "100", 3), [3]);
    }

    #[test]
    fn a_batch_has_at_least_one_host() {
        assert_eq!(sizes(None, "1%", 3), [1, 1, 1]);
        assert_eq!(sizes(None, "0", 2), [1, 1]);
        assert_eq!(sizes(Some(0), "", 2), [1, 1]);
        assert!(sizes(Some(1), "1", 0).is_empty());
    }

    #[test]
    fn canaries_go_first() {
        assert_eq!(sizes(Some(1), "", 10), [1, 9]);
        assert_eq!(sizes(Some(2), "50%", 10), [2, 5, 3]);
        assert_eq!(sizes(Some(20), "1", 10), [10]);
    }

    #[test]
    fn shares_are_read_and_rounded_down() {
        let of = |text: &str, total| text.parse::<Share>().unwrap().of(total);
        assert_eq!((of("3", 40), of("10%", 39), of("0%", 40), of("100%", 7)), (3, 3, 0, 7));
        assert_eq!(of("100%", usize::MAX), usize::MAX);
        for wrong in ["", "%", "x", "-1", "+1", "1.5", "101%", "1 %", "99999999999999999999999"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_host_is_in_exactly_one_batch(
            canary in prop::option::of(0..20_usize),
            sizes in prop::collection::vec((any::<bool>(), 0..101_usize), 0..5),
            total in 0..300_usize,
        ) {
            let share = |(percent, n)| if percent { Share::Percent(n) } else { Share::Hosts(n) };
            let schedule = Schedule { canary, sizes: sizes.into_iter().map(share).collect() };
            let ranges = schedule.ranges(total);
            prop_assert!(ranges.iter().all(|range| !range.is_empty()));
            prop_assert!(ranges.into_iter().flatten().eq(0..total));
        }
    }
}
