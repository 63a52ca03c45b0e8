//! Writing and hashing what arrives, away from the tasks that receive it.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{LocalError, Part};

/// Takes what arrives, in order, for a file in the making.
pub(crate) struct Sink {
    waiting: Vec<Bytes>,
    amount: usize,
    batch: usize,
    writing: JoinHandle<Result<Written, LocalError>>,
}

/// A file in the making, and the hash of all that is in it.
pub(crate) struct Written {
    /// The file.
    pub(crate) part: Part,
    /// Has hashed all of its bytes.
    pub(crate) hash: Sha256,
}

impl Sink {
    /// Goes on with a file in the making; `hash` knows what is in it already.
    /// Of `batch` bytes twice as much is in memory at most.
    pub(crate) fn new(part: Part, hash: Sha256, batch: usize) -> Self {
        let writing = spawn_blocking(move || Ok(Written { part, hash }));
        Self { waiting: Vec::new(), amount: 0, batch, writing }
    }

    /// Appends. Waits while the disk is slower than what arrives; an error may
    /// be of bytes that were taken earlier.
    ///
    /// # Errors
    /// The disk is full, and the like. The file is removed then.
    ///
    /// # Cancel safety
    /// The bytes are taken even if the future is dropped.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), LocalError> {
        self.amount += bytes.len();
        self.waiting.push(bytes);
        if self.amount < self.batch {
            return Ok(());
        }
        let written = settle(&mut self.writing).await?;
        self.amount = 0;
        self.writing = append(written, std::mem::take(&mut self.waiting));
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As for [`Sink::write`].
    ///
    /// # Cancel safety
    /// The file is removed if the future is dropped.
    pub(crate) async fn end(mut self) -> Result<Written, LocalError> {
        let written = settle(&mut self.writing).await?;
        settle(&mut append(written, self.waiting)).await
    }
}

fn append(mut written: Written, bytes: Vec<Bytes>) -> JoinHandle<Result<Written, LocalError>> {
    spawn_blocking(move || {
        for bytes in bytes {
            written.part.write(&bytes)?;
            written.hash.update(&bytes);
        }
        Ok(written)
    })
}

async fn settle(
    writing: &mut JoinHandle<Result<Written, LocalError>>,
) -> Result<Written, LocalError> {
    writing.await.unwrap_or(Err(LocalError::Cancelled))
}
