//! Why something that was asked for was not done.

use std::io;
use std::path::PathBuf;

use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::inventory::SelectError;
use crate::nodeset;
use crate::outcome::{Failure, HostResult};
use crate::plan::InvalidLabel;
use crate::remote::InvalidAction;
use crate::run::connect_code;
use crate::ssh::known_hosts::ReadError;
use crate::store::Changed;
use crate::transport::ConnectError;

/// Why there is no orchestrator.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Neither the configuration nor a home directory says where it is.
    #[error("there is no place for the audit log: set audit.path")]
    AuditNowhere,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A known_hosts file cannot be read.
    #[error(transparent)]
    KnownHosts(#[from] ReadError),
    /// A name or a text for the records cannot be one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The system gives no threads.
    #[error("no runtime can be started: {0}")]
    Runtime(#[source] std::io::Error),
    /// The passphrase file cannot be read.
    #[error("the passphrase file {path} cannot be used: {cause}")]
    Passphrase {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
}

/// Why a request was not begun: nothing ran anywhere.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// [`shutdown`](super::Orchestrator::shutdown) was called.
    #[error("the orchestrator is shutting down")]
    Closing,
    /// It can be done on no host.
    #[error(transparent)]
    Action(#[from] InvalidAction),
    /// A remembered run cannot be done again as it was.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// This gate looks at what a command wrote, and files are to be moved.
    #[error("the gate {0} needs a command or a script: a transfer writes no output")]
    Gate(String),
    /// A host that was named cannot be used.
    #[error(transparent)]
    Host(#[from] SelectError),
    /// A name or a text for the records cannot be one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// A local file that is to be sent cannot be read.
    #[error("Local file {} cannot be read", .path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A transfer has no output that could be put into files.
    #[error("files for output need a command or a script: a transfer writes no output")]
    NoOutput,
    /// A directory for output cannot be used.
    #[error("the directory for output {} cannot be used", .path.display())]
    OutputDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The files of both streams would have the same names.
    #[error("stdout and stderr cannot go to the same directory")]
    OutputDirShared,
    /// The expression names no hosts.
    #[error(transparent)]
    Pattern(#[from] nodeset::ResolveError),
    /// The file that the command shall read cannot be read.
    #[error("stdin {} cannot be read", .path.display())]
    Stdin {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This process has one stdin, and it is read once.
    #[error("our own stdin cannot be given to {0} VMs")]
    StdinShared(usize),
    /// The expression cannot be read.
    #[error(transparent)]
    Syntax(#[from] nodeset::PatternError),
    /// Nobody says why something dangerous is to be run.
    #[error("what a scan finds is run only for a reason: give one (--reason)")]
    ThreatReason,
    /// A remembered run holds what is not remembered.
    #[error("the run cannot be done again: {0}; type the command again")]
    TypeAgain(String),
}

impl RequestError {
    /// The stable code, as `error.code` of the JSON has it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Closing => "closing",
            Self::Action(InvalidAction::Command(_) | InvalidAction::Commands(_)) => {
                "command_invalid"
            }
            Self::Action(InvalidAction::Script(_)) => "script_invalid",
            Self::Action(InvalidAction::Transfer(_)) => "transfer_invalid",
            Self::Gate(_) => "gate_invalid",
            Self::Host(_) => "host_not_usable",
            Self::Label(_) => "label_invalid",
            Self::NoOutput | Self::OutputDir { .. } | Self::OutputDirShared => "output_dir_invalid",
            Self::Local { .. } => "local_unreadable",
            Self::Pattern(_) | Self::Syntax(_) => "targets_invalid",
            Self::Stdin { .. } | Self::StdinShared(_) => "stdin_invalid",
            Self::Changed(_) => "rerun_changed",
            Self::ThreatReason => "reason_missing",
            Self::TypeAgain(_) => "rerun_impossible",
        }
    }
}

/// Why a request has no successful result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Some hosts did not succeed. The report still has all that did.
    #[error("{} of {} hosts did not succeed", .0.failed().count(), .0.results().len())]
    Failed(Box<super::Report>),
    /// The command did not run to its end on the only host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The request was not begun.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The host cannot be used as it is configured.
    #[error("{}", .0.message)]
    Unusable(Failure),
}

impl RunError {
    /// The stable code, as `error.code` of the JSON has it; of several hosts,
    /// that of the first which did not succeed.
    pub fn code(&self) -> &'static str {
        let of = |result: &HostResult| result.failure.as_ref().map(|failure| failure.code);
        match self {
            Self::Audit(_) => "audit_failed",
            Self::Connect(error) => connect_code(error.kind),
            Self::Failed(report) => report.failed().find_map(of).unwrap_or("command_failed"),
            Self::Host(HostError(result)) => of(result).unwrap_or("command_failed"),
            Self::Request(error) => error.code(),
            Self::Unusable(failure) => failure.code,
        }
    }

    /// Whether the same may succeed if it is asked for again, and does no harm
    /// then; of several hosts, on each that did not succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Audit(_) | Self::Request(_) => false,
            Self::Connect(error) => error.is_transient(),
            Self::Failed(report) => report.failed().all(HostResult::is_retryable),
            Self::Host(HostError(result)) => result.is_retryable(),
            Self::Unusable(failure) => failure.retryable,
        }
    }
}

/// A host on which a command did not run to its end.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.vm, .0.failure.as_ref().map_or(.0.status.as_str(), |failure| &failure.message))]
pub struct HostError(pub Box<HostResult>);

impl From<SelectError> for RunError {
    fn from(error: SelectError) -> Self {
        Self::Request(error.into())
    }
}

impl From<nodeset::PatternError> for RunError {
    fn from(error: nodeset::PatternError) -> Self {
        Self::Request(error.into())
    }
}
