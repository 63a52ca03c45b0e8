//! Reading a file in chunks, one batch ahead of whoever sends them.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{BATCH, Prefix, Source, read_at, stopped};
use crate::transfer::local::LocalError;

/// Chunks of a file in order, each read ahead and hashed on the blocking pool.
pub(crate) struct Reader {
    source: Source,
    chunk: usize,
    end: u64,
    ready: Bytes,
    ahead: Option<JoinHandle<Result<Batch, LocalError>>>,
    hash: Sha256,
}

struct Batch {
    bytes: Bytes,
    hash: Sha256,
    next: u64,
}

impl Reader {
    pub(super) fn new(source: Source, prefix: Prefix, chunk: usize) -> Self {
        let mut reader = Self {
            chunk: chunk.max(1),
            end: source.size(),
            source,
            ready: Bytes::new(),
            ahead: None,
            hash: prefix.hash,
        };
        reader.read_ahead(prefix.bytes);
        reader
    }

    /// The next chunk; `None` when all were read and the file is proven to be
    /// what it was.
    ///
    /// # Errors
    /// The file cannot be read, or has changed; nothing comes after that.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, LocalError> {
        while self.ready.is_empty() {
            let Some(ahead) = &mut self.ahead else { return Ok(None) };
            let batch = ahead.await;
            self.ahead = None;
            let batch = batch.map_err(|error| self.source.error("read", stopped(error)))??;
            self.hash = batch.hash;
            self.ready = batch.bytes;
            if !self.ready.is_empty() {
                self.read_ahead(batch.next);
            }
        }
        Ok(Some(self.ready.split_to(self.chunk.min(self.ready.len()))))
    }

    /// Has hashed all that was read, once there is nothing left to read.
    pub(crate) fn hash(&self) -> &Sha256 {
        &self.hash
    }

    fn read_ahead(&mut self, from: u64) {
        let (source, end, mut hash) = (self.source.clone(), self.end, self.hash.clone());
        let batch = BATCH.max(self.chunk);
        self.ahead = Some(spawn_blocking(move || {
            let wanted = usize::try_from(end.saturating_sub(from)).unwrap_or(batch).min(batch);
            let bytes = read_at(&source.file, from, wanted);
            let bytes = bytes.map_err(|error| source.error("read", error))?;
            if bytes.len() < wanted {
                return Err(LocalError::Changed(source.path));
            }
            if bytes.is_empty() {
                source.unchanged()?;
            }
            hash.update(&bytes);
            let next = from + bytes.len() as u64;
            Ok(Batch { bytes: bytes.into(), hash, next })
        }));
    }
}
