//! Why the log cannot be opened, written or read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::Defect;

/// Why the audit log failed. `Display` says what failed and where,
/// [`hint`](Self::hint) the next step.
///
/// It is cheap to clone: once a log has failed, every later record gets the
/// same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The chain is broken before its end.
    #[error("audit log {} is broken at record {seq}: {defect}", path.display())]
    Broken {
        /// The segment.
        path: PathBuf,
        /// The first record that is not as it was written.
        seq: u64,
        /// What is wrong with it.
        defect: Defect,
    },
    /// Another process holds the lock and does not let go.
    #[error("audit log lock {} has been held by another process for too long", .0.display())]
    Busy(PathBuf),
    /// The log was closed.
    #[error("audit log {} is closed", .0.display())]
    Closed(PathBuf),
    /// A key file may be read by others.
    #[error("audit key {} has mode {mode:04o}, so others can read it", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The disk is full.
    #[error("audit log {} cannot grow", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A key file holds no usable key.
    #[error("audit key {} is not a key of this log", .0.display())]
    Key(PathBuf),
    /// There is no log.
    #[error("there is no audit log at {}", .0.display())]
    Missing(PathBuf),
    /// A file was deleted, replaced or cut short while the log was open.
    #[error("{} was deleted, replaced or cut short while the audit log was open", .0.display())]
    Replaced(PathBuf),
    /// The reserve for results is used up, so no new action may begin.
    #[error("audit reserve {} is used up", .0.display())]
    ReserveGone(PathBuf),
    /// A result could not be recorded in the log; it is in the spool.
    #[error("a result could not be recorded and was kept in {}", path.display())]
    Spooled {
        /// The spool.
        path: PathBuf,
        /// Why the log itself did not take it.
        #[source]
        cause: Box<AuditError>,
    },
    /// A record is longer than a line may be.
    #[error("an audit record of {bytes} bytes is longer than {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest line.
        max: usize,
    },
    /// A result could be recorded nowhere: here it is.
    #[error("a result could be recorded nowhere: {line}")]
    Unrecorded {
        /// The record as JSON, redacted.
        line: String,
        /// Why the log did not take it.
        #[source]
        cause: Box<AuditError>,
    },
}

impl AuditError {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Broken { .. } => {
                "keep a copy and find out who changed it; `audit verify` shows the place; \
                 opening with the broken chain accepted starts a new segment and records that"
            }
            Self::Busy(_) => "find the process that holds it with `fuser` and end or continue it",
            Self::Closed(_) => "open the log again",
            Self::Exposed { .. } => "chmod 600 the file; if others read it, replace the key",
            Self::Full { .. } | Self::ReserveGone(_) => {
                "free space on that file system, then start again"
            }
            Self::Io { .. } => "check that the directory exists, is writable and has space",
            Self::Key(_) => "restore it from a backup, or move it away to have a new one made",
            Self::Missing(_) => "check the path; the first recorded action creates the log",
            Self::Replaced(_) => "find out what touches the audit directory, then start again",
            Self::Spooled { .. } => "the next process to open the log enters it there",
            Self::TooLong { .. } => "send a long command as a script: its digest is recorded",
            Self::Unrecorded { .. } => "keep the line above; the log does not have it",
        }
    }

    /// For `map_err`: the operation that failed, and on which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source: Arc::new(source) }
    }
}
