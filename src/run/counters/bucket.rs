//! One bucket, as a number. Pure.

use std::time::Duration;

use crate::policy::Rate;

/// When a bucket will be full, if nothing more is taken from it; in nanoseconds
/// since this machine was started. One in the past is full.
pub(super) type FullAt = u64;

/// Takes one from a bucket; otherwise how long it takes until there is one.
pub(super) fn take(full_at: FullAt, rate: &Rate, now: u64) -> Result<FullAt, Duration> {
    let interval = u64::try_from(rate.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let empty = now.saturating_add(interval.saturating_mul(rate.burst.into()));
    // Nothing is fuller than full or emptier than empty: not after a long time,
    // not where the file was made by another rule, another clock or by hand.
    let full_at = full_at.clamp(now, empty);
    let taken = full_at.saturating_add(interval);
    match taken.checked_sub(empty) {
        None | Some(0) => Ok(taken),
        Some(short) => Err(Duration::from_nanos(short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Scope, WhenExceeded};

    fn rate(interval: u64, burst: u32) -> Rate {
        let scope = Scope { file: "p.yml".into(), rule: None };
        let interval = Duration::from_nanos(interval);
        Rate { interval, burst, when_exceeded: WhenExceeded::Refuse, scope }
    }

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let rate = rate(100, 3);
        let mut full_at = 0;
        for _ in 0..3 {
            full_at = take(full_at, &rate, 1000).unwrap();
        }
        assert_eq!(take(full_at, &rate, 1000), Err(Duration::from_nanos(100)));
        assert_eq!(take(full_at, &rate, 1099), Err(Duration::from_nanos(1)));
        full_at = take(full_at, &rate, 1100).unwrap();
        assert_eq!(take(full_at, &rate, 1100), Err(Duration::from_nanos(100)));
        // It does not grow beyond its size.
        full_at = take(full_at, &rate, 1_000_000).unwrap();
        full_at = take(full_at, &rate, 1_000_000).unwrap();
        full_at = take(full_at, &rate, 1_000_000).unwrap();
        assert!(take(full_at, &rate, 1_000_000).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_neither_gives_nor_takes() {
        let rate = rate(100, 2);
        let full_at = take(0, &rate, 1_000_000).unwrap();
        // Empty at worst, and then as fast as ever.
        assert_eq!(take(full_at, &rate, 500), Err(Duration::from_nanos(100)));
        assert_eq!(take(full_at, &rate, 500 + 100), Err(Duration::from_nanos(100)));
        assert!(take(u64::MAX, &rate, u64::MAX).is_ok_and(|at| at == u64::MAX));
    }

    /// In any window no more than the burst and what the time in it gives.
    #[test]
    fn no_more_than_the_model_allows() {
        let mut random = 7_u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        for _ in 0..200 {
            let rate = rate(1 + below(500), 1 + u32::try_from(below(6)).unwrap());
            let (mut now, mut full_at, mut begun) = (0, 0, Vec::new());
            // The model: so many in it, and when one was added last.
            let (mut tokens, mut since) = (u64::from(rate.burst), 0);
            let interval = u64::try_from(rate.interval.as_nanos()).unwrap();
            for _ in 0..500 {
                now += below(300);
                let gained = (now - since) / interval;
                if tokens + gained >= rate.burst.into() {
                    (tokens, since) = (rate.burst.into(), now);
                } else {
                    (tokens, since) = (tokens + gained, since + gained * interval);
                }
                let taken = take(full_at, &rate, now);
                assert_eq!(taken.is_ok(), tokens > 0, "{rate:?} at {now}");
                if let Ok(next) = taken {
                    (full_at, tokens) = (next, tokens - 1);
                    begun.push(now);
                }
            }
            for (first, start) in begun.iter().enumerate() {
                for (many, end) in (1..).zip(&begun[first..]) {
                    let may = u64::from(rate.burst) + (end - start) / interval;
                    assert!(many <= may, "{many} from {start} to {end}: {rate:?}");
                }
            }
        }
    }
}
