//! A directory, and what is below it without following a link.

use std::ffi::OsStr;
use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::fs::{mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{Found, LocalError, RelativePath};

/// An open directory. Whatever happens to its path, this stays the same one.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(super) dir: Arc<File>,
    pub(super) path: PathBuf,
}

impl Root {
    /// A directory that the operator named; links on the way are followed.
    ///
    /// # Errors
    /// It is not there, not a directory, or must not be read.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(dir) => Ok(Self { dir: Arc::new(dir.into()), path: path.into() }),
            Err(Errno::NOTDIR) => Err(LocalError::NotDirectory(path.into())),
            Err(error) => Err(LocalError::io("open", path, error)),
        }
    }

    /// Where it was when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is itself.
    ///
    /// # Errors
    /// The disk does not answer.
    pub(crate) fn found(&self) -> Result<Found, LocalError> {
        let stat = rustix::fs::fstat(&self.dir);
        stat.map(|stat| Found::of(&stat))
            .map_err(|error| LocalError::io("look at", &self.path, error))
    }

    /// A directory below this one.
    ///
    /// # Errors
    /// It is not there, or a link or a file is in the way.
    pub(crate) fn enter(&self, below: &RelativePath) -> Result<Self, LocalError> {
        let mut at = self.clone();
        for name in below.names() {
            let dir = at.step(name).map_err(|error| at.not_entered(name, error))?;
            at.go(name, dir);
        }
        Ok(at)
    }

    /// A directory below this one; whatever is missing of it is made, with these
    /// permission bits and those that its owner needs to fill it, as far as the
    /// umask leaves them.
    ///
    /// # Errors
    /// It cannot be made, or a link or a file is in the way.
    pub(crate) fn make_dir(&self, below: &RelativePath, mode: u32) -> Result<Self, LocalError> {
        let mode = Mode::from_raw_mode((mode & 0o777 | 0o700) as RawMode);
        let mut at = self.clone();
        for name in below.names() {
            let mut dir = at.step(name);
            if let Err(Errno::NOENT) = dir {
                match mkdirat(&at.dir, name, mode) {
                    Ok(()) | Err(Errno::EXIST) => dir = at.step(name),
                    Err(error) => {
                        let path = at.path.join(name);
                        return Err(LocalError::io("make the directory", &path, error));
                    }
                }
            }
            let dir = dir.map_err(|error| at.not_entered(name, error))?;
            at.go(name, dir);
        }
        Ok(at)
    }

    /// Gives the directory exactly these permission bits, and this time.
    ///
    /// # Errors
    /// The system refuses, as it does to all but the owner.
    pub(crate) fn set(
        &self,
        mode: Option<u32>,
        mtime: Option<SystemTime>,
    ) -> Result<(), LocalError> {
        set(&self.dir, &self.path, mode, mtime)
    }

    /// What is in this directory under a name; `None` if nothing is.
    ///
    /// # Errors
    /// The directory must not be searched, or the disk does not answer.
    pub(crate) fn look(&self, name: &OsStr) -> Result<Option<Found>, LocalError> {
        match statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Found::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(LocalError::io("look at", &self.path.join(name), error)),
        }
    }

    /// As [`look`](Self::look), with all that the system says; `None` also if
    /// it says nothing.
    pub(crate) fn stat(&self, name: &OsStr) -> Option<Stat> {
        statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// The names in this directory, in order; `None` once there are more than
    /// `most`.
    ///
    /// # Errors
    /// It must not be read.
    pub(crate) fn names(&self, most: usize) -> Result<Option<Vec<Vec<u8>>>, LocalError> {
        let io = |error| LocalError::io("read the directory", &self.path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.dir).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                return Ok(None);
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// Opens a regular file of this directory; never waits for the other end of
    /// a pipe.
    ///
    /// # Errors
    /// It is not there, not a regular file, or must not be opened.
    pub(crate) fn open_file(&self, name: &OsStr, access: OFlags) -> Result<File, LocalError> {
        let path = self.path.join(name);
        // Opening is enough to make some devices do something.
        self.look(name)?.map_or(Ok(()), |found| found.must_be_regular(&path))?;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, access | flags, Mode::empty());
        let file = File::from(file.map_err(|error| LocalError::io("open", &path, error))?);
        let stat = rustix::fs::fstat(&file);
        let stat = stat.map_err(|error| LocalError::io("look at", &path, error))?;
        Found::of(&stat).must_be_regular(&path)?;
        Ok(file)
    }

    /// Makes a file of this name, which must not exist yet.
    pub(super) fn create(&self, name: &OsStr, mode: u32) -> Result<File, LocalError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode((mode & 0o777) as RawMode);
        let made = openat(&self.dir, name, flags, mode);
        made.map(File::from).map_err(|error| LocalError::io("create", &self.path.join(name), error))
    }

    /// Renames within this directory, in place of what is there.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), LocalError> {
        renameat(&self.dir, from, &self.dir, to).map_err(|error| match error {
            Errno::ISDIR => LocalError::Directory(self.path.join(to)),
            _ => LocalError::io("put in place", &self.path.join(to), error),
        })
    }

    /// Makes what happened in this directory durable.
    pub(super) fn sync(&self) -> Result<(), LocalError> {
        match rustix::fs::fsync(&self.dir) {
            // Some file systems know no such thing for a directory.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(LocalError::io("write to the disk", &self.path, error)),
        }
    }

    /// Removes a file of this directory, if it can.
    pub(super) fn remove(&self, name: &OsStr) {
        let _ = unlinkat(&self.dir, name, AtFlags::empty());
    }

    fn step(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.dir, name, flags, Mode::empty()).map(File::from)
    }

    fn go(&mut self, name: &OsStr, dir: File) {
        self.dir = Arc::new(dir);
        self.path.push(name);
    }

    fn not_entered(&self, name: &OsStr, error: Errno) -> LocalError {
        let path = self.path.join(name);
        match (error, self.look(name)) {
            (Errno::NOTDIR | Errno::LOOP, Ok(Some(found))) if found.kind == FileType::Symlink => {
                LocalError::Symlink(path)
            }
            (Errno::NOTDIR, _) => LocalError::NotDirectory(path),
            _ => LocalError::io("open", &path, error),
        }
    }
}

/// Gives an open file exactly these permission bits, and this time.
pub(super) fn set(
    file: &File,
    path: &Path,
    mode: Option<u32>,
    mtime: Option<SystemTime>,
) -> Result<(), LocalError> {
    if let Some(mode) = mode {
        let set = file.set_permissions(Permissions::from_mode(mode & 0o7777));
        set.map_err(|error| LocalError::io("set the mode of", path, error))?;
    }
    if let Some(mtime) = mtime {
        let set = file.set_times(FileTimes::new().set_modified(mtime));
        set.map_err(|error| LocalError::io("set the time of", path, error))?;
    }
    Ok(())
}
