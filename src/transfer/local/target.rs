//! Where a file is to be put.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use super::super::mode::Permissions;
use super::root::set;
use super::{Found, LocalError, RelativePath, Root, check_name};

/// A place for a regular file: a directory, a name in it, and what is there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(super) dir: Root,
    pub(super) name: OsString,
    pub(super) existing: Option<Found>,
}

impl Target {
    /// A path that the operator named. If it is a symbolic link, what it leads
    /// to is the target, and the link stays.
    ///
    /// # Errors
    /// The directory is not there, or something else than a regular file is.
    pub(crate) fn named(path: &Path) -> Result<Self, LocalError> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        let real = if is_link { fs::canonicalize(path) } else { Ok(path.into()) };
        let real = real.map_err(|error| LocalError::io("follow the link", path, error))?;
        let Some(name) = real.file_name() else { return Err(LocalError::Directory(real)) };
        let dir = match real.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        Self::within(Root::open(dir)?, name)
    }

    /// A path of a host's tree, below the directory that it is moved to. A
    /// symbolic link in its place is refused.
    ///
    /// # Errors
    /// The directory is not there, or something else than a regular file is.
    pub(crate) fn below(root: &Root, path: &RelativePath) -> Result<Self, LocalError> {
        let Some((above, name)) = path.split_last() else {
            return Err(LocalError::Directory(root.path().into()));
        };
        Self::within(root.enter(&above)?, name)
    }

    fn within(dir: Root, name: &OsStr) -> Result<Self, LocalError> {
        let suspect = |why| LocalError::Suspect { within: dir.path().into(), why };
        check_name(name.as_bytes()).map_err(suspect)?;
        let existing = dir.look(name)?;
        existing.map_or(Ok(()), |found| found.must_be_regular(&dir.path().join(name)))?;
        Ok(Self { name: name.into(), existing, dir })
    }

    /// Its path.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// The file that would be replaced.
    pub(crate) fn existing(&self) -> Option<&Found> {
        self.existing.as_ref()
    }

    /// Opens the file that would be replaced, to see whether it must be.
    ///
    /// # Errors
    /// It is not there any more, or must not be read.
    pub(crate) fn open(&self) -> Result<File, LocalError> {
        self.dir.open_file(&self.name, OFlags::RDONLY)
    }

    /// Leaves the content as it is; mode and time still apply.
    ///
    /// # Errors
    /// It is not there any more, or somebody else's.
    pub(crate) fn leave(
        &self,
        permissions: Permissions,
        mtime: Option<SystemTime>,
    ) -> Result<(), LocalError> {
        let mode = match permissions {
            Permissions::Exactly(mode) => Some(mode),
            Permissions::Usual(_) => None,
        };
        set(&self.open()?, &self.path(), mode, mtime)
    }
}
