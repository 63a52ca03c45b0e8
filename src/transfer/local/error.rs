//! Why a file of this machine could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::SuspectName;
use crate::outcome::{Failure, Phase};

/// Why a file of this machine could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    /// Whoever asked wants it no more.
    #[error("cancelled")]
    Cancelled,
    /// Another program writes to it.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    /// A directory where a file should be.
    #[error("{} is a directory", .0.display())]
    Directory(PathBuf),
    /// The system refused.
    #[error("cannot {doing} {}: {}", path.display(), cause(source))]
    Io {
        /// What was tried: `open`, `write`, …
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Sources that are directories.
    #[error("{} is a directory, which is moved only with everything in it", .0.display())]
    NeedsRecursive(PathBuf),
    /// A file where a directory should be.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// A file in the making that cannot be gone on with.
    #[error("{} cannot be gone on with: {why}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A socket, a pipe, a device.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// A name that leads elsewhere.
    #[error("a file in {} has a name that cannot be used: it is {why}", within.display())]
    Suspect {
        /// The directory.
        within: PathBuf,
        /// What is wrong with it.
        why: SuspectName,
    },
    /// A link where none is followed.
    #[error("{} is a symbolic link, which is not followed here", .0.display())]
    Symlink(PathBuf),
    /// A tree beyond all bounds.
    #[error("there are more than {0} files and directories to be moved")]
    TooMany(usize),
}

impl LocalError {
    pub(crate) fn io(doing: &'static str, path: &Path, error: impl Into<io::Error>) -> Self {
        Self::Io { doing, path: path.into(), source: error.into() }
    }

    /// The stable name used in JSON and the audit log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Changed(_) => "source_changed",
            Self::Directory(_) | Self::NeedsRecursive(_) => "is_a_directory",
            Self::Io { source, .. } => io_code(source),
            Self::NotDirectory(_) => "not_a_directory",
            Self::NotOurs { .. } => "not_resumable",
            Self::NotRegular(_) => "not_a_regular_file",
            Self::Suspect { .. } => "suspect_name",
            Self::Symlink(_) => "symlink_refused",
            Self::TooMany(_) => "too_many_files",
        }
    }

    /// The next step, where there is one.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Changed(_) => "move it when nothing writes to it, or move a copy",
            Self::Directory(_) => "name a file, or end the target with `/` to put it into there",
            Self::Io { source, .. } => io_hint(source)?,
            Self::NeedsRecursive(_) => "add -r",
            Self::NotDirectory(_) => "name a directory as the target",
            Self::NotOurs { .. } => "start anew, without --resume",
            Self::NotRegular(_) => "write its content to a file first",
            Self::Suspect { why: SuspectName::TooLong | SuspectName::PathTooLong, .. } => {
                "move an archive of it"
            }
            Self::Suspect { .. } => "the host may be hostile: look at that directory there",
            Self::Symlink(_) => "remove the link, or choose an empty directory",
            Self::TooMany(_) => "move an archive of them",
            Self::Cancelled => return None,
        })
    }

    /// The same as a part of a result.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            code: self.code(),
            phase: Phase::Local,
            message: self.to_string(),
            hint: self.hint().map(Into::into),
            retryable: false,
        }
    }
}

fn cause(error: &io::Error) -> String {
    let known = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => "permission denied",
        Some(Errno::DQUOT) => "the disk quota here is used up",
        Some(Errno::FBIG) => "the file is too large for that file system",
        Some(Errno::ISDIR) => "it is a directory",
        Some(Errno::LOOP) => "there is a symbolic link that is not followed",
        Some(Errno::NAMETOOLONG) => "the name is too long for that file system",
        Some(Errno::NOENT) => "no such file or directory",
        Some(Errno::NOSPC) => "the disk here is full, or has no inode left",
        Some(Errno::NOTDIR) => "a part of the path is not a directory",
        Some(Errno::ROFS) => "the file system here is read-only",
        _ => return error.to_string(),
    };
    known.into()
}

fn io_code(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => "permission_denied",
        Some(Errno::DQUOT) => "quota_exceeded",
        Some(Errno::FBIG) => "file_too_large",
        Some(Errno::ISDIR) => "is_a_directory",
        Some(Errno::LOOP) => "symlink_refused",
        Some(Errno::NAMETOOLONG) => "name_too_long",
        Some(Errno::NOENT) => "not_found",
        Some(Errno::NOSPC) => "disk_full",
        Some(Errno::NOTDIR) => "not_a_directory",
        Some(Errno::ROFS) => "read_only",
        _ => "local_io",
    }
}

fn io_hint(error: &io::Error) -> Option<&'static str> {
    Some(match Errno::from_io_error(error)? {
        Errno::ACCESS | Errno::PERM => "check who owns it and its mode",
        Errno::DQUOT | Errno::NOSPC => "free some space on this machine, or choose another disk",
        Errno::NAMETOOLONG => "choose a shorter name",
        Errno::NOENT => "check the path; --mkdir makes the directories of a target",
        Errno::ROFS => "choose a place that can be written to",
        _ => return None,
    })
}
