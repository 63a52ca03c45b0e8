//! What the exit code of the program says about a run.

use crate::event::{StopReason, Stopped};
use crate::outcome::{HostResult, Status};
use crate::remote::ExitStatus;

/// A code of the table that automation can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Every host succeeded.
    Ok,
    /// A command ended non-zero, or an action could not be done.
    Failed,
    /// Wrong usage, configuration, inventory or targets: nothing ran.
    Usage,
    /// A command timed out, or was killed or cancelled.
    Timeout,
    /// No SSH connection, or authentication was refused.
    Unreachable,
    /// A host key was unknown, changed or revoked.
    HostKey,
    /// A file's digest was not what it should be.
    Verification,
    /// Policy, RBAC, a rate limit or a missing approval forbade it.
    Denied,
    /// The run was stopped before every host was started.
    Stopped,
    /// The link was lost: whether a command ran is unknown.
    Unknown,
    /// The audit log could not be written.
    Audit,
    /// The operator interrupted the run (SIGINT).
    Interrupted,
    /// The program was asked to end (SIGTERM).
    Terminated,
    /// A tool error or death by signal, where the remote code is passed through.
    PassThrough,
}

impl Exit {
    /// Every code, in ascending order.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Timeout,
        Self::Unreachable,
        Self::HostKey,
        Self::Verification,
        Self::Denied,
        Self::Stopped,
        Self::Unknown,
        Self::Audit,
        Self::Interrupted,
        Self::Terminated,
        Self::PassThrough,
    ];

    /// Which code a run gets when several apply: the first of these.
    pub const PRECEDENCE: [Self; 9] = [
        Self::Audit,
        Self::Denied,
        Self::HostKey,
        Self::Unknown,
        Self::Stopped,
        Self::Verification,
        Self::Unreachable,
        Self::Timeout,
        Self::Failed,
    ];

    /// The number, its name and its meaning: one row of the table.
    pub fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Ok => (0, "ok", "every host succeeded"),
            Self::Failed => {
                (1, "failed", "a command ended non-zero, or an action could not be done")
            }
            Self::Usage => (2, "usage", "usage, configuration, inventory or targets: nothing ran"),
            Self::Timeout => (3, "timeout", "a command timed out, or was killed or cancelled"),
            Self::Unreachable => {
                (4, "unreachable", "a host was unreachable: SSH or authentication")
            }
            Self::HostKey => (5, "host_key", "a host key was unknown, changed or revoked"),
            Self::Verification => (6, "verification", "a file's digest was not what it should be"),
            Self::Denied => (7, "denied", "denied by policy, RBAC, rate limit or missing approval"),
            Self::Stopped => {
                (8, "stopped", "max-fail, gate or breaker: some hosts were not started")
            }
            Self::Unknown => (9, "unknown", "the link was lost: a command may or may not have run"),
            Self::Audit => {
                (74, "audit", "the audit log cannot be written: nothing more is started")
            }
            Self::Interrupted => {
                (130, "interrupted", "interrupted (SIGINT); remote processes ended")
            }
            Self::Terminated => {
                (143, "terminated", "told to end (SIGTERM); remote processes ended")
            }
            Self::PassThrough => {
                (255, "tool", "one host: any other tool error, or death by signal")
            }
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        self.row().0
    }

    /// What one host's result calls for in the table.
    pub fn of(result: &HostResult) -> Self {
        if !result.recorded() {
            return Self::Audit;
        }
        match result.status {
            Status::AuthFailed | Status::Unreachable => Self::Unreachable,
            Status::Cancelled | Status::Killed | Status::Timeout => Self::Timeout,
            Status::ChecksumMismatch => Self::Verification,
            Status::CircuitOpen | Status::NotStarted => Self::Stopped,
            Status::Failed => Self::Failed,
            Status::HostKeyRejected => Self::HostKey,
            Status::PolicyDenied | Status::RateLimited => Self::Denied,
            Status::Success => Self::Ok,
            Status::Unknown => Self::Unknown,
        }
    }
}

/// The code of a run by the table. An interrupted run is the caller's to know:
/// it ends with 130 or 143 whatever the results are.
pub fn table(results: &[HostResult]) -> u8 {
    of_run(results, None)
}

/// As [`table`], for a run that may have been stopped.
///
/// A run that a gate or failures stopped is that, even if every host had been
/// started by then.
pub fn of_run(results: &[HostResult], stopped: Option<&Stopped>) -> u8 {
    let by_us =
        |stopped: &Stopped| matches!(stopped.reason, StopReason::Gate | StopReason::MaxFail);
    let stopped = stopped.is_some_and(by_us);
    let applies = |exit: &&Exit| {
        stopped && **exit == Exit::Stopped
            || results.iter().any(|result| Exit::of(result) == **exit)
    };
    Exit::PRECEDENCE.iter().find(applies).map_or(Exit::Ok.code(), |exit| exit.code())
}

