//! One makes, the others wait.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::transport::ConnectError;

/// A connection that is being made: others wait for it instead of making their
/// own, and share its failure.
#[derive(Default)]
pub(super) struct Making {
    attempts: AtomicU64,
    failure: tokio::sync::Mutex<Option<ConnectError>>,
}

impl Making {
    /// What is ready when our turn has come, or else what `make` makes.
    ///
    /// # Cancel safety
    /// Who is dropped while making leaves that to the next.
    pub(super) async fn share<T>(
        &self,
        ready: impl Fn() -> Option<T>,
        make: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let before = self.attempts.load(Ordering::SeqCst);
        let mut failure = self.failure.lock().await;
        if let Some(ready) = ready() {
            return Ok(ready);
        }
        if self.attempts.load(Ordering::SeqCst) > before
            && let Some(failure) = &*failure
        {
            return Err(failure.clone());
        }
        let result = make.await;
        *failure = result.as_ref().err().cloned();
        self.attempts.fetch_add(1, Ordering::SeqCst);
        result
    }
}
