//! Output that memory should not hold, in one file without a name.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::pen::Place;

/// What all streams of a run keep in memory together, when there is a disk for
/// the rest: a run is then as wide as it likes.
const MEMORY_MAX: usize = 32 << 20;

/// The same without a disk, where what is beyond is lost.
const MEMORY_ONLY_MAX: usize = 64 << 20;

/// After how many bytes it is looked again how much the disk has left.
const LOOK_AGAIN: u64 = 16 << 20;

/// What is left free on the disk, though never more than a twentieth of it: the
/// audit log and the remembered runs may stand on the same one.
const LEFT_FREE: u64 = 1 << 30;

/// Where the streams of one run are kept: in memory, as long as all of them
/// together stay below a bound, and else on the disk.
///
/// There is one file for all of them, made when it is first needed, 0600 and
/// without a name, so that nothing is left of it however the process ends, and
/// a wide run takes one file handle. Its space is free again when the last
/// stream is dropped. It takes what the disk has, but leaves a twentieth of it
/// free (at most 1 GiB).
#[derive(Clone, Debug)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: Option<PathBuf>,
    /// Bytes in memory.
    memory: AtomicUsize,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

/// In memory only: 64 MiB for all streams together.
impl Default for Spool {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Spool {
    /// A spool in this directory, which is made when it is first needed; without
    /// one in memory only.
    pub fn new(dir: Option<PathBuf>) -> Self {
        let memory = AtomicUsize::new(0);
        Self(Arc::new(Shared { dir, memory, file: Mutex::default(), end: AtomicU64::new(0) }))
    }

    /// Whether there is a place on the disk.
    pub(super) fn has_disk(&self) -> bool {
        self.0.dir.is_some()
    }

    /// No memory yet.
    pub(super) fn lease(&self) -> Lease {
        Lease { spool: Some(self.clone()), bytes: 0 }
    }

    /// The file, which is made if there is none.
    fn file(&self) -> io::Result<Arc<File>> {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let dir = self.0.dir.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let made = make(dir).map_err(|error| {
            let text = format!("{} cannot be used: {error}", dir.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(Arc::clone(file.insert(Arc::new(made))))
    }
}

fn make(dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    tempfile::tempfile_in(dir)
}

impl Place for Spool {
    type Done = Extent;

    fn write(&self, bytes: &[u8]) -> io::Result<Extent> {
        let file = self.file()?;
        let len = bytes.len() as u64;
        let offset = self.0.end.fetch_add(len, Ordering::Relaxed);
        if offset == 0 || offset / LOOK_AGAIN != (offset + len) / LOOK_AGAIN {
            check_free(&file, len)?;
        }
        file.write_all_at(bytes, offset)?;
        Ok(Extent { file, offset, len })
    }
}

/// Fails when the disk has not enough left for others.
fn check_free(file: &File, more: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let left_free = LEFT_FREE.min(bytes(disk.f_blocks) / 20);
    if bytes(disk.f_bavail) < left_free.saturating_add(more) {
        let text = "the disk of the state directory is all but full";
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    Ok(())
}

/// Some memory of a spool, given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Lease {
    spool: Option<Spool>,
    bytes: usize,
}

impl Lease {
    /// Takes so much more, if there is so much.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Some(spool) = &self.spool else { return false };
        let max = if spool.has_disk() { MEMORY_MAX } else { MEMORY_ONLY_MAX };
        let within = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= max);
        let granted = spool.0.memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within);
        self.bytes += if granted.is_ok() { bytes } else { 0 };
        granted.is_ok()
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        if let Some(spool) = &self.spool {
            spool.0.memory.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}

/// Bytes that lie together in the file.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

/// A stream in the file: where its parts begin in it, and where they lie.
#[derive(Debug, Default)]
pub(super) struct Extents(Vec<(u64, Extent)>);

impl Extents {
    pub(super) fn new(parts: Vec<Extent>) -> Self {
        let mut extents = Self::default();
        for part in parts {
            extents.push(part);
        }
        extents
    }

    fn push(&mut self, part: Extent) {
        match self.0.last_mut() {
            Some((_, last)) if last.offset + last.len == part.offset => last.len += part.len,
            _ => self.0.push((self.len(), part)),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.0.last().map_or(0, |(start, last)| start + last.len)
    }

    pub(super) fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let index = self.0.partition_point(|(start, _)| *start <= at);
        let found = index.checked_sub(1).and_then(|index| self.0.get(index));
        let Some((start, extent)) = found.filter(|(start, extent)| at < start + extent.len) else {
            return Ok(0);
        };
        let inside = at - start;
        let left = usize::try_from(extent.len - inside).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        extent.file.read_at(&mut buffer[..count], extent.offset + inside)
    }
}
