//! What the files of a host have in them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::super::digest::{self, Digest, DigestError, Wanted, Why};
use super::super::trouble::Trouble;
use super::{Host, IN_FLIGHT, hex};
use crate::exec::ShellError;
use crate::outcome::VerifiedBy;
use crate::sftp::{File, Open as How, SftpError};

/// The slowest that a host may compute SHA-256, in bytes.
const HASHED_PER_SECOND: u64 = 1 << 20;

impl Host<'_> {
    /// The digests of files as they are on the host, by the best means it has;
    /// what cannot be hashed there is read back. Together they have so many
    /// bytes.
    pub(in crate::transfer) async fn digests(
        &self,
        wanted: &[Wanted<'_>],
        bytes: u64,
    ) -> Result<Vec<Result<Digest, Trouble>>, Trouble> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if !self.toolless.initialized() {
            // What computes says nothing until it is done.
            let computing = Duration::from_secs(bytes / HASHED_PER_SECOND);
            let most = self.transfer.stall.saturating_add(computing);
            let shell = self.shell();
            let computing = timeout(most, digest::digests(&shell, wanted));
            match computing.await.map_err(|_| Trouble::too_slow(most))? {
                Ok(found) => return self.complete(found, wanted).await,
                Err(DigestError::Shell(error))
                    if !matches!(error, ShellError::Unavailable { .. }) =>
                {
                    return Err(Trouble::shell(error));
                }
                Err(error) => {
                    tracing::debug!(vm = %self.context.vm, %error, "files are read back");
                    let _ = self.toolless.set(());
                }
            }
        }
        let mut found = Vec::new();
        for wanted in wanted {
            match self.read_back(wanted).await {
                Err(trouble) if trouble.fatal => return Err(trouble),
                other => found.push(other),
            }
        }
        Ok(found)
    }

    /// Reads back what the shell there cannot hash: it may see other files than
    /// SFTP does.
    async fn complete(
        &self,
        found: Vec<Result<Digest, Why>>,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Result<Digest, Trouble>>, Trouble> {
        let mut complete = Vec::with_capacity(found.len());
        for (found, wanted) in found.into_iter().zip(wanted) {
            complete.push(match found {
                Ok(digest) => Ok(digest),
                Err(_) if self.staged => found.map_err(|why| Trouble::digest(why, wanted.path)),
                Err(why) => match self.read_back(wanted).await {
                    Err(trouble) if trouble.fatal => return Err(trouble),
                    Err(_) => Err(Trouble::digest(why, wanted.path)),
                    digest => digest,
                },
            });
        }
        Ok(complete)
    }

    async fn read_back(&self, wanted: &Wanted<'_>) -> Result<Digest, Trouble> {
        let failed = |error| Trouble::sftp(error, "read back", wanted.path);
        let file = self.sftp.open(wanted.path, How::Read).await.map_err(failed)?;
        let size = file.attributes().await.map_err(failed)?.size.unwrap_or(0);
        let size = wanted.first.map_or(size, |first| first.min(size));
        let mut hash = Sha256::new();
        let mut chunks = self.chunks(&file, 0..size);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            if chunk.is_empty() {
                // A size that is not so would have us ask for ever.
                break;
            }
            hash.update(chunk);
        }
        Ok(Digest { sha256: hex(&hash.finalize()), by: VerifiedBy::Readback })
    }

    /// The bytes of a file in order, several reads ahead; fewer if it ends
    /// early.
    pub(in crate::transfer) fn chunks<'s>(
        &'s self,
        file: &'s File,
        range: std::ops::Range<u64>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, SftpError>> + Unpin + 's {
        let most = self.sftp.read_max();
        let step = self.pace.as_ref().map_or(most, |pace| pace.packet(most)) as u64;
        let mut next = range.start;
        let offsets = std::iter::from_fn(move || {
            (next < range.end).then(|| {
                let length = step.min(range.end - next);
                let offset = next;
                next += length;
                (offset, length as usize)
            })
        });
        let reads = offsets.map(move |(offset, length)| async move {
            // What was asked for cannot be held up any more.
            if let Some(pace) = &self.pace {
                pace.take(length).await;
            }
            whole(file, offset, length).await
        });
        Box::pin(futures_util::stream::iter(reads).buffered(IN_FLIGHT))
    }
}

/// One stretch of a file; less only at its end.
async fn whole(file: &File, offset: u64, length: usize) -> Result<Bytes, SftpError> {
    let first = file.read_at(offset, length).await?;
    if first.len() == length || first.is_empty() {
        return Ok(first);
    }
    // Servers may give less than was asked for.
    let mut all = Vec::with_capacity(length);
    all.extend_from_slice(&first);
    while all.len() < length {
        let more = file.read_at(offset + all.len() as u64, length - all.len()).await?;
        if more.is_empty() {
            break;
        }
        all.extend_from_slice(&more);
    }
    Ok(all.into())
}
