//! Runs remembered: what was done where, and what came of it, in one SQLite
//! file.
//!
//! This is a convenience, not the record: the audit log says what happened,
//! and must; the store forgets by age and size, and a run goes on without it.
//! A [`Keeper`] writes down what it is told by events, on a thread of its own;
//! a [`Store`] reads. Several processes may do both at once.
//!
//! Everything that is kept has passed the redactor. What would need a secret
//! to be done again is kept without the means to do it again ([`Recipe`]).

mod commands;
mod detail;
mod file;
mod keeper;
mod output;
mod prune;
mod read;
mod recipe;
mod schema;
mod select;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use keeper::{Keeper, Options, Retention};
pub use read::Remembered;
pub use recipe::{Changed, Circumstances, Recipe, Way};
pub use select::{Filter, LAST};

/// How long another process is waited for that writes at the same time.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The remembered runs in one file. Every call blocks on the disk.
pub struct Store {
    path: PathBuf,
    connection: rusqlite::Connection,
}

/// Why remembered runs cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More than one run has it in its id.
    #[error("{part:?} is part of {} run ids: {}", .ids.len(), .ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        part: String,
        /// The ids, newest first.
        ids: Vec<String>,
    },
    /// Something in the file is not what this program writes.
    #[error("{}: {what} cannot be read", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file or its directory cannot be used.
    #[error("{} cannot be opened", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A later version of this program wrote it.
    #[error(
        "{} has schema version {found}, and this program knows {known}: use the newer program, \
         or another runs.path", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// Nothing was remembered yet.
    #[error("no run is remembered in {}", .0.display())]
    Nothing(PathBuf),
    /// SQLite says no.
    #[error("{} cannot be used", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// No run has it in its id.
    #[error("no remembered run has {0:?} in its id")]
    Unknown(String),
}

impl Store {
    /// Opens the file, which is made for its owner alone if it is not there,
    /// and brought to this program's schema if it is older.
    ///
    /// # Errors
    /// It cannot be used, or belongs to a newer program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        file::make_private(path)
            .map_err(|source| StoreError::File { path: path.into(), source })?;
        let failed = |source| StoreError::Sqlite { path: path.into(), source };
        let mut connection = file::connect(path).map_err(failed)?;
        schema::check(&connection, path)?;
        file::prepare(&connection).map_err(failed)?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { path: path.into(), connection })
    }

    /// Opens a file that is there.
    ///
    /// # Errors
    /// As [`open`](Self::open), or there is none.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        match path.as_ref().try_exists() {
            Ok(false) => Err(StoreError::Nothing(path.as_ref().into())),
            _ => Self::open(path),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn sqlite(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { path: self.path.clone(), source }
    }

    fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.into() }
    }
}
