//! Why a script was not run, in words.

use crate::exec::ShellError;
use crate::outcome::{Effect, Failure, HostResult, Phase, Status};
use crate::retry::Sent;
use crate::run::unit::Done;

/// A script did not get as far as being run; trying again is safe.
#[derive(Clone, Debug)]
pub(super) struct NotRun {
    status: Status,
    failure: Failure,
    /// Whether the host was not even asked.
    unsent: bool,
    /// Whether no text of ours ran there.
    made_nothing: bool,
}

impl NotRun {
    /// The host could not take it as it must be taken.
    pub(super) fn new(code: &'static str, message: String, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        let failure = Failure { code, phase: Phase::Script, message, hint, retryable: false };
        Self { status: Status::Failed, failure, unsent: false, made_nothing: false }
    }

    /// A mistake of ours, or of this machine.
    pub(super) fn fault(message: String) -> Self {
        let mut not_run = Self::new("script_not_sent", message, None);
        not_run.failure.phase = Phase::Local;
        not_run
    }

    /// What is there is not what was sent.
    pub(super) fn mismatch(expected: &str, found: &str) -> Self {
        let message =
            format!("the script arrived altered: SHA-256 {expected} was sent, {found} is there");
        let mut not_run = Self::new("checksum_mismatch", message, None);
        not_run.status = Status::ChecksumMismatch;
        not_run.failure.phase = Phase::Verify;
        not_run
    }

    pub(super) fn of_shell(error: ShellError) -> Self {
        let message = format!("the script was not sent: {error}");
        let mut not_run = Self::new("script_not_received", message, None);
        match error {
            ShellError::Cancelled => {
                not_run.status = Status::Cancelled;
                not_run.failure.code = "cancelled";
                not_run.failure.message = "cancelled before the script was run".into();
            }
            ShellError::Lost { .. } => {
                not_run.status = Status::Unreachable;
                not_run.failure.code = "connection_lost";
                not_run.failure.retryable = true;
            }
            ShellError::TimedOut(_) => {
                not_run.status = Status::Timeout;
                not_run.failure.code = "script_timeout";
                not_run.failure.hint = Some("give it more time with --timeout".into());
            }
            ShellError::Unavailable { phase, hint, .. } => {
                not_run.failure.phase = phase;
                not_run.failure.hint = hint;
                not_run.made_nothing = true;
                if phase == Phase::Channel {
                    not_run.status = Status::Unreachable;
                    not_run.failure.code = "channel_failed";
                    not_run.failure.retryable = true;
                    not_run.unsent = true;
                }
            }
        }
        not_run
    }

    /// Whether there is nothing to be removed.
    pub(super) fn made_nothing(&self) -> bool {
        self.made_nothing
    }

    pub(super) fn apply(self, result: &mut HostResult) -> Done {
        result.status = self.status;
        result.effect = Effect::Absent;
        result.failure = Some(self.failure);
        Done { sent: Sent::No, unsent: self.unsent }
    }
}
