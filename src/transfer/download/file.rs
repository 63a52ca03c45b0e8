//! One file on its way from a host.

use std::os::unix::ffi::OsStringExt;
use std::path::absolute;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::super::digest::{Digest, Wanted};
use super::super::ledger::{Entry, Kind};
use super::super::listing::Found;
use super::super::local::{LocalError, Part, Sink, Target, Written};
use super::super::mode::Permissions;
use super::super::source;
use super::super::trouble::{Trouble, shown};
use super::super::{blocking, path};
use super::{Download, staged};
use crate::hex::hex;
use crate::outcome::{FileOutcome, Phase};
use crate::sftp::{Attributes, Open as How};

/// One file on its way.
pub(super) struct Job {
    found: Found,
    target: Target,
}

/// What came of one file.
type Done = (Found, Result<FileOutcome, Trouble>);

impl Download<'_> {
    pub(super) async fn look<'f>(&self, found: &'f Found) -> Result<Job, (&'f Found, Trouble)> {
        let (root, base, below) = (self.root.clone(), self.base.clone(), found.below.clone());
        let target = blocking(move || match (root, below.is_here()) {
            (Some(root), false) => Target::below(&root, &below),
            (_, true) => Target::named(&base),
            (None, false) => Err(LocalError::io("open", &base, Errno::NOENT)),
        });
        match target.await {
            Ok(target) => Ok(Job { found: found.clone(), target }),
            Err(trouble) => Err((found, trouble)),
        }
    }

    /// Fetches files while the host computes their digests. What does not
    /// agree may have changed meanwhile, and is fetched once more.
    pub(super) async fn fetch_jobs(&self, jobs: Vec<Job>) -> Result<Vec<Done>, Trouble> {
        let mut done = Vec::new();
        let mut again = Vec::new();
        for (job, result) in self.fetch_once(jobs).await? {
            match result {
                Err(trouble) if trouble.failure.code == "checksum_mismatch" => {
                    self.host.meter.again(job.found.size());
                    again.push(self.as_it_is_now(job).await?);
                }
                result => done.push((job.found, result)),
            }
        }
        if !again.is_empty() {
            let second = self.fetch_once(again).await?;
            done.extend(second.into_iter().map(|(job, result)| (job.found, result)));
        }
        Ok(done)
    }

    /// A file that may have changed since it was found.
    async fn as_it_is_now(&self, mut job: Job) -> Result<Job, Trouble> {
        let now = self.host.stat(&job.found.remote).await?;
        if let Some(attributes) = now.filter(|now| now.is_file() && now.size.is_some()) {
            job.found.attributes = attributes;
        }
        Ok(job)
    }

    async fn fetch_once(
        &self,
        jobs: Vec<Job>,
    ) -> Result<Vec<(Job, Result<FileOutcome, Trouble>)>, Trouble> {
        let wanted: Vec<Wanted<'_>> = jobs.iter().map(|job| wanted(&job.found)).collect();
        let bytes = jobs.iter().map(|job| job.found.size()).fold(0, u64::saturating_add);
        // A file of the same size may be the same: only its digest can tell
        // whether it must be fetched.
        let same_size = |job: &Job| {
            job.target.existing().is_some_and(|existing| existing.size == job.found.size())
        };
        let here = join_all(jobs.iter().map(|job| async {
            match same_size(job) {
                true => self.existing(job).await,
                false => None,
            }
        }));
        let first = join_all(jobs.iter().map(|job| async {
            match same_size(job) {
                true => None,
                false => Some(self.fetch_one(job).await),
            }
        }));
        let (there, (here, fetched)) = futures_util::future::join(
            self.host.digests(&wanted, bytes),
            futures_util::future::join(here, first),
        )
        .await;
        let there = match there {
            Ok(there) => there,
            Err(late) => {
                // On a link on which nothing moves they are late for that reason.
                let failed = fetched.into_iter().flatten().filter_map(Result::err);
                return Err({ failed }.find(Trouble::is_lost).unwrap_or(late));
            }
        };
        let placing = jobs.into_iter().zip(there).zip(here).zip(fetched);
        Ok(join_all(placing.map(|(((job, there), here), fetched)| async move {
            let result = self.place(&job, there, here, fetched).await;
            (job, result)
        }))
        .await)
    }

    /// The digest of the file that is there already.
    async fn existing(&self, job: &Job) -> Option<String> {
        let target = job.target.clone();
        let file = blocking(move || target.open()).await.ok()?;
        let cancel = self.host.context.cancel;
        let hashed = source::hash(Arc::new(file), job.target.path(), u64::MAX, cancel).await;
        Some(hex(hashed.ok()?.hash.finalize()))
    }

    /// Fetches a file beside its target.
    async fn fetch_one(&self, job: &Job) -> Result<Fetched, Trouble> {
        let host = self.host;
        let size = job.found.size();
        let remote = &job.found.remote;
        let failed = |error| Trouble::sftp(error, "read", remote);
        // Before the file there is open: what an earlier transfer left may have to be
        // read back, for which it would wait with all others that have one open.
        let (part, hash, from) = self.begin(job).await?;
        let file = match host.sftp.open(remote, How::Read).await {
            Ok(file) => file,
            Err(error) => {
                if from == 0 {
                    part.discard();
                }
                return Err(failed(error));
            }
        };
        host.meter.moved(from);
        let mut sink = Sink::new(part, hash, host.in_memory() / 4);
        let mut arrived = from;
        let mut chunks = host.chunks(&file, from..size);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len() as u64;
            sink.write(chunk).await.map_err(Trouble::local)?;
            arrived += length;
            host.meter.moved(length);
        }
        drop(chunks);
        let written = sink.end().await.map_err(Trouble::local)?;
        if arrived != size {
            // It shrank, or the host lies.
            let ended = format!("it ended after {arrived} of {size} bytes");
            return Err(changed(remote, &ended));
        }
        let _ = file.close().await;
        Ok(Fetched { written, from })
    }
}

