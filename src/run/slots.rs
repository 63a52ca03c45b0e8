//! How many hosts are worked on at once. A host that nothing can be done on yet
//! lends its slot to another: one that is dead holds up nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How many hosts may lend their slots at the same time. Each of them may have
/// a socket and a key exchange under way.
const LENT_MAX: usize = 256;

/// The slots of a run.
#[derive(Clone)]
pub(super) struct Slots {
    work: Arc<Semaphore>,
    lent: Arc<Semaphore>,
}

/// One host's slot, whether it holds it just now or not.
pub(super) struct Slot {
    slots: Slots,
    held: Mutex<Held>,
}

/// At most one of them; neither while a slot is waited for.
#[derive(Default)]
struct Held {
    work: Option<OwnedSemaphorePermit>,
    _lent: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// Slots for so many hosts at once, which they `lend` or keep to their end.
    pub(super) fn new(fanout: usize, lend: bool) -> Self {
        let of = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { work: of(fanout.max(1)), lent: of(if lend { LENT_MAX } else { 0 }) }
    }

    /// A slot for another host, as soon as there is one.
    ///
    /// # Cancel safety
    /// Nothing is taken when the future is dropped.
    pub(super) async fn next(&self) -> Slot {
        let work = Arc::clone(&self.work).acquire_owned().await.ok();
        Slot { slots: self.clone(), held: Mutex::new(Held { work, _lent: None }) }
    }
}

impl Slot {
    /// Waits for something; when that takes longer than `patience` others may
    /// have the slot, until it is [taken back](Self::take_back).
    ///
    /// # Cancel safety
    /// As that of what is waited for.
    pub(super) async fn lend<T>(&self, patience: Duration, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        match timeout(patience, &mut wait).await {
            Ok(done) => done,
            Err(_) => {
                self.give();
                wait.await
            }
        }
    }

    /// Waits until the host has its slot, or the run is stopped.
    pub(super) async fn take_back(&self, stop: &CancellationToken) {
        if self.held().work.is_some() {
            return;
        }
        let again = Arc::clone(&self.slots.work).acquire_owned();
        let work = tokio::select! {
            again = again => again.ok(),
            () = stop.cancelled() => None,
        };
        *self.held() = Held { work, _lent: None };
    }

    fn give(&self) {
        let mut held = self.held();
        if held.work.is_some()
            && let Ok(lent) = Arc::clone(&self.slots.lent).try_acquire_owned()
        {
            *held = Held { work: None, _lent: Some(lent) };
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_lends_and_takes_back() {
        let slots = Slots::new(1, true);
        let waiting = slots.next().await;
        assert!(slots.next().now_or_never().is_none());
        let mut lending = Box::pin(waiting.lend(PATIENCE, pending::<()>()));
        let other = tokio::select! {
            () = &mut lending => unreachable!(),
            other = slots.next() => other,
        };
        drop(lending);
        let stop = CancellationToken::new();
        assert!(waiting.take_back(&stop).now_or_never().is_none());
        drop(other);
        waiting.take_back(&stop).await;
        assert!(slots.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_lends_who_need_not_wait_or_must_not() {
        for (lend, wait) in [(true, false), (false, true)] {
            let slots = Slots::new(1, lend);
            let slot = slots.next().await;
            if wait {
                let long = tokio::time::sleep(PATIENCE * 9);
                slot.lend(PATIENCE, long).await;
            } else {
                slot.lend(PATIENCE, ready(())).await;
            }
            assert!(slots.next().now_or_never().is_none(), "{lend} {wait}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_stopped_waits_for_no_slot() {
        let slots = Slots::new(1, true);
        let slot = slots.next().await;
        slot.lend(Duration::ZERO, tokio::time::sleep(PATIENCE)).await;
        let _other = slots.next().await;
        let stop = CancellationToken::new();
        stop.cancel();
        slot.take_back(&stop).await;
    }
}
