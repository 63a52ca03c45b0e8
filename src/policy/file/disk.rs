//! A policy from the disk, and why there is none.

use std::io;
use std::path::{Path, PathBuf};

use super::super::rules::Rules;
use crate::yaml::{Diagnostic, Owner, Untrusted, check_way, read_owned};

/// Bytes of a policy file at most.
const SIZE_MAX: usize = 8 << 20;

/// Why there is no policy. What cannot be read allows nothing: see
/// [`Policy::unusable`](super::super::Policy::unusable).
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file belongs to somebody who could change what is allowed.
    #[error("the policy {} belongs to user id {owner}, not to you ({user}) or root: run `chown root {}`", .path.display(), .path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Something in the file is wrong: everything that is, in its order.
    #[error("{}", all(.0))]
    Invalid(Vec<Diagnostic>),
    /// The machine's policy chooses hosts, and the machine's inventory, by which
    /// it does, cannot be used.
    #[error("the machine's policy chooses hosts by the inventory in {}, which cannot be used: {why}", .path.display())]
    MachineInventory {
        /// The configuration that holds the inventory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such file.
    #[error("the policy {} does not exist: put it there, or correct policy.path", .0.display())]
    Missing(PathBuf),
    /// The file has more bytes than a policy may have.
    #[error("the policy {} is larger than {SIZE_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// The file is not text.
    #[error("the policy {} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// The machine's policy belongs to somebody who could change what is allowed.
    #[error("the machine's policy {} belongs to user id {owner}, not to root: run `chown root {}`", .path.display(), .path.display())]
    NotRoots {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// Others could put another file in its place.
    #[error("the policy {} can be replaced by others: {} {why}", .path.display(), .dir.display())]
    Replaceable {
        /// The file.
        path: PathBuf,
        /// The directory, or the symbolic link, on the way to it.
        dir: PathBuf,
        /// What is wrong with that, and what to do.
        why: String,
    },
    /// The file cannot be read.
    #[error("the policy {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could change what is allowed.
    #[error("the policy {} can be written by others (mode {mode:04o}): run `chmod go-w {}`", .path.display(), .path.display())]
    WritableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl PolicyError {
    /// What is wrong in the file; empty if it could not even be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(problems) => problems,
            _ => &[],
        }
    }

    /// The error in one line.
    pub fn summary(&self) -> String {
        match self {
            Self::Invalid(problems) => match problems.split_first() {
                Some((first, rest)) => {
                    let more = match rest.len() {
                        0 => String::new(),
                        more => format!(" (and {more} more)"),
                    };
                    format!("{}: {}{more}", first.location(), first.message())
                }
                None => "the policy is invalid".into(),
            },
            error => error.to_string(),
        }
    }
}

/// Reads a regular file that only its owner can have written or replaced; the
/// owner must be trusted.
pub(in crate::policy) fn load(path: &Path, owner: Owner) -> Result<Rules, PolicyError> {
    let text = read_text(path, owner)?;
    super::read(&path.display().to_string(), &text).map_err(PolicyError::Invalid)
}

/// The text of such a file.
pub(in crate::policy) fn read_text(path: &Path, owner: Owner) -> Result<String, PolicyError> {
    check_way(path, owner).map_err(|(dir, why)| replaceable(path, dir, why))?;
    let bytes = read_owned(path, SIZE_MAX, owner).map_err(|why| {
        let path = path.to_path_buf();
        match why {
            Untrusted::ForeignOwner { owner: uid, .. } if owner == Owner::Root => {
                PolicyError::NotRoots { path, owner: uid }
            }
            Untrusted::ForeignOwner { owner, user } => {
                PolicyError::ForeignOwner { path, owner, user }
            }
            Untrusted::Missing => PolicyError::Missing(path),
            Untrusted::Unreadable(source) => PolicyError::Unreadable { path, source },
            Untrusted::WritableByOthers { mode } => PolicyError::WritableByOthers { path, mode },
        }
    })?;
    if bytes.len() > SIZE_MAX {
        return Err(PolicyError::TooLarge(path.into()));
    }
    String::from_utf8(bytes).map_err(|_| PolicyError::NotText(path.into()))
}

fn replaceable(path: &Path, dir: PathBuf, why: Untrusted) -> PolicyError {
    let path = path.to_path_buf();
    let why = match why {
        Untrusted::ForeignOwner { owner, .. } => {
            format!("belongs to user id {owner}: run `chown root {}`", dir.display())
        }
        Untrusted::Missing => return PolicyError::Missing(path),
        Untrusted::Unreadable(source) => return PolicyError::Unreadable { path, source },
        Untrusted::WritableByOthers { mode } => {
            format!(
                "can be written by others (mode {mode:04o}): run `chmod go-w {}`",
                dir.display()
            )
        }
    };
    PolicyError::Replaceable { path, dir, why }
}

fn all(problems: &[Diagnostic]) -> String {
    problems.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}
