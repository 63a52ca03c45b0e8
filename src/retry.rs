//! When to try again, and after how long. Pure: nothing here sleeps.

use std::num::NonZeroU32;
use std::time::Duration;

use backoff::{BackoffBuilder, ExponentialBuilder};

/// The shortest delay before another attempt.
const DELAY_MIN: Duration = Duration::from_millis(500);
/// The upper end of the first delay; it doubles with each attempt.
const FIRST_CEILING: Duration = Duration::from_secs(1);
/// The longest delay before another attempt.
const DELAY_MAX: Duration = Duration::from_secs(8);

/// How often an action is attempted, and how long to wait in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: NonZeroU32,
    insist: bool,
}

impl RetryPolicy {
    /// At most `attempts` attempts in all, the first one included.
    pub fn new(attempts: NonZeroU32) -> Self {
        Self { attempts, insist: false }
    }

    /// The same, for a host too that let all the time for connecting pass.
    pub fn insisting(self) -> Self {
        Self { insist: true, ..self }
    }

    /// Whether a host is tried again that let all the time for connecting pass:
    /// who did not answer then would be waited for as long again.
    pub fn insists(&self) -> bool {
        self.insist
    }

    /// One attempt and no other.
    pub fn once() -> Self {
        Self::new(NonZeroU32::MIN)
    }

    /// How many attempts are made in all, the first one included.
    pub fn attempts(&self) -> NonZeroU32 {
        self.attempts
    }

    /// The delay before each attempt after the first: one item fewer than
    /// [`attempts`](Self::attempts).
    ///
    /// Each is drawn evenly from 0.5 s up to a ceiling of 1, 2, 4 and then
    /// always 8 s: hosts that failed together must not come back together.
    /// `random` gives a number in `0.0..1.0`; outside tests that is [`random`].
    pub fn delays(&self, mut random: impl FnMut() -> f64) -> impl Iterator<Item = Duration> {
        // backon's own jitter adds to the delay instead of spreading it.
        ExponentialBuilder::new()
            .with_min_delay(FIRST_CEILING)
            .with_max_delay(DELAY_MAX)
            .with_max_times(usize::try_from(self.attempts.get() - 1).unwrap_or(usize::MAX))
            .build()
            .map(move |ceiling| DELAY_MIN + (ceiling - DELAY_MIN).mul_f64(random().clamp(0.0, 1.0)))
    }
}

/// A number in `0.0..1.0` from the operating system's random source.
///
/// A system without one gets 0.5: a delay needs no secrecy, and it is no
/// reason to fail.
pub fn random() -> f64 {
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / (f64::from(u32::MAX) + 1.0))
}

/// Whether an attempt that failed had reached the host with its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was sent that could have had an effect.
    No,
    /// It was possibly sent.
    Unknown,
    /// It was sent.
    Yes,
}

/// Whether a failed attempt may be repeated.
///
/// - What was `refused` (authentication, host key, algorithms, policy) is not
///   asked for twice: the answer would be the same, and the host might lock us out.
/// - What was not sent may be sent.
/// - What was sent, or may have been, is repeated only where the caller says
///   that running it twice does no harm.
pub fn may_retry(sent: Sent, refused: bool, idempotent: bool) -> bool {
    !refused && (sent == Sent::No || idempotent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays_ms(attempts: u32, random: f64) -> Vec<u128> {
        let policy = RetryPolicy::new(NonZeroU32::new(attempts).unwrap());
        policy.delays(|| random).map(|delay| delay.as_millis()).collect()
    }

    #[test]
    fn delays_spread_below_a_doubling_ceiling() {
        assert_eq!(delays_ms(7, 1.0), [1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(delays_ms(7, 0.5), [750, 1250, 2250, 4250, 4250, 4250]);
        assert_eq!(delays_ms(7, 0.0), [500; 6]);
    }

    #[test]
    fn attempts_count_the_first() {
        assert_eq!(RetryPolicy::once().delays(|| 0.0).count(), 0);
        assert_eq!(delays_ms(3, 0.0).len(), 2);
    }

    #[test]
    fn random_numbers_stay_in_range_and_differ() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(drawn.iter().any(|number| *number != drawn[0]));
    }

    #[test]
    fn only_what_is_safe_is_repeated() {
        let table = [
            (Sent::No, false, false, true),
            (Sent::No, false, true, true),
            (Sent::Yes, false, false, false),
            (Sent::Yes, false, true, true),
            (Sent::Unknown, false, false, false),
            (Sent::Unknown, false, true, true),
            (Sent::No, true, true, false),
            (Sent::Yes, true, true, false),
            (Sent::Unknown, true, true, false),
        ];
        for (sent, refused, idempotent, expected) in table {
            let got = may_retry(sent, refused, idempotent);
            assert_eq!(got, expected, "{sent:?} refused={refused} idempotent={idempotent}");
        }
    }
}
