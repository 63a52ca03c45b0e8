//! Files to a host.

mod directories;
mod file;
mod staged;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::host::Host;
use super::landing::{Place, Present};
use super::trouble::Trouble;
use super::walk::{Entry, Kind, Landings, Tree};
use super::{batch, blocking, path, present};
use crate::outcome::{FileOutcome, Phase};

/// What goes where.
pub(super) struct Upload<'a> {
    host: &'a Host<'a>,
    tree: Arc<Tree>,
    landings: Landings,
    base: Vec<u8>,
}

/// Moves all sources of the transfer.
pub(super) async fn run(host: &Host<'_>) -> Result<(), Trouble> {
    let transfer = host.transfer;
    let asked = host.absolute(transfer.target.as_bytes()).await?;
    let (sources, recursive) = (transfer.sources.clone(), transfer.recursive);
    let cancel = host.context.cancel.clone();
    let mut tree = blocking(move || Tree::of(&sources, recursive, &cancel)).await?;
    if let Some(manifest) = &transfer.manifest {
        super::manifest::check(&tree, manifest)?;
    }
    for skipped in tree.skipped.drain(..) {
        host.skip(skipped);
    }
    let there = host.present(&asked).await?;
    let present = match there.kind {
        present::Kind::Nothing => Present::Missing,
        present::Kind::Directory => Present::Directory,
        present::Kind::File | present::Kind::Other => Present::File,
    };
    // A directory that is to be made is meant where several sources are.
    let several = transfer.mkdir && transfer.sources.len() > 1;
    let place = Place { present, ends_with_slash: path::means_directory(&asked) || several };
    let nowhere = |why| {
        Trouble::file("no_landing", Phase::Transfer, format!("{why}"))
            .fatal()
            .hint("name a directory that is there; or end it with / and add --mkdir")
    };
    let landings = tree.land(place).map_err(nowhere)?;
    let base = path::trim_end(asked.strip_suffix(b"/.").unwrap_or(&asked)).to_vec();
    if tree.entries.iter().any(|entry| !matches!(entry.kind, Kind::File { .. })) {
        host.must_not_be_staged("a directory cannot be sent")?;
    }
    let upload = Upload { host, tree: Arc::new(tree), landings, base };
    upload.run(place).await
}

impl Upload<'_> {
    async fn run(&self, place: Place) -> Result<(), Trouble> {
        let entries = &self.tree.entries;
        let files: Vec<&Entry> =
            entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).collect();
        let bytes = files.iter().map(|entry| size(entry)).fold(0, u64::saturating_add);
        self.host.meter.expect(files.len() as u64, bytes);

        self.make_directories(place).await?;
        let batches = batch::of(&files, size).into_iter();
        let batches: Vec<_> = batches.map(|files| self.send(files).boxed()).collect();
        // The next files are sent while the last ones are being proven.
        stream::iter(batches).buffer_unordered(batch::AT_ONCE).try_collect::<()>().await?;
        self.make_symlinks().await?;
        self.finish_directories().await
    }

    /// Files that are looked at, sent, proven and put in place together, so
    /// that many small ones share the host's answers.
    async fn send(&self, files: Vec<&Entry>) -> Result<(), Trouble> {
        let _permit = batch::permit(files.len()).await;
        let opened = self.open(&files).await;
        let looking = files.into_iter().zip(opened).map(|(entry, opened)| self.look(entry, opened));
        let looked = join_all(looking).await;
        let mut jobs = self.keep(looked)?;
        self.mark_unchanged(&mut jobs).await?;
        let sent = join_all(jobs.into_iter().map(|job| self.write(job))).await;
        let jobs = self.keep(sent)?;
        let proofs = self.prove(&jobs).await?;
        let unchanged = self.unchanged(&jobs).await;
        let placing = jobs.into_iter().zip(proofs).zip(unchanged);
        let placing = placing.map(|((job, proof), unchanged)| self.place(job, proof, unchanged));
        self.keep(join_all(placing).await).map(drop)
    }

    /// Goes on with what succeeded and notes what did not; a fatal trouble ends
    /// all.
    fn keep<T>(&self, results: Vec<Result<T, Failed>>) -> Result<Vec<T>, Trouble> {
        let mut kept = Vec::with_capacity(results.len());
        let mut fatal = None;
        for result in results {
            match result {
                Ok(job) => kept.push(job),
                Err(Failed { outcome, trouble }) => {
                    if trouble.fatal {
                        fatal.get_or_insert(trouble.clone());
                    }
                    self.host.tell(FileOutcome { failure: Some(trouble.failure), ..outcome });
                }
            }
        }
        fatal.map_or(Ok(kept), Err)
    }

    /// Where an entry goes on the host.
    fn remote(&self, entry: &Entry) -> Result<Vec<u8>, Trouble> {
        let below = self.landings.of(entry).map_err(|why| {
            let message = format!("{}: {why}", self.tree.path(entry).display());
            Trouble::file("name_too_long", Phase::Transfer, message)
        })?;
        Ok(match below.is_here() {
            true => self.base.clone(),
            false => path::join(&self.base, below.as_bytes()),
        })
    }

    /// An entry of which nothing is known yet.
    fn outcome(&self, entry: &Entry, remote: Vec<u8>) -> FileOutcome {
        FileOutcome {
            local: self.tree.path(entry).into_os_string(),
            remote: std::os::unix::ffi::OsStringExt::from_vec(remote),
            bytes: size(entry),
            sha256: None,
            verified_by: None,
            unchanged: false,
            resumed_from: 0,
            failure: None,
        }
    }

    fn failed(&self, entry: &Entry, trouble: Trouble) -> Failed {
        let remote = self.remote(entry).unwrap_or_default();
        Failed { outcome: self.outcome(entry, remote), trouble }
    }
}

/// A file that cannot be moved, and why.
struct Failed {
    outcome: FileOutcome,
    trouble: Trouble,
}

fn size(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    }
}
