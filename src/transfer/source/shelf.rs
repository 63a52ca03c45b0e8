//! One read and one hash of a file for all who send it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Identity, Prefix, Reader, Source, read_at};
use crate::transfer::local::LocalError;

/// How much of files is kept for those who come later.
const KEPT_MAX: usize = 32 << 20;

/// Of how many files the digests are kept.
const VOLUMES_MAX: usize = 4096;

/// How much all hosts together have under way, beside what is kept.
const UNDER_WAY: usize = 48 << 20;

/// The files that the hosts of a run are sent, each read once while they keep
/// up with each other. A host that falls behind reads for itself: nobody waits
/// for anybody else.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// Whether anybody else may want what was read.
    shared: bool,
    senders: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    volumes: HashMap<Identity, Arc<Volume>>,
    /// What is kept, the oldest first.
    kept: VecDeque<(Arc<Volume>, u64, usize)>,
    bytes: usize,
}

/// A file as it is sent: its hash, and the blocks that are kept of it.
#[derive(Debug)]
pub(crate) struct Volume {
    hashed: Mutex<Prefix>,
    /// Whoever hashes all of it does so alone.
    whole: Semaphore,
    blocks: Mutex<HashMap<u64, Slot>>,
    #[cfg(test)]
    pub(super) reads: AtomicUsize,
}

type Slot = Arc<OnceCell<Bytes>>;

/// Says that one more host is being sent files.
pub(crate) struct Sending(Arc<Shelf>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.senders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shelf {
    /// An empty one, for so many hosts.
    pub(crate) fn new(hosts: usize) -> Arc<Self> {
        let (senders, state) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { shared: hosts > 1, senders, state })
    }

    /// One more host is being sent files.
    pub(crate) fn sending(self: &Arc<Self>) -> Sending {
        self.senders.fetch_add(1, Ordering::Relaxed);
        Sending(Arc::clone(self))
    }

    /// How many pieces of so many bytes one host may have under way.
    pub(crate) fn in_flight(&self, piece: usize) -> usize {
        let senders = self.senders.load(Ordering::Relaxed).max(1);
        (UNDER_WAY / senders / piece.max(1)).clamp(2, 16)
    }

    /// The volume of a file, the same for all who send it.
    pub(crate) fn volume(&self, source: &Source) -> Arc<Volume> {
        if !self.shared {
            return Arc::new(Volume::of(Prefix::nothing()));
        }
        let mut state = self.state();
        if let Some(volume) = state.volumes.get(&source.identity) {
            return Arc::clone(volume);
        }
        let volume = Arc::new(Volume::of(Prefix::nothing()));
        if state.volumes.len() < VOLUMES_MAX {
            state.volumes.insert(source.identity, Arc::clone(&volume));
        }
        volume
    }

    /// All of a small file. Blocks.
    pub(crate) fn whole(&self, source: &Source, volume: &Arc<Volume>) -> Result<Bytes, LocalError> {
        let length = usize::try_from(source.size()).unwrap_or(usize::MAX);
        let slot = self.slot(volume, 0, length);
        if let Some(bytes) = slot.as_ref().and_then(|slot| slot.get()) {
            return Ok(bytes.clone());
        }
        let bytes = volume.read(source, 0, length)?;
        if let Some(slot) = slot {
            // Somebody else may have read it meanwhile.
            let _ = slot.set(bytes.clone());
        }
        Ok(bytes)
    }

    /// Reads a volume from its beginning, in chunks of up to `chunk` bytes.
    pub(crate) fn read(
        self: &Arc<Self>,
        source: &Source,
        volume: &Arc<Volume>,
        chunk: usize,
    ) -> Reader {
        Reader::new(source.clone(), Arc::clone(volume), Some(Arc::clone(self)), 0, chunk)
    }

    /// Where a block is kept; `None` if it is not worth keeping.
    pub(super) fn slot(&self, volume: &Arc<Volume>, from: u64, length: usize) -> Option<Slot> {
        if !self.shared || length > KEPT_MAX {
            return None;
        }
        let mut state = self.state();
        if let Some(slot) = volume.blocks().get(&from) {
            return Some(Arc::clone(slot));
        }
        while state.bytes + length > KEPT_MAX {
            let (oldest, from, length) = state.kept.pop_front()?;
            oldest.blocks().remove(&from);
            state.bytes -= length;
        }
        let slot = Slot::default();
        volume.blocks().insert(from, Arc::clone(&slot));
        state.kept.push_back((Arc::clone(volume), from, length));
        state.bytes += length;
        Some(slot)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volume {
    /// A volume whose beginning is hashed.
    pub(super) fn of(prefix: Prefix) -> Self {
        Self {
            hashed: Mutex::new(prefix),
            whole: Semaphore::new(1),
            blocks: Mutex::default(),
            #[cfg(test)]
            reads: AtomicUsize::new(0),
        }
    }

    /// The hash of all that was read of it.
    pub(crate) fn hash(&self) -> Sha256 {
        self.hashed().hash.clone()
    }

    /// The hash of all of it, which is read unless it was already.
    ///
    /// # Errors
    /// The file cannot be read; or `cancel`.
    ///
    /// # Cancel safety
    /// Dropped, it stops soon.
    pub(crate) async fn hash_whole(
        &self,
        source: &Source,
        cancel: &CancellationToken,
    ) -> Result<Sha256, LocalError> {
        let _alone = self.whole.acquire().await;
        if self.hashed().bytes == source.size() {
            return Ok(self.hash());
        }
        let prefix = source.hash(u64::MAX, cancel).await?;
        let hash = prefix.hash.clone();
        *self.hashed() = prefix;
        Ok(hash)
    }

    /// Reads so many bytes, which must be there, and hashes them if they are
    /// the next ones. Blocks.
    pub(super) fn read(
        &self,
        source: &Source,
        from: u64,
        length: usize,
    ) -> Result<Bytes, LocalError> {
        #[cfg(test)]
        self.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = read_at(&source.file, from, length);
        let bytes = bytes.map_err(|error| source.error("read", error))?;
        if bytes.len() < length {
            return Err(LocalError::Changed(source.path.clone()));
        }
        let mut hashed = self.hashed();
        if hashed.bytes == from {
            hashed.hash.update(&bytes);
            hashed.bytes += length as u64;
        }
        Ok(bytes.into())
    }

    fn hashed(&self) -> MutexGuard<'_, Prefix> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocks(&self) -> MutexGuard<'_, HashMap<u64, Slot>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
