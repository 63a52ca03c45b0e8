//! The script library: a folder of scripts that say of themselves what they are
//! called, what reads them, where they can run and which parameters they take.
//!
//! What a script says stands at its top, in YAML between two lines `# ---`, in
//! whatever its language has for comments: `#`, `--`, `//` or `rem`. Its bytes
//! are sent as they are. A parameter is checked before anything runs and reaches
//! the script in an environment variable or as an argument, never as text that a
//! shell reads.

mod entry;
mod folder;
mod header;
mod parameter;

use std::io;
use std::path::{Path, PathBuf};

use crate::yaml::{Diagnostic, nearest};

pub use entry::Entry;
pub use parameter::{Given, Kind, Parameter, ParameterError, Pass};

/// What stands before the name of a parameter, in capitals, in the name of its
/// environment variable: `port` is `PARAM_PORT`.
pub const VARIABLE_PREFIX: &str = "PARAM_";

/// The scripts of a folder.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    skipped: Vec<PathBuf>,
}

/// Why there is no library, or not this script in it.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The folder belongs to somebody who could change what is run.
    #[error("the script library {} belongs to user id {owner}, not to you ({user}) or root: run `chown {user} {}`", .path.display(), .path.display())]
    ForeignOwner {
        /// The folder.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// More than a library may hold.
    #[error("the script library {} holds more than {max}", .path.display())]
    Large {
        /// The folder.
        path: PathBuf,
        /// The bound.
        max: &'static str,
    },
    /// The script is there and cannot be used.
    #[error("the script {id} cannot be used: {}", .problem.summary())]
    Unusable {
        /// Its id.
        id: String,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
    /// There is no such script.
    #[error("there is no script {id} in {}{}", .folder.display(), .nearest.as_ref().map(|id| format!("; did you mean {id}?")).unwrap_or_default())]
    Unknown {
        /// The id that was asked for.
        id: String,
        /// The folder.
        folder: PathBuf,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// The folder cannot be read.
    #[error("the script library {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could change what is run.
    #[error("the script library {} can be written by others (mode {mode:04o}): run `chmod go-w {}`", .path.display(), .path.display())]
    WritableByOthers {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Why a file of the folder is no script of the library.
#[derive(Clone, Debug)]
pub enum Problem {
    /// What it says of itself is wrong.
    Invalid(Diagnostic),
    /// Several files have the same id.
    Twice {
        /// The id.
        id: String,
        /// The files, none of which is used.
        files: Vec<PathBuf>,
    },
    /// It cannot be read, or must not be trusted.
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Problem {
    /// The problem in one line.
    pub fn summary(&self) -> String {
        match self {
            Self::Invalid(problem) => format!("{}: {}", problem.location(), problem.message()),
            Self::Twice { id, files } => {
                let files: Vec<String> =
                    files.iter().map(|file| file.display().to_string()).collect();
                format!("several files have the id {id}: {}", files.join(", "))
            }
            Self::Untrusted { path, why } => format!("{}: {why}", path.display()),
        }
    }

    fn is_about(&self, id: &str) -> bool {
        match self {
            Self::Twice { id: twice, .. } => twice == id,
            Self::Invalid(problem) => stem(Path::new(problem.location().file())) == id,
            Self::Untrusted { path, .. } => stem(path) == id,
        }
    }
}

/// What a file is most likely called in the library.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Library {
    /// Reads the files of a folder, but not of folders in it, nor hidden ones.
    /// A file with something wrong in it is a [problem](Self::problems) and keeps
    /// no other from being used. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read, holds too much, or others could change what is
    /// in it.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, LibraryError> {
        folder::load(folder.as_ref())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The scripts, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is wrong with files that are no entries for that reason.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Files that say nothing of themselves and so are not in the library.
    pub fn skipped(&self) -> &[PathBuf] {
        &self.skipped
    }

    /// The script of this id.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn get(&self, id: &str) -> Result<&Entry, LibraryError> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.id() == id) {
            return Ok(entry);
        }
        if let Some(problem) = self.problems.iter().find(|problem| problem.is_about(id)) {
            let problem = Box::new(problem.clone());
            return Err(LibraryError::Unusable { id: id.to_owned(), problem });
        }
        let near = nearest(id, self.entries.iter().map(Entry::id));
        Err(LibraryError::Unknown {
            id: id.to_owned(),
            folder: self.folder.clone(),
            nearest: near.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests;