/// A file that has arrived beside its target.
struct Fetched {
    written: Written,
    from: u64,
}

impl Download<'_> {
    /// The file to write to: a new one, or what an interrupted transfer of the
    /// same file left, as far as that is proven to be its beginning.
    async fn begin(&self, job: &Job) -> Result<(Part, Sha256, u64), Trouble> {
        let host = self.host;
        if host.transfer.resume
            && let Some(taken) = self.taken_over(job).await?
        {
            return Ok(taken);
        }
        let (target, permissions) = (job.target.clone(), self.permissions(&job.found));
        let (ledger, login) = (host.context.ledger.clone(), host.context.login.to_owned());
        let source = job.found.remote.clone();
        let resume = host.transfer.resume;
        let held = host.held.clone();
        let part = blocking(move || {
            let become_of = target.path().into_os_string().into_vec();
            let mut part = Part::create(target, permissions, |path| {
                let entry = Entry {
                    login,
                    kind: Kind::LocalPart,
                    path: absolute(path)?.into_os_string().into_vec(),
                    target: become_of,
                    source,
                    run_as: None,
                };
                ledger.open(entry).map(Some)
            })?;
            part.hold(held);
            if resume {
                part.keep();
            }
            Ok(part)
        });
        Ok((part.await?, Sha256::new(), 0))
    }

    async fn taken_over(&self, job: &Job) -> Result<Option<(Part, Sha256, u64)>, Trouble> {
        let host = self.host;
        let (target, remote) = (job.target.clone(), &job.found.remote);
        let become_of = target.path().into_os_string().into_vec();
        let Some(open) = host.left(Kind::LocalPart, &become_of, remote) else { return Ok(None) };
        let name = path::file_name(&open.entry().path).unwrap_or_default().to_vec();
        let permissions = self.permissions(&job.found);
        let held = host.held.clone();
        let taken = blocking(move || {
            let mut part = Part::take_over(target, &name, permissions, Some(open))?;
            part.hold(held);
            let reader = part.reader()?;
            Ok((part, reader))
        });
        let Ok((mut part, reader)) = taken.await else { return Ok(None) };
        let length = part.len();
        if length > 0 && length <= job.found.size() {
            let cancel = host.context.cancel;
            let here = source::hash(Arc::new(reader), part.path(), length, cancel);
            let here = here.await.map_err(Trouble::local)?;
            let wanted = [Wanted { path: remote, first: Some(length) }];
            let there = host.digests(&wanted, length).await?.pop();
            if let Some(Ok(there)) = there
                && there.sha256 == hex(here.hash.clone().finalize())
            {
                part.keep();
                return Ok(Some((part, here.hash, length)));
            }
        }
        part.discard();
        Ok(None)
    }

    fn permissions(&self, found: &Found) -> Permissions {
        let (mode, preserve) = (self.host.transfer.mode, self.host.transfer.preserve);
        Permissions::of(mode, preserve, found.attributes.mode().unwrap_or(0o644))
    }

    /// Compares what arrived with what the host says, and puts it in place.
    async fn place(
        &self,
        job: &Job,
        there: Result<Digest, Trouble>,
        here: Option<String>,
        fetched: Option<Result<Fetched, Trouble>>,
    ) -> Result<FileOutcome, Trouble> {
        let host = self.host;
        let mut there = there?;
        let mtime = modified(&job.found.attributes).filter(|_| host.transfer.preserve);
        let unchanged = here.is_some_and(|here| here == there.sha256);
        let mut outcome = self.outcome(job.found.named.clone(), &job.found.below, job.found.size());
        outcome.unchanged = unchanged;
        if unchanged {
            self.expected(&job.found.named, &there.sha256)?;
            outcome.sha256 = Some(there.sha256);
            outcome.verified_by = Some(there.by);
            let (target, permissions) = (job.target.clone(), self.permissions(&job.found));
            blocking(move || target.leave(permissions, mtime)).await?;
            host.meter.moved(job.found.size());
            return Ok(outcome);
        }
        let Fetched { written, from } = match fetched {
            Some(fetched) => fetched?,
            None => self.fetch_one(job).await?,
        };
        outcome.resumed_from = from;
        let received = hex(written.hash.finalize());
        if received != there.sha256 {
            there = self.beginning(&job.found).await?;
        }
        if received != there.sha256 {
            written.part.discard();
            return Err(Trouble::mismatch(&job.found.named, &there.sha256, &received));
        }
        if let Err(trouble) = self.expected(&job.found.named, &there.sha256) {
            written.part.discard();
            return Err(trouble);
        }
        staged::confirm(host, &job.found, &there.sha256).await?;
        blocking(move || written.part.finish(mtime)).await?;
        outcome.sha256 = Some(there.sha256);
        outcome.verified_by = Some(there.by);
        Ok(outcome)
    }

    /// The digest of what a file was when it was found: it may have grown since.
    async fn beginning(&self, found: &Found) -> Result<Digest, Trouble> {
        let wanted = [Wanted { path: &found.remote, first: Some(found.size()) }];
        let beginning = self.host.digests(&wanted, found.size()).boxed().await?.pop();
        beginning.unwrap_or_else(|| Err(changed(&found.remote, "its digest is missing")))
    }

    /// Refuses other content than was asked for.
    fn expected(&self, remote: &[u8], sha256: &str) -> Result<(), Trouble> {
        match &self.host.transfer.sha256 {
            Some(expected) if expected != sha256 => {
                Err(Trouble::unexpected(remote, expected, sha256))
            }
            _ => Ok(()),
        }
    }
}

/// When a file of the host was modified.
pub(super) fn modified(attributes: &Attributes) -> Option<SystemTime> {
    let seconds = attributes.times?.modified;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.into()))
}

fn changed(remote: &[u8], how: &str) -> Trouble {
    // Worth the second try that a change is worth.
    let message = format!("{} changed while it was read: {how}", shown(remote));
    let mut trouble = Trouble::file("checksum_mismatch", Phase::Verify, message);
    trouble.failure.hint = Some("fetch it when nothing writes to it".into());
    trouble
}

/// What is to be proven of a file: all of it, because that is what tools read
/// fastest. Of one that grows meanwhile the beginning is asked for later, and of
/// one that says it is empty, as in /proc, nothing is.
fn wanted(found: &Found) -> Wanted<'_> {
    Wanted { path: &found.remote, first: Some(0).filter(|_| found.size() == 0) }
}
