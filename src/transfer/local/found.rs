//! What there is under a name.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Stat};

use super::LocalError;

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

impl Found {
    // These numbers have other widths on other systems.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn of(stat: &Stat) -> Self {
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
