//! One file on its way to a host.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{join, join_all, ready, try_join};
use futures_util::stream::{self, TryStreamExt};
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use super::super::digest::{Digest, Wanted};
use super::super::follow::{self, Teller};
use super::super::host::Host;
use super::super::mode::Permissions;
use super::super::source::{Prefix, Reader, Source, Volume};
use super::super::target::{self, Target};
use super::super::trouble::{Trouble, shown};
use super::super::walk::{Entry, Kind};
use super::super::{blocking, path};
use super::staged::STAGED;
use super::{Failed, Upload};
use crate::hex::hex;
use crate::outcome::{FileOutcome, Phase};
use crate::sftp::{Attributes, File, Open as How, SftpError, Times};

/// How much of small files is in memory at once, for each batch.
const CONTENT_MAX: u64 = 1 << 20;

/// One file on its way.
pub(super) struct Job<'e> {
    pub(super) entry: &'e Entry,
    /// Where it is to go, as far as was said.
    asked: Vec<u8>,
    pub(super) target: Target,
    pub(super) source: Source,
    volume: Arc<Volume>,
    /// All of it, if it is small.
    content: Option<Bytes>,
    /// What was written of it.
    part: Option<Part>,
    /// The proof that the target has this content already.
    unchanged: Option<Digest>,
    resumed_from: u64,
}

/// A file in the making.
struct Part {
    name: Vec<u8>,
    /// Its digest here.
    sha256: String,
    /// What the host said of it while it was written.
    followed: Option<Digest>,
}

/// A source that is open.
pub(super) struct Opened {
    source: Source,
    volume: Arc<Volume>,
    content: Option<Bytes>,
}

