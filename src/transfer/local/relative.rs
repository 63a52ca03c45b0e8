//! Names from a host, and paths made of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::part_name::NAME_MAX;

/// The longest path that systems take, in bytes.
const PATH_MAX: usize = 4095;

/// Why something cannot be the name of a file in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SuspectName {
    /// `.` or `..`
    #[error("`.` or `..`, which leads elsewhere")]
    Dots,
    /// Nothing.
    #[error("empty")]
    Empty,
    /// NUL ends a path.
    #[error("a name with a NUL byte")]
    Nul,
    /// All names of a path together.
    #[error("at the end of a path of more than {PATH_MAX} bytes")]
    PathTooLong,
    /// `/` makes it a path.
    #[error("a name with `/`, which leads elsewhere")]
    Slash,
    /// No file system has it.
    #[error("longer than {NAME_MAX} bytes")]
    TooLong,
}

/// Refuses what is not the name of a file in a directory (and, as OpenSSH
/// says, suspect if a server says it is).
///
/// # Errors
/// Why not.
pub(crate) fn check_name(name: &[u8]) -> Result<(), SuspectName> {
    match name {
        b"" => Err(SuspectName::Empty),
        b"." | b".." => Err(SuspectName::Dots),
        _ if name.contains(&b'/') => Err(SuspectName::Slash),
        _ if name.contains(&0) => Err(SuspectName::Nul),
        _ if name.len() > NAME_MAX => Err(SuspectName::TooLong),
        _ => Ok(()),
    }
}

/// A way down from a directory: checked names, or none at all for the directory
/// itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RelativePath(Vec<u8>);

impl RelativePath {
    /// One step further.
    ///
    /// # Errors
    /// It is not the name of a file in a directory.
    pub(crate) fn join(&self, name: &[u8]) -> Result<Self, SuspectName> {
        check_name(name)?;
        self.join_path(&Self(name.into()))
    }

    /// Further down by another path.
    ///
    /// # Errors
    /// Both are too long for one path.
    pub(crate) fn join_path(&self, further: &Self) -> Result<Self, SuspectName> {
        let slash: &[u8] = if self.is_here() || further.is_here() { b"" } else { b"/" };
        let path = [&self.0, slash, &further.0].concat();
        if path.len() > PATH_MAX { Err(SuspectName::PathTooLong) } else { Ok(Self(path)) }
    }

    /// Whether it leads nowhere else.
    pub(crate) fn is_here(&self) -> bool {
        self.0.is_empty()
    }

    /// The names with `/` between them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names with `/` between them, for messages and names of files.
    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The names in order.
    pub(crate) fn names(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(OsStr::from_bytes)
    }

    /// The way to the directory, and the last name; `None` if there is none.
    pub(crate) fn split_last(&self) -> Option<(Self, &OsStr)> {
        let name = self.names().next_back()?;
        let before = self.0.len() - name.len();
        Some((Self(self.0[..before.saturating_sub(1)].into()), name))
    }
}
