//! What an attempt's end means: its status, what may have changed on the host,
//! and whether trying again is safe.

use std::time::Duration;

use crate::exec::{Ending, Report};
use crate::ids::VmId;
use crate::outcome::{Effect, Failure, HostResult, Phase, Status};
use crate::plan::RULE_PREFIX;
use crate::policy::Decision;
use crate::remote::ExitStatus;
use crate::retry::Sent;
use crate::transfer;
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase};
use crate::units::duration;

/// The code of a host that let the time for connecting pass.
const CONNECT_TIMEOUT: &str = "connect_timeout";

/// The code of what used up more than policy allows.
pub(super) const RESOURCE_EXCEEDED: &str = "resource_exceeded";

/// The stable code of why there is no connection.
pub(crate) fn connect_code(kind: ConnectErrorKind) -> &'static str {
    use ConnectErrorKind as Kind;
    match kind {
        Kind::Algorithms => "algorithm_mismatch",
        Kind::Auth => "auth_refused",
        Kind::CircuitOpen => "circuit_open",
        Kind::Deadline => CONNECT_TIMEOUT,
        Kind::HostKeyChanged => "host_key_changed",
        Kind::HostKeyRevoked => "host_key_revoked",
        Kind::HostKeyUnknown => "host_key_unknown",
        Kind::HostKeyUnknownType => "host_key_unknown_type",
        Kind::Key => "key_unusable",
        Kind::Network => "connect_failed",
        Kind::NoFiles => "too_many_open_files",
        Kind::Protocol => "protocol_error",
    }
}

/// Whether a host has had all its time for connecting: what it did not do in
/// it, it is not given as much time for again.
pub(super) fn out_of_time(result: &HostResult) -> bool {
    result.failure.as_ref().is_some_and(|failure| failure.code == CONNECT_TIMEOUT)
}

/// The meaning of an end.
pub(super) struct Verdict {
    status: Status,
    effect: Effect,
    exit: Option<ExitStatus>,
    failure: Option<Failure>,
}

impl Verdict {
    pub(super) fn apply(self, result: &mut HostResult) {
        result.status = self.status;
        result.effect = self.effect;
        result.exit = self.exit;
        result.failure = self.failure;
    }

    /// No connection: nothing was executed.
    fn of_connect(error: &ConnectError) -> Self {
        use ConnectErrorKind as Kind;
        let code = connect_code(error.kind);
        let status = match error.kind {
            Kind::Auth | Kind::Key => Status::AuthFailed,
            Kind::CircuitOpen => Status::CircuitOpen,
            Kind::HostKeyChanged
            | Kind::HostKeyRevoked
            | Kind::HostKeyUnknown
            | Kind::HostKeyUnknownType => Status::HostKeyRejected,
            Kind::Algorithms | Kind::Deadline | Kind::Network | Kind::NoFiles | Kind::Protocol => {
                Status::Unreachable
            }
        };
        let phase = match error.phase {
            ConnectPhase::Auth => Phase::Auth,
            ConnectPhase::Banner => Phase::Banner,
            ConnectPhase::HostKey => Phase::HostKey,
            ConnectPhase::Kex => Phase::Kex,
            ConnectPhase::Key => Phase::Config,
            ConnectPhase::Tcp => Phase::Tcp,
        };
        Self::failed(
            status,
            Effect::Absent,
            Failure {
                code,
                phase,
                message: error.message.clone(),
                hint: error.hint.clone(),
                retryable: error.is_transient(),
            },
        )
    }

