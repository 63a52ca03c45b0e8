//! `--bwlimit`: not more than so many bytes in a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What may be made up for after a pause.
const BURST: Duration = Duration::from_millis(100);

/// The smallest packet that is worth sending.
const PACKET_MIN: u64 = 1024;

/// A rate that several tasks keep together, each in its turn.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Pace {
    /// A rate in bytes per second; 0 counts as 1.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// The largest packet, of `most` bytes at the most, that does not make the
    /// rate jerky.
    pub(crate) fn packet(&self, most: usize) -> usize {
        let tenth = (self.bytes_per_second / 10).max(PACKET_MIN);
        usize::try_from(tenth).unwrap_or(usize::MAX).min(most)
    }

    /// Waits until so many bytes may be moved.
    ///
    /// # Cancel safety
    /// If the future is dropped, its time is used up nevertheless.
    pub(crate) async fn take(&self, bytes: usize) {
        sleep_until(self.book(bytes)).await;
    }

    /// When the bytes may be moved, and keeps the time that they take free for
    /// them.
    fn book(&self, bytes: usize) -> Instant {
        let nanoseconds = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = now.checked_sub(BURST).map_or(*free_at, |earliest| earliest.max(*free_at));
        // So long a time never ends anyway.
        *free_at = begins.checked_add(takes).unwrap_or(begins);
        begins
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const KIB: usize = 1024;

    async fn seconds_for(pace: &Pace, packets: usize, bytes: usize) -> f64 {
        let begin = Instant::now();
        for _ in 0..packets {
            pace.take(bytes).await;
        }
        begin.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_rate() {
        let pace = Pace::new(100 * KIB as u64);
        // The first packet goes at once, each other one when the one before it
        // would have arrived.
        let took = seconds_for(&pace, 101, 10 * KIB).await;
        assert!((9.9..=10.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_made_up_for_by_a_tenth_of_a_second_at_most() {
        let pace = Pace::new(100 * KIB as u64);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let took = seconds_for(&pace, 101, 10 * KIB).await;
        assert!((9.8..=10.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn several_tasks_share_it() {
        let pace = Arc::new(Pace::new(100 * KIB as u64));
        let begin = Instant::now();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let pace = Arc::clone(&pace);
                tokio::spawn(async move { seconds_for(&pace, 25, 10 * KIB).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = begin.elapsed().as_secs_f64();
        assert!((9.7..=10.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_and_the_fastest() {
        let slowest = Pace::new(1);
        slowest.take(usize::MAX).await;
        let fastest = Pace::new(u64::MAX);
        assert!(seconds_for(&fastest, 1000, 1 << 20).await < 0.01);
        assert_eq!(fastest.packet(255 * KIB), 255 * KIB);
        assert_eq!(slowest.packet(255 * KIB), KIB);
        assert_eq!(Pace::new(100 * KIB as u64).packet(255 * KIB), 10 * KIB);
    }
}
