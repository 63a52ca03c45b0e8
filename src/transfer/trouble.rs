//! Why a file is not in place.

use std::time::Duration;

use super::digest::Why;
use super::local::LocalError;
use super::staged::StagedError;
use crate::exec::ShellError;
use crate::outcome::{Failure, Phase, Status};
use crate::sftp::{SftpError, StatusCode};

/// Why a file is not in place, and whether that ends the whole transfer.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) status: Status,
    pub(super) failure: Failure,
    /// Whether nothing more can be done for this host.
    pub(super) fatal: bool,
}

impl Trouble {
    /// This file cannot be moved; others may.
    pub(super) fn file(code: &'static str, phase: Phase, message: impl Into<String>) -> Self {
        let failure =
            Failure { code, phase, message: message.into(), hint: None, retryable: false };
        Self { status: Status::Failed, failure, fatal: false }
    }

    /// The two ends have different contents.
    pub(super) fn mismatch(path: &[u8], expected: &str, actual: &str) -> Self {
        let message =
            format!("SHA256 mismatch for {}: expected {expected}, got {actual}", shown(path));
        let mut trouble = Self::file("checksum_mismatch", Phase::Verify, message);
        trouble.status = Status::ChecksumMismatch;
        trouble.failure.retryable = true;
        trouble
    }

    /// The file has other content than the caller wants.
    pub(super) fn unexpected(path: &[u8], expected: &str, actual: &str) -> Self {
        let mut trouble = Self::mismatch(path, expected, actual);
        trouble.failure.retryable = false;
        trouble
    }

    /// The link, or what serves files on the host, is gone.
    pub(super) fn lost(message: impl Into<String>) -> Self {
        let mut trouble = Self::file("connection_lost", Phase::Transfer, message);
        trouble.status = Status::Unreachable;
        trouble.failure.retryable = true;
        trouble.fatal()
    }

    /// A file of this machine cannot be read or written.
    pub(super) fn local(error: LocalError) -> Self {
        let failure = error.failure();
        match error {
            LocalError::Cancelled => Self::cancelled(),
            _ => Self { status: Status::Failed, failure, fatal: false },
        }
    }

    /// The host computes no digest of a file.
    pub(super) fn digest(why: Why, path: &[u8]) -> Self {
        Self::file("not_proven", Phase::Verify, format!("cannot prove {}: {why}", shown(path)))
    }

    /// A file did not go by way of a copy.
    pub(super) fn staged(error: StagedError, path: &[u8]) -> Self {
        match error {
            StagedError::Shell(error) => Self::shell(error),
            StagedError::Mismatch => {
                let message = format!("{}: {error}", shown(path));
                let mut trouble = Self::file("checksum_mismatch", Phase::Verify, message);
                trouble.status = Status::ChecksumMismatch;
                trouble
            }
            error => {
                Self::file("host_refused", Phase::Transfer, format!("{}: {error}", shown(path)))
            }
        }
    }

    /// Our own text came to no end on the host.
    pub(super) fn shell(error: ShellError) -> Self {
        match error {
            ShellError::Cancelled => Self::cancelled(),
            ShellError::Lost { .. } => Self::lost(error.to_string()),
            ShellError::TimedOut(limit) => Self::too_slow(limit),
            ShellError::Unavailable { phase, message, hint } => {
                Self::file("not_started", phase, message).fatal().or_hint(hint)
            }
        }
    }

    /// What a text of ours computes on the host takes longer than it may.
    pub(super) fn too_slow(limit: Duration) -> Self {
        let message = format!("the host took longer than {} s", limit.as_secs());
        let mut trouble = Self::file("host_too_slow", Phase::Verify, message);
        trouble.status = Status::Timeout;
        trouble.fatal().hint("see what keeps it busy there")
    }

    pub(super) fn timed_out() -> Self {
        let message = "not all was moved in time; what was incomplete is as it was before";
        let mut trouble = Self::file("transfer_timeout", Phase::Transfer, message);
        trouble.status = Status::Timeout;
        trouble.fatal().hint(
            "give it more time with --timeout; with --resume, what arrives stays for the next try",
        )
    }

    pub(super) fn cancelled() -> Self {
        let mut trouble = Self::file("cancelled", Phase::Transfer, "cancelled");
        trouble.status = Status::Cancelled;
        trouble.fatal()
    }

    /// What could not be done on the host, to what, and why.
    pub(super) fn sftp(error: SftpError, what: &str, path: &[u8]) -> Self {
        let doing = format!("cannot {what} {}", shown(path));
        match &error {
            SftpError::Lost { reason } => {
                Self::lost(format!("{doing}: the link was lost: {reason}"))
            }
            SftpError::Stalled(_) => {
                let mut trouble =
                    Self::file("transfer_stalled", Phase::Transfer, format!("{doing}: {error}"));
                trouble.status = Status::Timeout;
                trouble.failure.retryable = true;
                trouble.fatal()
            }
            SftpError::NotStarted { .. } => {
                let trouble = Self::file("sftp_unavailable", Phase::Transfer, error.to_string());
                trouble.fatal().hint("see whether the server has: Subsystem sftp internal-sftp")
            }
            SftpError::Protocol(_) => {
                Self::file("protocol_error", Phase::Transfer, format!("{doing}: {error}")).fatal()
            }
            SftpError::Unsupported(_) => {
                Self::file("unsupported", Phase::Transfer, format!("{doing}: {error}"))
            }
            SftpError::Status { code, message } => {
                let (kind, why) = match code {
                    StatusCode::NoSuchFile => ("not_found", "there is no such file or directory"),
                    StatusCode::PermissionDenied => ("permission_denied", "permission denied"),
                    _ if message.is_empty() => {
                        ("host_refused", "the host refuses, and does not say why")
                    }
                    _ => ("host_refused", message.as_str()),
                };
                let trouble = Self::file(kind, Phase::Transfer, format!("{doing}: {why}"));
                match code {
                    StatusCode::PermissionDenied => {
                        trouble.hint("see who may do that there, or use --sudo")
                    }
                    _ => trouble,
                }
            }
        }
    }

    /// Whether the host stopped answering.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.failure.code, "connection_lost" | "transfer_stalled" | "protocol_error")
    }

    pub(super) fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.failure.hint = Some(hint.into());
        self
    }

    fn or_hint(mut self, hint: Option<String>) -> Self {
        self.failure.hint = self.failure.hint.or(hint);
        self
    }
}

/// A path for people.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
