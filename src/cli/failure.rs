//! Why nothing was done, in one or two lines.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use super::context::Context;
use super::terminal::Terminal;
use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::outcome::Status;
use crate::policy::PolicyError;
use crate::report::exit::Exit;
use crate::store::{Changed, StoreError};
use crate::transport::ConnectError;
use crate::{BuildError, HostError, RequestError, RunError, outcome, report};

/// An error of a command that ends the program.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) code: &'static str,
    pub(super) phase: outcome::Phase,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Whether a JSON document was promised on stdout.
    pub(super) json: bool,
    /// Whether whoever read our output went away.
    pub(super) broken_pipe: bool,
}

impl Failure {
    /// Wrong usage, configuration or targets.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: "usage",
            phase: outcome::Phase::Config,
            message: message.into(),
            hint: None,
            json: false,
            broken_pipe: false,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// It as the `error` of a document.
    pub(super) fn outcome(&self) -> outcome::Failure {
        outcome::Failure {
            code: self.code,
            phase: self.phase,
            message: self.message.clone(),
            hint: self.hint.clone(),
            retryable: false,
        }
    }

    /// Tells it where it belongs.
    pub(super) fn report(self, context: &Context) -> ExitCode {
        if self.json {
            let _ = report::write_error(&mut std::io::stdout().lock(), &self.outcome());
        }
        let palette = Terminal::palette(context.color(), Terminal::stderr());
        let mut stderr = std::io::stderr().lock();
        let message = report::escape(self.message.as_bytes());
        let _ = writeln!(stderr, "{}error:{} {message}", palette.bad, palette.off);
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "  hint: {}", report::escape(hint.as_bytes()));
        }
        ExitCode::from(self.exit.code())
    }
}

/// An error with its causes, each of which adds to the one before.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = without_number(&cause.to_string()).to_owned();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What the system says of an error, without its number.
fn without_number(text: &str) -> &str {
    text.rfind(" (os error ").map_or(text, |at| &text[..at])
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mut failure = Self::usage(chain(&error));
        failure.code = "config_invalid";
        if let ConfigError::NotFound { .. } = error {
            failure.code = "config_not_found";
            failure.hint =
                Some("copy configs/config.example.yml there, or name one with --config".into());
        }
        failure
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Self {
            exit: Exit::Audit,
            code: "audit_failed",
            phase: outcome::Phase::Audit,
            hint: Some(error.hint().to_owned()),
            ..Self::usage(chain(&error))
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self { code: "policy_invalid", ..Self::usage(chain(&error)) }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Audit(error) => error.into(),
            BuildError::Config(error) => error.into(),
            BuildError::KnownHosts(_) => Self {
                exit: Exit::HostKey,
                code: "known_hosts_unreadable",
                phase: outcome::Phase::HostKey,
                ..Self::usage(chain(&error))
            },
            error => Self::usage(chain(&error)),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let mut failure = Self::usage(chain(&error));
        let place = match &error {
            RequestError::Syntax(error) => Some(&*error.place),
            RequestError::Pattern(error) => error.place(),
            _ => None,
        };
        // Where the piece is all there is, the message has said it.
        if let Some(place) = place.filter(|place| *place.piece != *place.pattern) {
            let caret = place.caret().replace('\n', "\n  ");
            failure.message = format!("{}\n  {caret}", failure.message);
        }
        failure.hint = match &error {
            RequestError::Pattern(error) => {
                error.nearest().map(|name| format!("did you mean {name}?"))
            }
            RequestError::Gate(_) => Some("use rc or probe:CMD".into()),
            RequestError::OutputDir { .. } => {
                Some("one directory is made if it is missing, and must be yours to write to".into())
            }
            RequestError::OutputDirShared => Some("give --errdir another directory".into()),
            RequestError::StdinShared(_) => Some("put it into a file and give that".into()),
            RequestError::Changed(Changed::Content { .. }) => {
                Some("to run it as it is now, type the command again".into())
            }
            _ => None,
        };
        failure.code = error.code();
        failure
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        use crate::transport::ConnectErrorKind as Kind;
        let exit = match error.kind {
            Kind::HostKeyChanged
            | Kind::HostKeyRevoked
            | Kind::HostKeyUnknown
            | Kind::HostKeyUnknownType => Exit::HostKey,
            _ => Exit::Unreachable,
        };
        let code = crate::run::connect_code(error.kind);
        Self { exit, code, hint: error.hint.clone(), ..Self::usage(error.message) }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Audit(error) => error.into(),
            RunError::Connect(error) => error.into(),
            RunError::Request(error) => error.into(),
            RunError::Unusable(failure) => {
                Self { code: failure.code, hint: failure.hint, ..Self::usage(failure.message) }
            }
            RunError::Host(HostError(result)) if result.status == Status::PolicyDenied => Self {
                exit: Exit::Denied,
                code: "policy_denied",
                phase: outcome::Phase::Policy,
                hint: result.failure.as_ref().and_then(|failure| failure.hint.clone()),
                ..Self::usage(HostError(result).to_string())
            },
            error => Self { exit: Exit::Failed, ..Self::usage(chain(&error)) },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let mut failure = Self { code: "store_failed", ..Self::usage(chain(&error)) };
        match error {
            StoreError::Ambiguous { .. } | StoreError::Unknown(_) => {
                failure.code = "run_unknown";
                failure.hint = Some("`orchestrator runs list` shows the runs".into());
            }
            StoreError::Nothing(_) => failure.code = "run_unknown",
            _ => failure.exit = Exit::Failed,
        }
        failure
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let broken_pipe = super::stdout::is_broken_pipe(&error);
        Self { exit: Exit::Failed, code: "io", broken_pipe, ..Self::usage(error.to_string()) }
    }
}
