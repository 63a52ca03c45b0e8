//! Reading a file in chunks, one block ahead of whoever sends them.

use std::sync::Arc;

use bytes::Bytes;
use sha2::Sha256;
use tokio::task::{JoinHandle, spawn_blocking};

use super::shelf::{Shelf, Volume};
use super::{BLOCK, Source, stopped};
use crate::transfer::local::LocalError;

/// Chunks of a file in order, read ahead and hashed on the blocking pool, or
/// taken from the shelf.
pub(crate) struct Reader {
    source: Source,
    volume: Arc<Volume>,
    shelf: Option<Arc<Shelf>>,
    chunk: usize,
    end: u64,
    /// Where what is being read begins.
    next: u64,
    ready: Bytes,
    ahead: Option<Ahead>,
}

/// The block that comes next.
enum Ahead {
    Kept(Bytes),
    Reading(JoinHandle<Result<Bytes, LocalError>>),
}

impl Reader {
    pub(super) fn new(
        source: Source,
        volume: Arc<Volume>,
        shelf: Option<Arc<Shelf>>,
        from: u64,
        chunk: usize,
    ) -> Self {
        let end = source.size();
        let (ready, ahead) = (Bytes::new(), None);
        let mut reader =
            Self { source, volume, shelf, chunk: chunk.max(1), end, next: from, ready, ahead };
        reader.read_ahead(from);
        reader
    }

    /// The next chunk; `None` when all were read and the file is
    /// proven to be what it was.
    ///
    /// # Errors
    /// The file cannot be read, or has changed; nothing comes after that.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, LocalError> {
        while self.ready.is_empty() {
            let block = match &mut self.ahead {
                None => return Ok(None),
                Some(Ahead::Kept(bytes)) => Ok(std::mem::take(bytes)),
                Some(Ahead::Reading(reading)) => {
                    let read = reading.await;
                    read.unwrap_or_else(|error| Err(self.source.error("read", stopped(error))))
                }
            };
            self.ahead = None;
            self.ready = block?;
            if !self.ready.is_empty() {
                self.read_ahead(self.next + self.ready.len() as u64);
            }
        }
        Ok(Some(self.ready.split_to(self.chunk.min(self.ready.len()))))
    }

    /// Has hashed all that was read, once there is nothing left to read.
    pub(crate) fn hash(&self) -> Sha256 {
        self.volume.hash()
    }

    fn read_ahead(&mut self, from: u64) {
        self.next = from;
        let (source, volume) = (self.source.clone(), Arc::clone(&self.volume));
        let left = self.end.saturating_sub(from);
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        if length == 0 {
            let looking = move || source.unchanged().map(|()| Bytes::new());
            self.ahead = Some(Ahead::Reading(spawn_blocking(looking)));
            return;
        }
        let slot = self.shelf.as_ref().and_then(|shelf| shelf.slot(&volume, from, length));
        let read = move || volume.read(&source, from, length);
        let Some(slot) = slot else {
            self.ahead = Some(Ahead::Reading(spawn_blocking(read)));
            return;
        };
        self.ahead = Some(match slot.get() {
            Some(bytes) => Ahead::Kept(bytes.clone()),
            None => {
                let path = self.source.clone();
                Ahead::Reading(tokio::spawn(async move {
                    let reading = || async {
                        let read = spawn_blocking(read).await;
                        read.unwrap_or_else(|error| Err(path.error("read", stopped(error))))
                    };
                    slot.get_or_try_init(reading).await.cloned()
                }))
            }
        });
    }
}
