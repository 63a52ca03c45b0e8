//! One file on its way to a host.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, TryStreamExt};
use sha2::Digest as _;

use super::super::digest::{Digest, Wanted};
use super::super::host::{Host, IN_FLIGHT, hex};
use super::super::mode::Permissions;
use super::super::source::{Prefix, Reader, Source};
use super::super::target::{self, Target};
use super::super::trouble::{Trouble, shown};
use super::super::walk::{Entry, Kind};
use super::super::{blocking, path};
use super::staged::STAGED;
use super::{Failed, Upload};
use crate::outcome::{FileOutcome, Phase};
use crate::sftp::{Attributes, File, Open as How, SftpError, Times};

/// One file on its way.
pub(super) struct Job<'e> {
    pub(super) entry: &'e Entry,
    /// Where it is to go, as far as was said.
    asked: Vec<u8>,
    pub(super) target: Target,
    pub(super) source: Source,
    /// Its name in the making, and its digest here.
    part: Option<(Vec<u8>, String)>,
    /// The proof that the target has this content already.
    unchanged: Option<Digest>,
    resumed_from: u64,
}

impl Upload<'_> {
    pub(super) async fn look<'e>(&self, entry: &'e Entry) -> Result<Job<'e>, Failed> {
        let looking = async {
            let asked = self.remote(entry)?;
            let (tree, entry_there) = (Arc::clone(&self.tree), entry.clone());
            let source = blocking(move || tree.open(&entry_there)).await?;
            let target = match self.host.staged {
                true => self.look_staged(&asked).await?,
                false => target::look(self.host, asked.clone()).await?,
            };
            let (part, unchanged, resumed_from) = (None, None, 0);
            Ok(Job { entry, asked, target, source, part, unchanged, resumed_from })
        };
        looking.await.map_err(|trouble| self.failed(entry, trouble))
    }

    /// Files that are there already need not be sent: those of the same size
    /// are compared by their digests.
    pub(super) async fn mark_unchanged(&self, jobs: &mut [Job<'_>]) -> Result<(), Trouble> {
        let same_size = |job: &&mut Job<'_>| job.target.size() == Some(job.source.size());
        let candidates: Vec<&mut Job<'_>> = jobs.iter_mut().filter(same_size).collect();
        let paths: Vec<Vec<u8>> = candidates.iter().map(|job| job.target.path.clone()).collect();
        let wanted: Vec<Wanted<'_>> =
            paths.iter().map(|path| Wanted { path, first: None }).collect();
        let bytes = sum(candidates.iter().map(|job| job.source.size()));
        let (there, here) = futures_util::future::join(
            self.host.digests(&wanted, bytes),
            join_all(candidates.iter().map(|job| self.sha256(&job.source, u64::MAX))),
        )
        .await;
        for ((job, here), there) in candidates.into_iter().zip(here).zip(there?) {
            // What cannot be compared is sent, and fails there if it must.
            if let (Ok((here, _)), Ok(there)) = (here, there)
                && here == there.sha256
            {
                job.unchanged = Some(there);
                self.host.meter.moved(job.source.size());
            }
        }
        Ok(())
    }

    async fn sha256(&self, source: &Source, most: u64) -> Result<(String, Prefix), Trouble> {
        let cancel = self.host.context.cancel;
        let prefix = source.hash(most, cancel).await.map_err(Trouble::local)?;
        Ok((hex(&prefix.hash.clone().finalize()), prefix))
    }

    /// Writes a file beside its target, unless it need not be sent.
    pub(super) async fn write<'e>(&self, mut job: Job<'e>) -> Result<Job<'e>, Failed> {
        if job.unchanged.is_some() {
            return Ok(job);
        }
        let mut part = Vec::new();
        match self.sent(&mut job, &mut part).await {
            Ok(sha256) => {
                job.part = Some((part, sha256));
                Ok(job)
            }
            Err(trouble) => {
                if !part.is_empty() && !trouble.fatal && !self.host.transfer.resume {
                    self.host.discard(&part).await;
                }
                Err(self.failed(job.entry, trouble))
            }
        }
    }

    /// Sends a file to `part`; gives its digest here.
    async fn sent(&self, job: &mut Job<'_>, part: &mut Vec<u8>) -> Result<String, Trouble> {
        let host = self.host;
        let taken = self.taken_over(job).await?;
        let (name, file, prefix) = match taken {
            Some(taken) => taken,
            None => {
                let source = job.source.path().as_os_str().as_bytes();
                let beside = if host.staged { STAGED } else { &job.target.path };
                let (name, file) = host.create_part(beside, source).await?;
                (name, file, Prefix::nothing())
            }
        };
        part.clone_from(&name);
        job.resumed_from = prefix.bytes;
        host.meter.moved(prefix.bytes);
        let chunk = host
            .pace
            .as_ref()
            .map_or(host.sftp.write_max(), |pace| pace.packet(host.sftp.write_max()));
        let from = prefix.bytes;
        let mut reader = job.source.read(prefix, chunk);
        let dir = path::parent(&job.target.path);
        let file_ref = &file;
        let write = |(offset, bytes): (u64, Bytes)| {
            let writing = async move {
                let length = bytes.len() as u64;
                match file_ref.write_at(offset, bytes).await {
                    Ok(()) => host.meter.moved(length),
                    Err(error) => return Err(host.cannot_write(error, "write in", dir).await),
                }
                Ok(())
            };
            writing.boxed()
        };
        let writes = chunks(&mut reader, from, host).map_ok(write);
        writes.try_buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        let sha256 = hex(&reader.hash().clone().finalize());
        self.expected(job, &sha256)?;
        complete(file, &name, job.source.size()).await?;
        Ok(sha256)
    }

    /// Refuses other content than was asked for.
    fn expected(&self, job: &Job<'_>, sha256: &str) -> Result<(), Trouble> {
        match &self.host.transfer.sha256 {
            Some(expected) if expected != sha256 => {
                let local = job.source.path().as_os_str().as_bytes();
                Err(Trouble::unexpected(local, expected, sha256))
            }
            _ => Ok(()),
        }
    }

    /// Goes on with what an interrupted transfer of the same file left, as far
    /// as it is proven to be its beginning.
    async fn taken_over(&self, job: &Job<'_>) -> Result<Option<(Vec<u8>, File, Prefix)>, Trouble> {
        let host = self.host;
        let source = job.source.path().as_os_str().as_bytes();
        let Some(part) = host.leftover(&job.target.path, source) else { return Ok(None) };
        let length = match host.sftp.lstat(&part).await {
            Ok(there) if there.is_file() => there.size.unwrap_or(0),
            _ => 0,
        };
        if length > 0 && length <= job.source.size() {
            let there = host.digests(&[Wanted { path: &part, first: None }], length).await?.pop();
            let (here, prefix) = self.sha256(&job.source, length).await?;
            if let Some(Ok(there)) = there
                && there.sha256 == here
                && let Ok(file) = host.sftp.open(&part, How::Write).await
            {
                return Ok(Some((part, file, prefix)));
            }
        }
        host.discard(&part).await;
        Ok(None)
    }

    /// What the host says of the files that were written.
    pub(super) async fn prove(
        &self,
        jobs: &[Job<'_>],
    ) -> Result<Vec<Option<Result<Digest, Trouble>>>, Trouble> {
        let written = jobs.iter().filter_map(|job| job.part.as_ref());
        let wanted: Vec<Wanted<'_>> =
            written.map(|(path, _)| Wanted { path, first: None }).collect();
        let sizes = jobs.iter().filter(|job| job.part.is_some()).map(|job| job.source.size());
        let mut found = self.host.digests(&wanted, sum(sizes)).await?.into_iter();
        Ok(jobs.iter().map(|job| job.part.as_ref().and_then(|_| found.next())).collect())
    }

    /// Gives a proven file its attributes and its name.
    pub(super) async fn place(
        &self,
        job: Job<'_>,
        proof: Option<Result<Digest, Trouble>>,
    ) -> Result<(), Failed> {
        let host = self.host;
        let placed = match (&job.part, &job.unchanged) {
            (Some((part, sha256)), _) => {
                let placed = match host.staged {
                    true => self.installed(&job, part, sha256, proof).await,
                    false => self.renamed(&job, part, sha256, proof).await,
                };
                if placed.as_ref().is_err_and(|trouble| !trouble.fatal) {
                    // Nothing of it is worth going on with.
                    host.discard(part).await;
                }
                placed
            }
            (None, Some(there)) => match self.expected(&job, &there.sha256) {
                Ok(()) => {
                    let kept = attribute(host, &job, &job.target.path, false).await;
                    kept.map(|()| there.clone())
                }
                Err(trouble) => Err(trouble),
            },
            (None, None) => Err(missing()),
        };
        let proof = placed.map_err(|trouble| self.failed(job.entry, trouble))?;
        host.tell(FileOutcome {
            bytes: job.source.size(),
            sha256: Some(proof.sha256),
            verified_by: Some(proof.by),
            unchanged: job.unchanged.is_some(),
            resumed_from: job.resumed_from,
            ..self.outcome(job.entry, job.asked)
        });
        Ok(())
    }

    /// Sees that a written file is what it should be, and its source still the
    /// same.
    pub(super) async fn proven(
        &self,
        job: &Job<'_>,
        sha256: &str,
        proof: Option<Result<Digest, Trouble>>,
    ) -> Result<Digest, Trouble> {
        let proof = proof.unwrap_or_else(|| Err(missing()))?;
        if proof.sha256 != sha256 {
            return Err(Trouble::mismatch(&job.target.path, sha256, &proof.sha256));
        }
        let source = job.source.clone();
        blocking(move || source.unchanged()).await?;
        Ok(proof)
    }

    async fn renamed(
        &self,
        job: &Job<'_>,
        part: &[u8],
        sha256: &str,
        proof: Option<Result<Digest, Trouble>>,
    ) -> Result<Digest, Trouble> {
        let proof = self.proven(job, sha256, proof).await?;
        attribute(self.host, job, part, true).await?;
        self.host.rename(part, &job.target.path).await?;
        Ok(proof)
    }
}

fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// The chunks of a file with their places, as fast as they may be sent.
fn chunks<'r>(
    reader: &'r mut Reader,
    from: u64,
    host: &'r Host<'_>,
) -> impl stream::Stream<Item = Result<(u64, Bytes), Trouble>> + 'r {
    stream::try_unfold((reader, from), move |(reader, offset)| async move {
        let Some(bytes) = reader.next().await.map_err(Trouble::local)? else { return Ok(None) };
        if let Some(pace) = &host.pace {
            pace.take(bytes.len()).await;
        }
        let next = offset + bytes.len() as u64;
        Ok(Some(((offset, bytes), (reader, next))))
    })
}

/// Sees that all of a file is on the host's disk.
async fn complete(file: File, part: &[u8], size: u64) -> Result<(), Trouble> {
    let failed = |error| Trouble::sftp(error, "write", part);
    let there = file.attributes().await.map_err(failed)?.size;
    if there != Some(size) {
        let there = there.map_or("unknown".into(), |size| size.to_string());
        let message =
            format!("SHA256 mismatch: {} has {there} bytes there instead of {size}", shown(part));
        return Err(Trouble::file("checksum_mismatch", Phase::Verify, message));
    }
    match file.sync().await {
        Ok(()) | Err(SftpError::Unsupported(_)) => {}
        Err(error) => return Err(failed(error)),
    }
    file.close().await.map_err(failed)
}

