//! Where it is written down which plans were applied.
//!
//! One file for each, under the plan's nonce. Making it, exclusively, is what
//! spends the plan: of several who try, one succeeds, and a crash right after it
//! leaves a plan that is spent and not one that could run twice.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::read_bounded;

/// Bytes of an entry at most.
const ENTRY_MAX: usize = 4096;

/// A directory with an entry for each plan that was applied.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    dir: PathBuf,
    /// Whether accounts share it.
    shared: bool,
}

/// What is written of a plan that is applied.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// The digest of the plan file.
    pub(crate) sha256: String,
    /// By which run.
    pub(crate) run: String,
    /// When.
    pub(crate) at: String,
    /// By which account.
    pub(crate) by: String,
}

/// Why a plan is not spent, and so cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// It cannot be written down.
    #[error("it cannot be written down in {} that the plan is applied: {source}", .dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It was applied.
    #[error("it was applied already: {0}")]
    Spent(String),
    /// Others could take entries out.
    #[error("others can take entries out of {} (mode {mode:04o}): run `chmod +t {}`", .dir.display(), .dir.display())]
    Open {
        /// The directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl Book {
    /// An account's own, made when it is needed.
    pub(crate) fn own(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("plans"), shared: false }
    }

    /// One that accounts share, and that is there.
    pub(crate) fn shared(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), shared: true }
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Refuses a plan that was applied, without spending it.
    pub(crate) fn check(&self, nonce: &str) -> Result<(), SpendError> {
        match fs::symlink_metadata(self.dir.join(nonce)) {
            Ok(_) => Err(self.spent(nonce)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Spends a plan, durably. Blocks.
    ///
    /// # Errors
    /// It was spent before, or may be now: whatever fails after the entry is
    /// there leaves it there.
    pub(crate) fn spend(&self, nonce: &str, entry: &Entry) -> Result<(), SpendError> {
        let failed = |error| self.failed(error);
        if !self.shared {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        }
        let dir = File::open(&self.dir).map_err(failed)?;
        let mode = dir.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(SpendError::Open { dir: self.dir.clone(), mode });
        }
        let readable = if self.shared { 0o644 } else { 0o600 };
        let mut open = OpenOptions::new();
        let file = open.write(true).create_new(true).mode(readable).open(self.dir.join(nonce));
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.spent(nonce),
            _ => failed(error),
        })?;
        let text = serde_json::to_vec(entry).map_err(|error| failed(error.into()))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        dir.sync_all().map_err(failed)
    }

    fn spent(&self, nonce: &str) -> SpendError {
        let text = read_bounded(&self.dir.join(nonce), ENTRY_MAX).ok();
        let entry = text.and_then(|text| serde_json::from_slice::<Entry>(&text).ok());
        SpendError::Spent(match entry {
            Some(Entry { run, at, by, .. }) => format!("at {at} by {by}, as run {run}"),
            None => format!("{} has its nonce", self.dir.display()),
        })
    }

    fn failed(&self, source: io::Error) -> SpendError {
        SpendError::Io { dir: self.dir.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: &str) -> Entry {
        Entry { sha256: "s".into(), run: run.into(), at: "then".into(), by: "alice".into() }
    }

    #[test]
    fn a_plan_is_spent_once() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::own(dir.path());
        book.check("n").unwrap();
        book.spend("n", &entry("r1")).unwrap();
        for refused in [book.check("n"), book.spend("n", &entry("r2"))] {
            let why = refused.unwrap_err().to_string();
            assert_eq!(why, "it was applied already: at then by alice, as run r1");
        }
        book.spend("m", &entry("r2")).unwrap();
    }

    #[test]
    fn an_entry_that_was_not_finished_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::shared(dir.path());
        fs::write(dir.path().join("n"), "").unwrap();
        assert!(matches!(book.spend("n", &entry("r")), Err(SpendError::Spent(_))));
        assert!(matches!(book.check("n"), Err(SpendError::Spent(_))));
    }

    #[test]
    fn of_many_at_once_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::own(dir.path());
        let tried: Vec<bool> = std::thread::scope(|scope| {
            let spend = || book.spend("n", &entry("r")).is_ok();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(tried.iter().filter(|spent| **spent).count(), 1);
    }

    #[test]
    fn a_shared_book_is_sticky() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode =
            |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let book = Book::shared(dir.path());
        mode(0o777);
        assert!(matches!(book.spend("n", &entry("r")), Err(SpendError::Open { mode: 0o777, .. })));
        mode(0o1777);
        book.spend("n", &entry("r")).unwrap();
    }
}
