//! What became of a host in a run, and what may have changed there.

mod commands;
mod told;

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::VmId;
use crate::remote::{Captured, Direction, ExitStatus};
use crate::transport::ConnectionFacts;

pub use commands::CommandResult;
pub use told::ScriptEnd;

/// How a host ended in a run. Every host of a run ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The server refused every credential that was offered.
    AuthFailed,
    /// The operator or the program stopped the run before this host was done.
    Cancelled,
    /// A file's SHA-256 is not what it should be.
    ChecksumMismatch,
    /// The breaker for this host is open: nothing was tried.
    CircuitOpen,
    /// The command ended non-zero or by a signal, or could not be started.
    Failed,
    /// The host key is unknown, changed, revoked or of an unrecorded type.
    HostKeyRejected,
    /// The process tree was killed on the host for exceeding a limit.
    Killed,
    /// The run ended before this host's turn came.
    NotStarted,
    /// A rule denied the action before anything was sent.
    PolicyDenied,
    /// A rate limit denied the action before anything was sent.
    RateLimited,
    /// The action was done.
    Success,
    /// A deadline passed.
    Timeout,
    /// The link was lost after the command was sent: it may have run.
    Unknown,
    /// No SSH connection could be made.
    Unreachable,
}

impl Status {
    /// Every status, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Success,
        Self::Failed,
        Self::Timeout,
        Self::Killed,
        Self::Cancelled,
        Self::Unreachable,
        Self::AuthFailed,
        Self::HostKeyRejected,
        Self::ChecksumMismatch,
        Self::PolicyDenied,
        Self::RateLimited,
        Self::CircuitOpen,
        Self::NotStarted,
        Self::Unknown,
    ];

    /// The stable name used in JSON, the audit log and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailed => "auth_failed",
            Self::Cancelled => "cancelled",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::CircuitOpen => "circuit_open",
            Self::Failed => "failed",
            Self::HostKeyRejected => "host_key_rejected",
            Self::Killed => "killed",
            Self::NotStarted => "not_started",
            Self::PolicyDenied => "policy_denied",
            Self::RateLimited => "rate_limited",
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What the action may have changed on the host. This alone decides whether
/// trying again is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was sent that could have had an effect.
    Absent,
    /// The action ran.
    Present,
    /// It was sent; whether it ran cannot be told.
    Unknown,
}

/// Where in the life of one attempt something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Recording the attempt, or its result, in the audit log.
    Audit,
    /// SSH user authentication (RFC 4252).
    Auth,
    /// Waiting for the server's identification string (RFC 4253, 4.2).
    Banner,
    /// Opening a channel and having the exec request accepted (RFC 4254, 5.1 and 6.5).
    Channel,
    /// Reading the configuration, the inventory or a key file.
    Config,
    /// Changing to the working directory.
    Cwd,
    /// Setting an environment variable.
    Env,
    /// The command itself.
    Exec,
    /// Verifying the host key.
    HostKey,
    /// Key exchange (RFC 4253, 7).
    Kex,
    /// Reading or writing a file on this machine.
    Local,
    /// Deciding.
    Policy,
    /// Sending a script.
    Script,
    /// The login shell, before our text ran.
    Shell,
    /// sudo, before the command.
    Sudo,
    /// Resolving the name and the TCP handshake.
    Tcp,
    /// Moving a file, or putting it in place.
    Transfer,
    /// Proving that a file is what it should be.
    Verify,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 18] = [
        Self::Audit,
        Self::Auth,
        Self::Banner,
        Self::Channel,
        Self::Config,
        Self::Cwd,
        Self::Env,
        Self::Exec,
        Self::HostKey,
        Self::Kex,
        Self::Local,
        Self::Policy,
        Self::Script,
        Self::Shell,
        Self::Sudo,
        Self::Tcp,
        Self::Transfer,
        Self::Verify,
    ];

    /// The stable name used in JSON and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Auth => "auth",
            Self::Banner => "banner",
            Self::Channel => "channel",
            Self::Config => "config",
            Self::Cwd => "cwd",
            Self::Env => "env",
            Self::Exec => "exec",
            Self::HostKey => "host_key",
            Self::Kex => "kex",
            Self::Local => "local",
            Self::Policy => "policy",
            Self::Script => "script",
            Self::Shell => "shell",
            Self::Sudo => "sudo",
            Self::Tcp => "tcp",
            Self::Transfer => "transfer",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Phase {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a host did not succeed: the `error` object of a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// A stable, lower-case code (`host_key_changed`, `command_timeout`, …).
    pub code: &'static str,
    /// Where it went wrong.
    pub phase: Phase,
    /// The cause in one sentence, without the host's name.
    pub message: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
    /// Whether trying again may help and can do no harm.
    pub retryable: bool,
}

/// How the process tree of a stopped command ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kill {
    /// Processes that were there at the first signal and are gone now;
    /// `None` when it could not be established.
    pub ended: Option<u32>,
    /// What is still there (`pid name`); `None` when it could not be established.
    pub survivors: Option<Vec<String>>,
}

/// How long the parts of an attempt took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Name resolution to the end of key exchange.
    pub connect: Duration,
    /// User authentication.
    pub auth: Duration,
    /// From the exec request to the end of its output.
    pub run: Duration,
}