/// The code for one literal host: the remote command's own, as `ssh` gives it,
/// and 255 for what the command itself did not say.
///
/// A remote code above 255 becomes 255, so that no failure can look like
/// another code, least of all 0.
pub fn pass_through(result: &HostResult) -> u8 {
    let tool = Exit::PassThrough.code();
    if !result.recorded() {
        return Exit::Audit.code();
    }
    match (result.status, &result.exit) {
        (Status::Success, _) => Exit::Ok.code(),
        (Status::Failed, Some(ExitStatus::Code(code @ 1..))) => u8::try_from(*code).unwrap_or(tool),
        _ => tool,
    }
}

/// Whatever became of the host, it is not on record.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Phase};

    fn result(status: Status) -> HostResult {
        HostResult::new("vm01".parse().unwrap(), "true".into(), status)
    }

    fn exited(status: Status, exit: ExitStatus) -> HostResult {
        HostResult { exit: Some(exit), ..result(status) }
    }

    fn unrecorded(status: Status) -> HostResult {
        let failure = Failure {
            code: "audit_unwritable",
            phase: Phase::Audit,
            message: "no space left on device".into(),
            hint: None,
            retryable: false,
        };
        HostResult { failure: Some(failure), ..result(status) }
    }

    fn check_table(statuses: &[Status], expected: u8) {
        let results: Vec<_> = statuses.iter().map(|&status| result(status)).collect();
        assert_eq!(table(&results), expected, "{statuses:?}");
    }

    #[test]
    fn codes_are_ascending_and_differ() {
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }

    #[test]
    fn every_status_has_its_code() {
        let expected = [0, 1, 3, 3, 3, 4, 4, 5, 6, 7, 7, 8, 8, 9];
        for (status, code) in Status::ALL.into_iter().zip(expected) {
            check_table(&[status], code);
        }
    }

    #[test]
    fn no_host_is_no_failure() {
        check_table(&[], 0);
    }

    #[test]
    fn each_code_wins_over_all_after_it() {
        let order = [
            (Status::PolicyDenied, 7),
            (Status::HostKeyRejected, 5),
            (Status::Unknown, 9),
            (Status::NotStarted, 8),
            (Status::ChecksumMismatch, 6),
            (Status::Unreachable, 4),
            (Status::Timeout, 3),
            (Status::Failed, 1),
            (Status::Success, 0),
        ];
        for (at, &(_, code)) in order.iter().enumerate() {
            let mut rest: Vec<_> = order[at..].iter().map(|&(status, _)| status).collect();
            check_table(&rest, code);
            rest.reverse();
            check_table(&rest, code);
        }
    }

    #[test]
    fn a_stopped_run_is_told_from_one_that_was_too_slow() {
        let results = [result(Status::Failed), result(Status::Cancelled)];
        for (reason, code) in StopReason::ALL.into_iter().zip([3, 3, 8, 8]) {
            let stopped = Stopped { reason, message: String::new() };
            assert_eq!(of_run(&results, Some(&stopped)), code, "{reason:?}");
            let denied = [result(Status::PolicyDenied)];
            assert_eq!(of_run(&denied, Some(&stopped)), 7);
        }
    }

    #[test]
    fn an_unwritable_audit_log_wins_over_everything() {
        for status in Status::ALL {
            assert_eq!(table(&[result(Status::PolicyDenied), unrecorded(status)]), 74);
            assert_eq!(pass_through(&unrecorded(status)), 74);
        }
    }

    #[test]
    fn remote_codes_pass_through() {
        assert_eq!(pass_through(&exited(Status::Success, ExitStatus::Code(0))), 0);
        for code in 1..=255_u8 {
            let exit = ExitStatus::Code(code.into());
            assert_eq!(pass_through(&exited(Status::Failed, exit)), code);
        }
    }

    #[test]
    fn no_failure_passes_as_success() {
        for code in [256, 512, u32::MAX] {
            assert_eq!(pass_through(&exited(Status::Failed, ExitStatus::Code(code))), 255);
        }
        assert_eq!(pass_through(&exited(Status::Failed, ExitStatus::Code(0))), 255);
        assert_eq!(pass_through(&exited(Status::Timeout, ExitStatus::Code(0))), 255);
        assert_eq!(pass_through(&exited(Status::Unknown, ExitStatus::Missing)), 255);
    }

    #[test]
    fn what_the_command_did_not_say_is_255() {
        assert_eq!(pass_through(&exited(Status::Failed, ExitStatus::Signal("KILL".into()))), 255);
        for status in Status::ALL.into_iter().filter(|&status| status != Status::Success) {
            assert_eq!(pass_through(&result(status)), 255, "{status}");
        }
    }
}