impl Upload<'_> {
    /// Opens files, and reads those that are small, so many as fit into little
    /// memory: all at once, because to go to another thread and back for each
    /// would take longer than to read it.
    pub(super) async fn open(&self, entries: &[&Entry]) -> Vec<Result<Opened, Trouble>> {
        let (tree, shelf) = (Arc::clone(&self.tree), Arc::clone(self.host.shelf()));
        let entries: Vec<Entry> = entries.iter().map(|&entry| entry.clone()).collect();
        let count = entries.len();
        let opening = blocking(move || {
            let (mut room, mut near) = (CONTENT_MAX, None);
            let opened = entries.iter().map(|entry| {
                let source = tree.open(entry, &mut near)?;
                let volume = shelf.volume(&source);
                let content = match room.checked_sub(source.size()) {
                    Some(left) => {
                        room = left;
                        Some(shelf.whole(&source, &volume)?)
                    }
                    None => None,
                };
                Ok(Opened { source, volume, content })
            });
            Ok(opened.map(|opened| opened.map_err(Trouble::local)).collect())
        });
        opening.await.unwrap_or_else(|trouble| (0..count).map(|_| Err(trouble.clone())).collect())
    }

    pub(super) async fn look<'e>(
        &self,
        entry: &'e Entry,
        opened: Result<Opened, Trouble>,
    ) -> Result<Job<'e>, Failed> {
        let looking = async {
            let Opened { source, volume, content } = opened?;
            let asked = self.remote(entry)?;
            let target = match self.host.staged {
                true => self.look_staged(&asked).boxed().await?,
                // Nothing is in a directory that was made just now.
                false if self.host.made(path::parent(&asked)) => {
                    Target { path: asked.clone(), existing: None }
                }
                false => target::look(self.host, asked.clone()).await?,
            };
            let (part, unchanged, resumed_from) = (None, None, 0);
            Ok(Job { entry, asked, target, source, volume, content, part, unchanged, resumed_from })
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
            join_all(candidates.iter().map(|job| async {
                let cancel = self.host.context.cancel;
                job.volume.hash_whole(&job.source, cancel).await
            })),
        )
        .await;
        for ((job, here), there) in candidates.into_iter().zip(here).zip(there?) {
            // What cannot be compared is sent, and fails there if it must.
            if let (Ok(here), Ok(there)) = (here, there)
                && hex(here.finalize()) == there.sha256
            {
                job.unchanged = Some(there);
                self.host.meter.moved(job.source.size());
            }
        }
        Ok(())
    }

    /// Writes a file beside its target, unless it need not be sent.
    pub(super) async fn write<'e>(&self, mut job: Job<'e>) -> Result<Job<'e>, Failed> {
        if job.unchanged.is_some() {
            return Ok(job);
        }
        let mut part = Vec::new();
        match self.sent(&mut job, &mut part).await {
            Ok((sha256, followed)) => {
                job.part = Some(Part { name: part, sha256, followed });
                job.content = None;
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

    /// Sends a file to `part`; gives its digest here, and the one there if the
    /// host computed it meanwhile.
    async fn sent(
        &self,
        job: &mut Job<'_>,
        part: &mut Vec<u8>,
    ) -> Result<(String, Option<Digest>), Trouble> {
        let host = self.host;
        // What few files need is kept out of the future of each.
        let taken = match host.transfer.resume {
            true => self.taken_over(job).boxed().await?,
            false => None,
        };
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
        let size = job.source.size();
        let (teller, told) = follow::channel();
        let written = CancellationToken::new();
        let job = &*job;
        let writing = async {
            let sha256 = self.write_all(job, &file, prefix, &teller).await?;
            self.expected(job, &sha256)?;
            complete(file, &name, size).await?;
            written.cancel();
            teller.end().await;
            Ok(sha256)
        };
        if !host.is_followed(size) {
            drop(told);
            return Ok((writing.await?, None));
        }
        let following = async { Ok(host.followed(&name, size, told, &written).await) };
        try_join(writing, following.boxed()).await
    }

    /// Writes all that follows the prefix; gives the digest of it all.
    async fn write_all(
        &self,
        job: &Job<'_>,
        file: &File,
        prefix: Prefix,
        teller: &Teller,
    ) -> Result<String, Trouble> {
        let host = self.host;
        let dir = path::parent(&job.target.path);
        let write = |(offset, bytes): (u64, Bytes)| async move {
            let length = bytes.len() as u64;
            match file.write_at(offset, bytes).await {
                Ok(()) => host.meter.moved(length),
                Err(error) => return Err(host.cannot_write(error, "write in", dir).await),
            }
            Ok(offset + length)
        };
        let chunk = host.packet(host.sftp.write_max());
        let from = prefix.bytes;
        if let Some(content) = job.content.as_ref().filter(|_| from == 0 && host.pace.is_none()) {
            write((0, content.clone())).await?;
            return Ok(hex(job.volume.hash().finalize()));
        }
        let mut reader = match from {
            0 => host.shelf().read(&job.source, &job.volume, chunk),
            _ => job.source.read(prefix, chunk),
        };
        let writes = chunks(&mut reader, from, host).map_ok(|chunk| write(chunk).boxed());
        let confirmed = writes.try_buffered(host.shelf().in_flight(chunk));
        let told = confirmed.try_for_each(|until| {
            teller.written(until);
            ready(Ok(()))
        });
        told.await?;
        Ok(hex(reader.hash().finalize()))
    }

    /// Refuses other content than was asked for.
    fn expected(&self, job: &Job<'_>, sha256: &str) -> Result<(), Trouble> {
        let transfer = self.host.transfer;
        let expected = match &transfer.manifest {
            // What is not in it was refused before anything was read.
            Some(manifest) => Some(manifest.sha256(&self.tree.path(job.entry)).unwrap_or_default()),
            None => transfer.sha256.as_deref(),
        };
        match expected {
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
            let prefix = job.source.hash(length, host.context.cancel).await;
            let prefix = prefix.map_err(Trouble::local)?;
            if let Some(Ok(there)) = there
                && there.sha256 == hex(prefix.hash.clone().finalize())
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
        let written = |job: &Job<'_>| job.part.as_ref().map(|part| part.followed.clone());
        // What was computed while a file was written counts if it agrees. If not,
        // the file as it is now decides.
        let asked = |job: &&Job<'_>| {
            job.part.as_ref().is_some_and(|part| {
                part.followed.as_ref().is_none_or(|there| there.sha256 != part.sha256)
            })
        };
        let names = jobs.iter().filter(asked).filter_map(|job| job.part.as_ref());
        let wanted: Vec<Wanted<'_>> =
            names.map(|part| Wanted { path: &part.name, first: None }).collect();
        let bytes = sum(jobs.iter().filter(asked).map(|job| job.source.size()));
        let mut found = self.host.digests(&wanted, bytes).await?.into_iter();
        let proof = |job: &Job<'_>| match asked(&job) {
            true => found.next(),
            false => written(job).flatten().map(Ok),
        };
        Ok(jobs.iter().map(proof).collect())
    }

    /// Sees that sources are still what was sent of them.
    pub(super) async fn unchanged(&self, jobs: &[Job<'_>]) -> Vec<Result<(), Trouble>> {
        let sources: Vec<Source> = jobs.iter().map(|job| job.source.clone()).collect();
        let count = sources.len();
        let looking = blocking(move || {
            Ok(sources.iter().map(|source| source.unchanged().map_err(Trouble::local)).collect())
        });
        looking.await.unwrap_or_else(|trouble| vec![Err(trouble); count])
    }

    /// Gives a proven file its attributes and its name.
    pub(super) async fn place(
        &self,
        job: Job<'_>,
        proof: Option<Result<Digest, Trouble>>,
        unchanged: Result<(), Trouble>,
    ) -> Result<(), Failed> {
        let host = self.host;
        let placed = match (&job.part, &job.unchanged) {
            (Some(part), _) => {
                let placed = match proven(&job, &part.sha256, proof, unchanged) {
                    Err(trouble) => Err(trouble),
                    Ok(proof) if host.staged => {
                        self.installed(&job, &part.name, &part.sha256, proof).boxed().await
                    }
                    Ok(proof) => self.renamed(&job, &part.name).await.map(|()| proof),
                };
                if placed.as_ref().is_err_and(|trouble| !trouble.fatal) {
                    // Nothing of it is worth going on with.
                    host.discard(&part.name).await;
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

    async fn renamed(&self, job: &Job<'_>, part: &[u8]) -> Result<(), Trouble> {
        attribute(self.host, job, part, true).await?;
        self.host.rename(part, &job.target.path).await
    }
}

/// Sees that a written file is what it should be, and its source still the
/// same.
fn proven(
    job: &Job<'_>,
    sha256: &str,
    proof: Option<Result<Digest, Trouble>>,
    unchanged: Result<(), Trouble>,
) -> Result<Digest, Trouble> {
    let proof = proof.unwrap_or_else(|| Err(missing()))?;
    // Hosts that read at different times may have been sent different things:
    // then it is the source that is to blame.
    unchanged?;
    if proof.sha256 != sha256 {
        return Err(Trouble::mismatch(&job.target.path, sha256, &proof.sha256));
    }
    Ok(proof)
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
    let (there, synced) = join(file.attributes(), file.sync()).await;
    let there = there.map_err(failed)?.size;
    if there != Some(size) {
        let there = there.map_or("unknown".into(), |size| size.to_string());
        let message =
            format!("SHA256 mismatch: {} has {there} bytes there instead of {size}", shown(part));
        return Err(Trouble::file("checksum_mismatch", Phase::Verify, message));
    }
    match synced {
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
