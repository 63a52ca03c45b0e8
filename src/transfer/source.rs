//! Reading files of this machine, and proving that they stay the same while
//! they are read.

mod reader;
mod shelf;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, Stat, openat};
use rustix::io::{Errno, pread};
use sha2::{Digest, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

pub(crate) use reader::Reader;
pub(crate) use shelf::{Sending, Shelf, Volume};

use super::local::{LocalError, Root};

/// How much is hashed at once where nothing is sent.
const BATCH: usize = 256 << 10;

/// How much is read and hashed at once where it is sent; twice as much is in
/// memory at most. Four times what OpenSSH's servers take in one packet, so that
/// no packet is cut short.
const BLOCK: usize = 4 * 255 * 1024;

/// A regular file that is open for reading.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Arc<File>,
    place: Place,
    path: PathBuf,
    identity: Identity,
    mode: u32,
}

/// How the file was found, to find it again.
#[derive(Clone, Debug)]
enum Place {
    Named,
    Within(Root, OsString),
}

/// What cannot stay as it is if another file, or other content, takes its
/// place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
}

/// The hash of the beginning of a file.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// Can go on with what follows.
    pub(crate) hash: Sha256,
    /// How many bytes it has hashed.
    pub(crate) bytes: u64,
}

impl Source {
    /// A file that the operator named; a symbolic link is followed. A pipe is
    /// refused and not waited for.
    ///
    /// # Errors
    /// It is not there, not a regular file, or must not be read.
    pub(crate) fn named(path: &Path) -> Result<Self, LocalError> {
        let io = |error| LocalError::io("open", path, error);
        // Opening is enough to make some devices do something.
        must_be_regular(path, &fs::metadata(path).map_err(io)?)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty());
        let file = file.map_err(|error| LocalError::io("open", path, error))?;
        Self::new(file.into(), Place::Named, path.into())
    }

    /// A file of a directory; a symbolic link in its place is refused.
    ///
    /// # Errors
    /// It is not there, not a regular file, or must not be read.
    pub(crate) fn within(dir: &Root, name: &OsStr) -> Result<Self, LocalError> {
        let file = dir.open_file(name, OFlags::RDONLY)?;
        Self::new(file, Place::Within(dir.clone(), name.into()), dir.path().join(name))
    }

    fn new(file: File, place: Place, path: PathBuf) -> Result<Self, LocalError> {
        let found = file.metadata().map_err(|error| LocalError::io("look at", &path, error))?;
        must_be_regular(&path, &found)?;
        let (identity, mode) = (Identity::of(&found), found.mode() & 0o777);
        Ok(Self { file: Arc::new(file), place, path, identity, mode })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// Its permission bits, without setuid, setgid and sticky.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// When it was modified.
    ///
    /// # Errors
    /// The disk does not answer.
    pub(crate) fn mtime(&self) -> Result<SystemTime, LocalError> {
        let found = self.file.metadata().and_then(|found| found.modified());
        found.map_err(|error| self.error("look at", error))
    }

    /// Refuses a file that is not what it was when it was opened, or that
    /// another file has taken the place of. Blocks on the disk.
    ///
    /// # Errors
    /// It changed, or is gone.
    pub(crate) fn unchanged(&self) -> Result<(), LocalError> {
        let open = self.file.metadata().map(|found| Identity::of(&found));
        let open = open.map_err(|error| self.error("look at", error))?;
        let there = match &self.place {
            Place::Named => fs::metadata(&self.path).map(|found| Identity::of(&found)).ok(),
            Place::Within(dir, name) => dir.stat(name).map(|found| Identity::of_stat(&found)),
        };
        if open == self.identity && there == Some(self.identity) {
            Ok(())
        } else {
            Err(LocalError::Changed(self.path.clone()))
        }
    }

    /// Reads on from where `prefix` ends, in chunks of up to `chunk` bytes, to
    /// what was the end when it was opened.
    pub(crate) fn read(&self, prefix: Prefix, chunk: usize) -> Reader {
        let from = prefix.bytes;
        Reader::new(self.clone(), Arc::new(Volume::of(prefix)), None, from, chunk)
    }

    /// Hashes the first `most` bytes, or all of them if there are fewer.
    ///
    /// # Errors
    /// The file cannot be read; or `cancel`.
    ///
    /// # Cancel safety
    /// Dropped, it stops soon.
    pub(crate) async fn hash(
        &self,
        most: u64,
        cancel: &CancellationToken,
    ) -> Result<Prefix, LocalError> {
        hash(Arc::clone(&self.file), self.path.clone(), most, cancel).await
    }

    /// Hashes all of it. Blocks on the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn hash_all(&self) -> Result<Prefix, LocalError> {
        hash_to(&self.file, &self.path, u64::MAX, &CancellationToken::new())
    }

    fn error(&self, doing: &'static str, error: io::Error) -> LocalError {
        LocalError::io(doing, &self.path, error)
    }
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
        }
    }

    // These numbers have other widths on other systems.
    #[allow(clippy::unnecessary_cast)]
    fn of_stat(found: &Stat) -> Self {
        Self {
            device: found.st_dev as u64,
            inode: found.st_ino as u64,
            size: found.st_size as u64,
            mtime: (found.st_mtime as i64, found.st_mtime_nsec as i64),
        }
    }
}

impl Prefix {
    /// Nothing yet.
    pub(crate) fn nothing() -> Self {
        Self { hash: Sha256::new(), bytes: 0 }
    }
}

/// Hashes the first `most` bytes of an open file, or all of them if there are
/// fewer; `path` is for the error.
///
/// # Errors
/// The file cannot be read; or `cancel`.
///
/// # Cancel safety
/// Dropped, it stops soon.
pub(crate) async fn hash(
    file: Arc<File>,
    path: PathBuf,
    most: u64,
    cancel: &CancellationToken,
) -> Result<Prefix, LocalError> {
    let cancel = cancel.child_token();
    let _stop = cancel.clone().drop_guard();
    let place = path.clone();
    let hashed = spawn_blocking(move || hash_to(&file, &path, most, &cancel));
    let stopped = |error| LocalError::io("read", &place, stopped(error));
    hashed.await.unwrap_or_else(|error| Err(stopped(error)))
}

fn hash_to(
    file: &File,
    path: &Path,
    most: u64,
    cancel: &CancellationToken,
) -> Result<Prefix, LocalError> {
    let mut prefix = Prefix::nothing();
    loop {
        if cancel.is_cancelled() {
            return Err(LocalError::Cancelled);
        }
        let wanted = usize::try_from(most - prefix.bytes).unwrap_or(BATCH).min(BATCH);
        let bytes = read_at(file, prefix.bytes, wanted)
            .map_err(|error| LocalError::io("read", path, error))?;
        prefix.hash.update(&bytes);
        prefix.bytes += bytes.len() as u64;
        if bytes.len() < BATCH {
            return Ok(prefix);
        }
    }
}

/// Reads `wanted` bytes, or what there is up to the end of the file.
fn read_at(file: &File, from: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let at = from + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The memory may be larger than what was asked for.
    bytes.truncate(wanted);
    Ok(bytes)
}

fn must_be_regular(path: &Path, found: &Metadata) -> Result<(), LocalError> {
    match found {
        found if found.is_file() => Ok(()),
        found if found.is_dir() => Err(LocalError::Directory(path.into())),
        _ => Err(LocalError::NotRegular(path.into())),
    }
}

/// The runtime ends, and with it what it had begun.
fn stopped(error: JoinError) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests;
