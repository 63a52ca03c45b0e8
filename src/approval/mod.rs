//! Plans that are written down, so that somebody else can approve exactly them.
//!
//! A [`PlanFile`] is one JSON document that holds all that a run needs but
//! secrets and the files that it sends, which it knows by their digests. Its
//! exact bytes are what is signed and what is carried out, once.

mod action;
mod book;
mod describe;
mod document;
mod judge;
mod octets;
mod process;
mod reach;
mod transfer;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub(crate) use action::What;
pub use action::{NotPlannable, SUDO_PASSWORD};
pub use book::SpendError;
pub(crate) use book::{Book, Entry};
pub(crate) use document::{
    Bounds, Document, FORMAT, Gate, Once, PlannedOn, Requester, Rollout, Scan, Way,
};
pub use judge::NotApproved;
pub(crate) use judge::judge;
pub(crate) use process::milliseconds;
pub(crate) use reach::Reach;

use crate::audit::PlanFacts;
use crate::hex::hex;

/// What signatures of plan files are made for (OpenSSH, PROTOCOL.sshsig).
pub const NAMESPACE: &str = "orchestrator-plan";

/// How long a plan is good for, unless it is said.
pub const EXPIRES: Duration = Duration::from_secs(86_400);

/// How long a plan can be good for at most.
pub const EXPIRES_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Bytes of a plan file at most: a script of the largest size has room.
pub const SIZE_MAX: usize = 32 << 20;

/// How far the clock of another machine may be ahead of ours.
const SKEW_MAX: Duration = Duration::from_secs(300);

/// A plan as it is written down. See the [module](self).
#[derive(Clone, Debug)]
pub struct PlanFile {
    bytes: Vec<u8>,
    sha256: String,
    created: Timestamp,
    expires: Timestamp,
    document: Document,
}

/// Why a file is no plan that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It is no plan, or not in a form that this version knows.
    #[error("{} is no plan file of the form {FORMAT}: {why}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read or written.
    #[error("the plan file {} cannot be {doing}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Read or written.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl PlanFileError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "plan_invalid",
            Self::Io { .. } => "plan_unreadable",
        }
    }
}

impl PlanFile {
    /// Reads a plan file, once: what was checked is what is carried out. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is no plan.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanFileError> {
        let path = path.as_ref();
        let failed = |source| PlanFileError::Io { path: path.to_owned(), doing: "read", source };
        let bytes = read_bounded(path, SIZE_MAX).map_err(failed)?;
        let invalid = |why| PlanFileError::Invalid { path: path.to_owned(), why };
        Self::parse(bytes).map_err(invalid)
    }

    /// The plan in some bytes.
    fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if document.format != FORMAT {
            return Err(format!("its format is {:?}", document.format));
        }
        document.check()?;
        // One plan has one form: no other program can read something else in it.
        if written(&document)? != bytes {
            return Err("it is not written as `plan` writes it".into());
        }
        let time = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string());
        let (created, expires) = (time(&document.created)?, time(&document.expires)?);
        let sha256 = hex(Sha256::digest(&bytes));
        Ok(Self { bytes, sha256, created, expires, document })
    }

    /// Writes a document down.
    pub(crate) fn of(document: &Document) -> Result<Self, NotPlannable> {
        let bytes = written(document).map_err(NotPlannable::Unwritable)?;
        if bytes.len() > SIZE_MAX {
            return Err(NotPlannable::Large);
        }
        // What could not be read again must not be signed.
        Self::parse(bytes).map_err(NotPlannable::Unwritable)
    }

    /// Writes it to a new file for its owner alone (0600), durably. Blocks.
    ///
    /// # Errors
    /// Something is there already, or the disk refuses.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), PlanFileError> {
        let path = path.as_ref();
        write_new(path, &self.bytes).map_err(|source| PlanFileError::Io {
            path: path.into(),
            doing: "written",
            source,
        })
    }

    /// The exact bytes, which are what is signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of the exact bytes, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What makes it the only one of its kind: 128 random bits, in hexadecimal.
    pub fn nonce(&self) -> &str {
        &self.document.nonce
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When it can be applied no longer.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The account that asked for it: a claim of the file.
    pub fn requester(&self) -> &str {
        self.document.requester.os_user.as_deref().unwrap_or("nobody known")
    }

    /// Why it is asked for.
    pub fn reason(&self) -> Option<&str> {
        self.document.reason.as_deref()
    }

    /// The secrets that it needs, by name, and where each comes from.
    pub fn secrets(&self) -> Vec<(String, String)> {
        self.document.action.secrets()
    }

    /// Whether it is for one host that was named by its id.
    pub fn single(&self) -> bool {
        self.document.bounds.single
    }

    /// Whether it moves files.
    pub fn moves_files(&self) -> bool {
        matches!(self.document.action, What::Transfer(_))
    }

    /// Whether several commands run at once on each host.
    pub fn is_parallel(&self) -> bool {
        matches!(&self.document.action, What::Commands { parallel, .. } if parallel.get() > 1)
    }

    /// How long processes have between TERM and KILL.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.document.bounds.grace_ms)
    }

    /// What the records say of it.
    pub(crate) fn noted(&self) -> PlanFacts {
        PlanFacts {
            sha256: self.sha256.clone(),
            nonce: self.nonce().to_owned(),
            requester: self.requester().to_owned(),
            ..PlanFacts::default()
        }
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Why it cannot be applied at this moment, if it cannot.
    pub(crate) fn dated(&self, now: Timestamp, at_most: Duration) -> Result<(), NotDated> {
        let good_for = self.expires.duration_since(self.created).unsigned_abs();
        if self.expires <= self.created || good_for > at_most.min(EXPIRES_MAX) {
            return Err(NotDated::TooLong { at_most: at_most.min(EXPIRES_MAX) });
        }
        if now >= self.expires {
            return Err(NotDated::Expired(self.expires));
        }
        if self.created.duration_since(now).as_secs() > SKEW_MAX.as_secs().cast_signed() {
            return Err(NotDated::Future(self.created));
        }
        Ok(())
    }
}

fn written(document: &Document) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Why a plan cannot be applied now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDated {
    /// Its time is over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It was made in the future.
    #[error("it was made at {0}, which is yet to come: compare the clocks")]
    Future(Timestamp),
    /// It is good for longer than is allowed.
    #[error("it is good for longer than {}, which is all that is allowed", crate::units::duration::format(*at_most))]
    TooLong {
        /// What is allowed.
        at_most: Duration,
    },
}

/// A path as a plan file has it.
pub(crate) fn octets(path: impl AsRef<std::ffi::OsStr>) -> octets::Octets {
    octets::Octets::of(path)
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// That of the system, or it is larger, or no regular file.
pub fn read_bounded(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    // Opening something else than a file could block for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Writes a file that was not there, for its owner alone, durably.
///
/// # Errors
/// That of the system; what was begun is removed.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}