/// What a transfer did with its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Which way they went.
    pub direction: Direction,
    /// Each file that was to be moved, in the order of their ends.
    pub files: Vec<FileOutcome>,
    /// What was left out, although it was asked for.
    pub skipped: Vec<Skipped>,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutcome {
    /// Its path on this machine.
    pub local: OsString,
    /// Its path on the host.
    pub remote: OsString,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal, once both ends agree on it.
    pub sha256: Option<String>,
    /// Who computed that on the host.
    pub verified_by: Option<VerifiedBy>,
    /// Whether the target had this content already.
    pub unchanged: bool,
    /// How many bytes had arrived in an earlier transfer.
    pub resumed_from: u64,
    /// Why it is not in place.
    pub failure: Option<Failure>,
}

/// What a host computes a SHA-256 by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifiedBy {
    /// `openssl dgst`.
    Openssl,
    /// Nothing there: the file was read back over the connection.
    Readback,
    /// `sha256sum`, of coreutils or busybox.
    Sha256sum,
    /// `shasum`, of Perl.
    Shasum,
}

impl VerifiedBy {
    /// The stable name used in JSON and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openssl => "openssl",
            Self::Readback => "readback",
            Self::Sha256sum => "sha256sum",
            Self::Shasum => "shasum",
        }
    }
}

/// Something that was not moved, though no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path where it is.
    pub path: OsString,
    /// Why.
    pub why: &'static str,
}

impl Transferred {
    /// The bytes of the files that are in place.
    pub fn bytes(&self) -> u64 {
        self.done().map(|file| file.bytes).sum()
    }

    /// The files that are in place.
    pub fn done(&self) -> impl Iterator<Item = &FileOutcome> {
        self.files.iter().filter(|file| file.failure.is_none())
    }
}

/// The result of one host in a run.
#[derive(Clone, Debug)]
pub struct HostResult {
    /// The host.
    pub vm: VmId,
    /// The command as it was given, or what else was to be done.
    pub command: String,
    /// How it ended.
    pub status: Status,
    /// What may have changed on the host.
    pub effect: Effect,
    /// How the remote process ended, if one ran.
    pub exit: Option<ExitStatus>,
    /// Standard output; empty where several commands have their own.
    pub stdout: Captured,
    /// Standard error; empty where several commands have their own.
    pub stderr: Captured,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
    /// What became of its processes, if they had to be ended.
    pub kill: Option<Kill>,
    /// Why the output may be incomplete although the command ended.
    pub output_incomplete: Option<&'static str>,
    /// The id of the script in its library, if it is from one.
    pub script_id: Option<String>,
    /// The SHA-256 of the script that was run, where that is known.
    pub script_sha256: Option<String>,
    /// What became of the files of a transfer.
    pub transfer: Option<Transferred>,
    /// What became of each of several commands, in their order; empty for any
    /// other action. [`decisive`](Self::decisive) gives the host its status, exit
    /// and error.
    pub commands: Vec<CommandResult>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long it waited for its rate before the first attempt.
    pub waited: Duration,
    /// From the first attempt to the end of the last.
    pub elapsed: Duration,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How long the parts of the last attempt took.
    pub timing: Timing,
    /// What was negotiated, if a connection was made.
    pub ssh: Option<ConnectionFacts>,
    /// The fingerprint of a host key that was not accepted.
    pub refused_host_key: Option<String>,
}

impl HostResult {
    /// A result before anything happened.
    pub fn new(vm: VmId, command: String, status: Status) -> Self {
        Self {
            vm,
            command,
            status,
            effect: Effect::Absent,
            exit: None,
            stdout: Captured::default(),
            stderr: Captured::default(),
            failure: None,
            kill: None,
            output_incomplete: None,
            script_id: None,
            script_sha256: None,
            transfer: None,
            commands: Vec::new(),
            attempts: 0,
            waited: Duration::ZERO,
            elapsed: Duration::ZERO,
            finished_at: Timestamp::now(),
            timing: Timing::default(),
            ssh: None,
            refused_host_key: None,
        }
    }

    /// Whether the action was done, and is on record.
    pub fn success(&self) -> bool {
        self.status == Status::Success && self.recorded()
    }

    /// Whether the same may succeed if it is asked for again, and does no harm
    /// then: nothing was done here, and nobody has to change anything first.
    pub fn is_retryable(&self) -> bool {
        self.recorded() && self.failure.as_ref().is_some_and(|failure| failure.retryable)
    }

    /// Whether the audit log took what it had to.
    pub fn recorded(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| failure.phase != Phase::Audit)
    }
}

/// How many hosts ended in each status, in the order of [`Status::ALL`];
/// statuses with none are absent.
pub fn tally<'a>(results: impl IntoIterator<Item = &'a HostResult>) -> Vec<(Status, usize)> {
    let mut counts = Status::ALL.map(|status| (status, 0));
    for result in results {
        for (status, count) in &mut counts {
            *count += usize::from(result.status == *status);
        }
    }
    counts.into_iter().filter(|&(_, count)| count > 0).collect()
}