    /// The command was sent, or nearly.
    pub(super) fn of_report(report: &Report) -> (Self, Sent) {
        match &report.ending {
            Ending::Exited(exit) => (Self::exited(exit), Sent::Yes),
            Ending::Exceeded { message, exit } => {
                let failure = Failure {
                    code: RESOURCE_EXCEEDED,
                    phase: Phase::Exec,
                    message: message.clone(),
                    hint: Some("let it do less at a time, or widen the limit in the policy".into()),
                    retryable: false,
                };
                let verdict = Self::failed(Status::Killed, Effect::Present, failure);
                (Self { exit: exit.clone(), ..verdict }, Sent::Yes)
            }
            // Only the host knows what it can hold a command to, so this half of
            // the decision is made there.
            Ending::NotConfined { code, message, hint } => {
                let failure = Failure {
                    code,
                    phase: Phase::Policy,
                    message: message.clone(),
                    hint: Some(hint.clone()),
                    retryable: false,
                };
                (Self::failed(Status::PolicyDenied, Effect::Absent, failure), Sent::Yes)
            }
            Ending::NotStarted { phase, message, hint, certain } => {
                let failure = Failure {
                    code: "not_started",
                    phase: *phase,
                    message: message.clone(),
                    hint: hint.clone(),
                    retryable: false,
                };
                let effect = if *certain { Effect::Absent } else { Effect::Unknown };
                (Self::failed(Status::Failed, effect, failure), Sent::Yes)
            }
            Ending::NotSent { message, transient } => {
                let failure = Failure {
                    code: "channel_failed",
                    phase: Phase::Channel,
                    message: message.clone(),
                    hint: None,
                    retryable: *transient,
                };
                (Self::failed(Status::Unreachable, Effect::Absent, failure), Sent::No)
            }
            Ending::Lost { reason, started } => {
                (Self::lost(reason.as_deref(), *started), Sent::Unknown)
            }
            Ending::StdinFailed { message } => {
                let failure = Failure {
                    code: "stdin_failed",
                    phase: Phase::Exec,
                    message: message.clone(),
                    hint: None,
                    retryable: false,
                };
                (Self::failed(Status::Failed, Effect::Present, failure), Sent::Yes)
            }
            Ending::TimedOut => {
                let failure = Failure {
                    code: "command_timeout",
                    phase: Phase::Exec,
                    message: format!(
                        "timed out after {} s",
                        report.timeout.unwrap_or_default().as_secs_f32()
                    ),
                    hint: None,
                    retryable: false,
                };
                (Self::failed(Status::Timeout, Effect::Present, failure), Sent::Yes)
            }
            Ending::Cancelled => {
                let failure = Failure {
                    code: "cancelled",
                    phase: Phase::Exec,
                    message: "cancelled".into(),
                    hint: None,
                    retryable: false,
                };
                (Self::failed(Status::Cancelled, Effect::Present, failure), Sent::Yes)
            }
        }
    }

    fn failed(status: Status, effect: Effect, failure: Failure) -> Self {
        Self { status, effect, exit: None, failure: Some(failure) }
    }

    fn exited(exit: &ExitStatus) -> Self {
        let failure = exit.signal().map(|signal| Failure {
            code: "signal",
            phase: Phase::Exec,
            message: format!("ended by signal {signal}"),
            hint: None,
            retryable: false,
        });
        let status = if exit.success() { Status::Success } else { Status::Failed };
        Self { status, effect: Effect::Present, exit: Some(exit.clone()), failure }
    }

    /// Never called a failure: nobody knows.
    fn lost(reason: Option<&str>, started: bool) -> Self {
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let ran = if started { "the command had started" } else { "the command may have run" };
        let hint = "look on the host before running it again, or mark the command --idempotent";
        Self {
            status: Status::Unknown,
            effect: Effect::Unknown,
            exit: Some(ExitStatus::Missing),
            failure: Some(Failure {
                code: "connection_lost",
                phase: Phase::Exec,
                message: format!("the link was lost{reason}; {ran}"),
                hint: Some(hint.into()),
                retryable: true,
            }),
        }
    }
}

/// Makes this the result of a host to which there is no connection.
pub(crate) fn not_connected(result: &mut HostResult, error: &ConnectError) {
    result.refused_host_key = error.host_key.clone();
    Verdict::of_connect(error).apply(result);
}

/// A transfer for which policy, and nobody else, had set the time.
pub(super) fn exceeded(
    mut report: transfer::Report,
    wall: Duration,
    rule: &str,
) -> transfer::Report {
    let Some(failure) = report.failure.as_mut().filter(|_| report.status == Status::Timeout) else {
        return report;
    };
    report.status = Status::Killed;
    failure.code = RESOURCE_EXCEEDED;
    failure.message = format!("exceeded max_wall_time, {} (rule {rule})", duration::format(wall));
    failure.retryable = false;
    report
}

/// The result of a host whose task ended by a fault of this program: nobody
/// knows what had been done by then.
pub(super) fn fault(vm: VmId, command: String) -> HostResult {
    let mut result = HostResult::new(vm, command, Status::Unknown);
    result.effect = Effect::Unknown;
    result.failure = Some(Failure {
        code: "internal_error",
        phase: Phase::Exec,
        message: "the task for this host ended by a fault of this program".into(),
        hint: None,
        retryable: false,
    });
    result
}

/// Whether a look into the script was what denied it.
fn threat(decision: &Decision) -> bool {
    decision.rule.starts_with(RULE_PREFIX)
}

/// A denied action.
pub(crate) fn denied(decision: &Decision) -> Failure {
    let reason = decision.reason.as_deref().unwrap_or("denied");
    Failure {
        code: match decision {
            decision if threat(decision) => "script_security_threat",
            Decision { requires_approval: true, .. } => "approval_required",
            _ => "policy_denied",
        },
        phase: Phase::Policy,
        message: format!("{reason} (rule {})", decision.rule),
        hint: decision.hint.clone(),
        retryable: false,
    }
}