/// Gives a file the owner, the permissions and the time that it is to have.
async fn attribute(
    host: &Host<'_>,
    job: &Job<'_>,
    file: &[u8],
    fresh: bool,
) -> Result<(), Trouble> {
    let Kind::File { mode, mtime, .. } = job.entry.kind else { return Ok(()) };
    let existing = job.target.existing;
    let permissions = Permissions::of(host.transfer.mode, host.transfer.preserve, mode);
    let mut wanted = Attributes::default();
    let kept_owner = match &existing {
        Some(existing) if fresh => host.keep_owner(file, existing).await?,
        _ => true,
    };
    wanted.permissions = match (permissions, existing) {
        (Permissions::Exactly(mode), _) => Some(mode),
        (Permissions::Usual(_), Some(_)) if !fresh => None,
        // Setuid is not to be had from somebody else.
        (Permissions::Usual(_), Some(existing)) => {
            existing.mode().map(|mode| if kept_owner { mode } else { mode & 0o1777 })
        }
        (Permissions::Usual(mode), None) => {
            Some(host.new_mode(mode, path::parent(&job.target.path)).await?)
        }
    };
    if host.transfer.preserve {
        wanted.times = Some(times(mtime));
    }
    if wanted == Attributes::default() {
        return Ok(());
    }
    let failed = |error| Trouble::sftp(error, "set the attributes of", &job.target.path);
    host.set(file, &wanted).await.map_err(failed)?;
    if !fresh {
        host.note_change();
    }
    Ok(())
}

/// SFTP has seconds until 2106.
pub(super) fn times(mtime: SystemTime) -> Times {
    let seconds = mtime.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Times { accessed: seconds, modified: seconds }
}

fn missing() -> Trouble {
    Trouble::file("not_proven", Phase::Verify, "the host gave no SHA-256 of it")
}
