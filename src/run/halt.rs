//! Stopping a run, and saying why.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::event::{StopReason, Stopped};
use crate::outcome::{Failure, HostResult, Phase, Status};

/// Stops what a run has begun and keeps it from beginning more. The first
/// reason counts.
#[derive(Clone)]
pub(super) struct Halt {
    token: CancellationToken,
    why: Arc<OnceLock<Stopped>>,
}

impl Halt {
    /// A halt that whoever cancels `cancel` can cause too.
    pub(super) fn new(cancel: &CancellationToken) -> Self {
        Self { token: cancel.child_token(), why: Arc::default() }
    }

    pub(super) fn stop(&self, reason: StopReason, message: String) {
        if !self.is_stopped() {
            let _ = self.why.set(Stopped { reason, message });
            self.token.cancel();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// What commands listen to.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(super) fn why(&self) -> Option<Stopped> {
        let cancelled = || Stopped {
            reason: StopReason::Cancelled,
            message: "cancelled by whoever started it".into(),
        };
        self.is_stopped().then(|| self.why.get().cloned().unwrap_or_else(cancelled))
    }

    /// Makes a result that says only that it was stopped say why. A deadline
    /// is a timeout, whoever's it is.
    pub(super) fn explain(&self, result: &mut HostResult) {
        let Some(why) = self.why.get().filter(|_| result.status == Status::Cancelled) else {
            return;
        };
        let failure = result.failure.get_or_insert_with(|| Failure {
            code: "cancelled",
            phase: Phase::Tcp,
            message: String::new(),
            hint: None,
            retryable: false,
        });
        if why.reason == StopReason::Deadline {
            result.status = Status::Timeout;
            failure.code = DEADLINE;
            failure.message = format!("ended: {}", why.message);
        } else {
            failure.message = format!("cancelled: {}", why.message);
        }
    }
}

/// The code of a host that the run's deadline ended.
const DEADLINE: &str = "run_deadline";

/// Whether this host would have come further but for the stop.
pub(super) fn was_stopped(result: &HostResult) -> bool {
    matches!(result.status, Status::Cancelled | Status::NotStarted)
        || result.failure.as_ref().is_some_and(|failure| failure.code == DEADLINE)
}
