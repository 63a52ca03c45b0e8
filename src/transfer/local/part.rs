//! A file in the making, beside its target.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use rustix::process::geteuid;
use tokio::sync::mpsc;

use super::super::ledger::Open;
use super::super::mode::Permissions;
use super::super::part_name::{is_part_of, part_name};
use super::root::set;
use super::{LocalError, Target};

/// Nobody else may read what is not proven yet.
const MODE: u32 = 0o600;

/// A file in the making. Dropped before it is finished, it is removed; its
/// note is closed with it.
///
/// Its methods block on the disk; [`super::Sink`] does that elsewhere.
#[derive(Debug)]
pub(crate) struct Part {
    target: Target,
    name: OsString,
    file: File,
    mode: u32,
    length: u64,
    note: Option<Open>,
    remove: bool,
    held: Option<mpsc::Sender<()>>,
}

impl Part {
    /// An empty file that is to become `target`. `note` is told its path before
    /// it is there.
    ///
    /// # Errors
    /// It cannot be created, or not be noted.
    pub(crate) fn create(
        target: Target,
        permissions: Permissions,
        note: impl FnOnce(&Path) -> io::Result<Option<Open>>,
    ) -> Result<Self, LocalError> {
        let naming = |error| LocalError::io("name a file beside", &target.path(), error);
        let name = part_name(target.name.as_bytes()).map_err(naming)?;
        let name = OsStr::from_bytes(&name).to_owned();
        let note = note(&target.dir.path().join(&name)).map_err(naming)?;
        let (mode, by_system) = match (permissions, &target.existing) {
            (Permissions::Exactly(mode), _) => (mode, false),
            (Permissions::Usual(_), Some(existing)) => (existing.mode, false),
            (Permissions::Usual(mode), None) => (mode, true),
        };
        // The system itself says what the umask (or the directory's own rule)
        // leaves of a new file's bits; nothing is in the file yet.
        let file = match target.dir.create(&name, if by_system { mode } else { MODE }) {
            Ok(file) => file,
            Err(error) => {
                settle(note);
                return Err(error);
            }
        };
        let held = None;
        let mut part = Self { target, name, file, mode, length: 0, note, remove: true, held };
        if by_system {
            let made = part.file.metadata();
            part.mode = made.map_err(|error| part.error("look at", error))?.mode() & 0o777;
        }
        set(&part.file, &part.path(), Some(MODE), None)?;
        // Where the file system knows no locks, only `take_over` is less careful.
        let _ = part.file.try_lock();
        Ok(part)
    }

    /// The file that an earlier transfer left for `target` under this name. It
    /// is to be trusted no further than its content is proven.
    ///
    /// # Errors
    /// It is not there, not ours, or another process is at it.
    pub(crate) fn take_over(
        target: Target,
        name: &[u8],
        permissions: Permissions,
        note: Option<Open>,
    ) -> Result<Self, LocalError> {
        let path = target.dir.path().join(OsStr::from_bytes(name));
        let not_ours = |why| LocalError::NotOurs { path: path.clone(), why };
        if !is_part_of(name, target.name.as_bytes()) {
            return Err(not_ours("it is not the beginning of this file"));
        }
        let name = OsStr::from_bytes(name).to_owned();
        let file = target.dir.open_file(&name, OFlags::RDWR)?;
        let found = file.metadata().map_err(|error| LocalError::io("look at", &path, error))?;
        if found.uid() != geteuid().as_raw() {
            return Err(not_ours("it belongs to somebody else"));
        }
        if found.nlink() != 1 {
            return Err(not_ours("it has another name too"));
        }
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(not_ours("another transfer is writing it"));
        }
        // Only a file of the wanted name and place shows which mode it gets.
        let mode = Self::create(target.clone(), permissions, |_| Ok(None))?.mode;
        set(&file, &path, Some(MODE), None)?;
        let length = found.len();
        Ok(Self { target, name, file, mode, length, note, remove: true, held: None })
    }

    /// Its own path, beside the target's.
    pub(crate) fn path(&self) -> PathBuf {
        self.target.dir.path().join(&self.name)
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Another handle on it, for reading what is there.
    ///
    /// # Errors
    /// There are too many open files.
    pub(crate) fn reader(&self) -> Result<File, LocalError> {
        self.file.try_clone().map_err(|error| self.error("open", error))
    }

    /// Appends.
    ///
    /// # Errors
    /// The disk is full, and the like; it may hold a part of the bytes then.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), LocalError> {
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|error| self.error("write", error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Puts it in the target's place in one step, durably.
    ///
    /// # Errors
    /// The target is as it was, unless the last step of all failed: making the
    /// new name durable.
    pub(crate) fn finish(mut self, mtime: Option<SystemTime>) -> Result<(), LocalError> {
        if let Some(existing) = &self.target.existing {
            // As far as we may: usually only root can give a file away.
            let (user, group) = existing.owner;
            let _ = fchown(&self.file, None, Some(group));
            let _ = fchown(&self.file, Some(user), None);
        }
        set(&self.file, &self.path(), Some(self.mode), mtime)?;
        self.file.sync_all().map_err(|error| self.error("write to the disk", error))?;
        self.target.dir.rename(&self.name, &self.target.name)?;
        self.remove = false;
        settle(self.note.take());
        self.target.dir.sync()
    }

    /// Keeps a sender until it is in place, left or removed, wherever that is
    /// done.
    pub(crate) fn hold(&mut self, held: mpsc::Sender<()>) {
        self.held = Some(held);
    }

    /// Leaves it for a later transfer to take over, should it not be finished.
    pub(crate) fn keep(&mut self) {
        self.remove = false;
    }

    /// Removes it.
    pub(crate) fn discard(mut self) {
        self.remove = true;
    }

    fn error(&self, doing: &'static str, error: std::io::Error) -> LocalError {
        LocalError::io(doing, &self.target.path(), error)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.remove {
            self.target.dir.remove(&self.name);
            settle(self.note.take());
        }
    }
}

/// Nothing is left that the note could lead to.
fn settle(note: Option<Open>) {
    if let Some(note) = note {
        note.close();
    }
}
