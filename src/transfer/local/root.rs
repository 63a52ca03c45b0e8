//! A directory, and what is below it without following a link.

use std::ffi::{CStr, OsStr};
use std::fs::{File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::fs::{mkdirat, openat, readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::super::part_name::part_name;
use super::{LocalError, RelativePath};

/// An open directory. Whatever happens to its path, this stays the same one.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    dir: Arc<File>,
    path: PathBuf,
}

/// What there is under a name; a link is not followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// What kind of file it is.
    pub(crate) kind: FileType,
    /// Its permission bits, without setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was modified.
    pub(crate) mtime: SystemTime,
    /// Its owner and its group.
    pub(crate) owner: (u32, u32),
}

/// What became of a symbolic link that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is there.
    Made,
    /// It would lead out of the directory: nothing was made.
    Unsafe,
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
        below.names().try_fold(self.clone(), |dir, name| {
            dir.step(name).map_err(|error| dir.not_entered(name, error))
        })
    }

    /// A directory below this one; whatever is missing of it is made, with these
    /// permission bits as far as the umask leaves them, and always those that
    /// its owner needs to fill it.
    ///
    /// # Errors
    /// It cannot be made, or a link or a file is in the way.
    pub(crate) fn make_dir(&self, below: &RelativePath, mode: u32) -> Result<Self, LocalError> {
        let mode = Mode::from_raw_mode((mode & 0o777 | 0o700) as RawMode);
        below.names().try_fold(self.clone(), |dir, name| {
            let mut entered = dir.step(name);
            if let Err(Errno::NOENT) = entered {
                match mkdirat(&dir.dir, name, mode) {
                    Ok(()) | Err(Errno::EXIST) => entered = dir.step(name),
                    Err(error) => {
                        let path = dir.path.join(name);
                        return Err(LocalError::io("make the directory", &path, error));
                    }
                }
            }
            entered.map_err(|error| dir.not_entered(name, error))
        })
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

    /// Renames within this directory, and makes that durable.
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

    /// What a symbolic link of this directory says.
    ///
    /// # Errors
    /// It is not there, or not a link.
    pub(crate) fn read_link(&self, name: &OsStr) -> Result<Vec<u8>, LocalError> {
        let target = readlinkat(&self.dir, name, Vec::new());
        let io = |error| LocalError::io("read the link", &self.path.join(name), error);
        target.map(|target| CStr::to_bytes(&target).to_vec()).map_err(io)
    }

    /// Makes a symbolic link at `below`, in place of a link or a file there, if
    /// it stays within this directory.
    ///
    /// # Errors
    /// The directory for it is not there, or one is in its place.
    pub(crate) fn link(&self, below: &RelativePath, target: &[u8]) -> Result<Link, LocalError> {
        let Some((above, name)) = below.split_last() else {
            return Err(LocalError::Directory(self.path.clone()));
        };
        if !stays_within(above.names().count(), target) {
            return Ok(Link::Unsafe);
        }
        let dir = self.enter(&above)?;
        let io = |error| LocalError::io("make the link", &dir.path.join(name), error);
        let making = part_name(name.as_bytes()).map_err(io)?;
        let making = OsStr::from_bytes(&making);
        symlinkat(target, &dir.dir, making).map_err(|error| io(error.into()))?;
        let renamed = dir.rename(making, name);
        if renamed.is_err() {
            dir.remove(making);
        }
        renamed.map(|()| Link::Made)
    }

    fn step(&self, name: &OsStr) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(&self.dir, name, flags, Mode::empty())?;
        Ok(Self { dir: Arc::new(dir.into()), path: self.path.join(name) })
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

impl Found {
    // These numbers have other widths on other systems.
    #[allow(clippy::unnecessary_cast)]
    fn of(stat: &Stat) -> Self {
        let seconds = stat.st_mtime as i64;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let mtime = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
        let nanoseconds = Duration::from_nanos(stat.st_mtime_nsec as u64);
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode as u32 & 0o777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: mtime.and_then(|time| time.checked_add(nanoseconds)).unwrap_or(epoch),
            owner: (stat.st_uid, stat.st_gid),
        }
    }

    /// Refuses everything but a regular file.
    pub(crate) fn must_be_regular(&self, path: &Path) -> Result<(), LocalError> {
        match self.kind {
            FileType::RegularFile => Ok(()),
            FileType::Directory => Err(LocalError::Directory(path.into())),
            FileType::Symlink => Err(LocalError::Symlink(path.into())),
            _ => Err(LocalError::NotRegular(path.into())),
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

/// Whether a link in a directory so far below the root stays within the root.
/// `..` counts only in front: after a name it would go up from wherever that
/// name, which may be a link itself, leads.
fn stays_within(depth: usize, target: &[u8]) -> bool {
    let mut names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let up = names.clone().take_while(|name| *name == b"..").count();
    let rest_goes_down = names.by_ref().skip(up).all(|name| name != b"..");
    !target.is_empty()
        && !target.starts_with(b"/")
        && !target.contains(&0)
        && up <= depth
        && rest_goes_down
}
