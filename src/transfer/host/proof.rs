//! What the files of a host have in them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::digest::{self, Digest, DigestError, Wanted, Why};
use super::super::trouble::Trouble;
use super::super::{follow, tools};
use super::Host;
use crate::exec::ShellError;
use crate::hex::hex;
use crate::outcome::VerifiedBy;
use crate::sftp::{File, Open as How, SftpError};

/// From how many bytes on a file is hashed while it is written.
const FOLLOWED_MIN: u64 = 32 << 20;

/// From how many bytes on it pays to find out which tool is the fastest.
const LARGE: u64 = 64 << 20;

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
            let most = self.patience(bytes);
            let favourite = self.favourite(bytes).await;
            let shell = self.shell();
            let computing = timeout(most, digest::digests_by(&shell, favourite, wanted));
            match computing.await.map_err(|_| Trouble::too_slow(most))? {
                Ok(found) => return self.complete(found, wanted, bytes).await,
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
            match self.read_back(wanted, bytes).await {
                Err(trouble) if trouble.fatal => return Err(trouble),
                other => found.push(other),
            }
        }
        Ok(found)
    }

    /// The digest of a file that is being written; `None` if it has to be had by
    /// other means. `written` ends when all of the file is on the host.
    pub(in crate::transfer) async fn followed(
        &self,
        path: &[u8],
        size: u64,
        told: follow::Told,
        written: &CancellationToken,
    ) -> Option<Digest> {
        let favourite = self.favourite(size).await;
        let shell = self.shell();
        let too_late = async {
            written.cancelled().await;
            sleep(self.patience(size)).await;
        };
        let found = tokio::select! {
            found = follow::follow(&shell, favourite, path, told) => found,
            () = too_late => return None,
        };
        match found {
            Ok(found) => found.ok(),
            Err(error) => {
                tracing::debug!(vm = %self.context.vm, %error, "it is not hashed while it is written");
                None
            }
        }
    }

    /// Whether the digest of a file of this size is worth computing while it is
    /// written.
    pub(in crate::transfer) fn is_followed(&self, size: u64) -> bool {
        size >= FOLLOWED_MIN && !self.staged && !self.toolless.initialized()
    }

    /// How long the host may take to compute digests of so many bytes.
    fn patience(&self, bytes: u64) -> Duration {
        self.transfer.stall.saturating_add(Duration::from_secs(bytes / HASHED_PER_SECOND))
    }

    /// The tool to be tried first for so many bytes.
    async fn favourite(&self, bytes: u64) -> Option<VerifiedBy> {
        if bytes < LARGE {
            return self.favourite.get().copied().flatten();
        }
        let found = self.favourite.get_or_init(|| async {
            let (ledger, login) = (self.context.ledger.clone(), self.context.login.to_owned());
            let known = {
                let (ledger, login) = (ledger.clone(), login.clone());
                spawn_blocking(move || ledger.fastest_tool(&login)).await.ok().flatten()
            };
            if known.is_some() {
                return known;
            }
            let found = tools::fastest(&self.shell(), self.transfer.stall).await?;
            let _ = spawn_blocking(move || ledger.remember_tool(&login, found)).await;
            Some(found)
        });
        *found.await
    }

    /// Reads back what the shell there cannot hash: it may see other files than
    /// SFTP does.
    async fn complete(
        &self,
        found: Vec<Result<Digest, Why>>,
        wanted: &[Wanted<'_>],
        bytes: u64,
    ) -> Result<Vec<Result<Digest, Trouble>>, Trouble> {
        let mut complete = Vec::with_capacity(found.len());
        for (found, wanted) in found.into_iter().zip(wanted) {
            complete.push(match found {
                Ok(digest) => Ok(digest),
                Err(_) if self.staged => found.map_err(|why| Trouble::digest(why, wanted.path)),
                Err(why) => match self.read_back(wanted, bytes).await {
                    Err(trouble) if trouble.fatal => return Err(trouble),
                    Err(_) => Err(Trouble::digest(why, wanted.path)),
                    digest => digest,
                },
            });
        }
        Ok(complete)
    }

    /// Reads a file of no more than `most` bytes: of a longer one, which is none
    /// that was meant, one byte more, so that it has another digest.
    async fn read_back(&self, wanted: &Wanted<'_>, most: u64) -> Result<Digest, Trouble> {
        let failed = |error| Trouble::sftp(error, "read back", wanted.path);
        let file = self.sftp.open(wanted.path, How::Read).await.map_err(failed)?;
        let size = file.attributes().await.map_err(failed)?.size.unwrap_or(0);
        let size = wanted.first.map_or(size, |first| first.min(size));
        let size = size.min(most.saturating_add(1));
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
        Ok(Digest { sha256: hex(hash.finalize()), by: VerifiedBy::Readback })
    }

    /// The bytes of a file in order, several reads ahead; fewer if it ends
    /// early.
    pub(in crate::transfer) fn chunks<'s>(
        &'s self,
        file: &'s File,
        range: std::ops::Range<u64>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, SftpError>> + Unpin + 's {
        let most = self.sftp.read_max();
        let packet = self.packet(most);
        let step = packet as u64;
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
        Box::pin(futures_util::stream::iter(reads).buffered(self.shelf().in_flight(packet)))
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
