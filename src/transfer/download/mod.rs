//! Files from a host.

mod file;
mod staged;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::host::Host;
use super::landing::{Place, Present, landing};
use super::listing::{Found, Listing};
use super::local::{Link, LocalError, RelativePath, Root};
use super::trouble::{Trouble, shown};
use super::{batch, blocking, path};
use crate::outcome::{FileOutcome, Phase, Skipped};

/// What goes where.
pub(super) struct Download<'a> {
    host: &'a Host<'a>,
    /// The target as it was named, or the host's own directory in it.
    base: PathBuf,
    /// The base, once it is a directory.
    root: Option<Root>,
}

/// Moves all sources of the transfer.
pub(super) async fn run(host: &Host<'_>) -> Result<(), Trouble> {
    let transfer = host.transfer;
    let mut base = PathBuf::from(&transfer.target);
    let mut slash = path::means_directory(transfer.target.as_bytes());
    if transfer.per_host {
        base.push(host.context.vm.as_str());
        slash = true;
    }
    let several = transfer.sources.len() > 1;
    let make = transfer.mkdir || transfer.per_host;
    let place = {
        let base = base.clone();
        blocking(move || prepare(&base, slash || (several && make), make)).await?
    };
    let listing = list(host, place, several).await?;
    let download = Download { host, root: root(&base).await?, base };
    download.run(listing).await
}

/// Looks at the target, and makes the directories that are asked for.
fn prepare(base: &Path, ends_with_slash: bool, make: bool) -> Result<Place, LocalError> {
    let present = |base: &Path| match base.metadata() {
        Ok(there) if there.is_dir() => Present::Directory,
        Ok(_) => Present::File,
        Err(_) => Present::Missing,
    };
    if make && present(base) == Present::Missing {
        let dir = if ends_with_slash { Some(base) } else { base.parent() };
        if let Some(dir) = dir.filter(|dir| !dir.as_os_str().is_empty()) {
            let failed = |error| LocalError::io("make the directory", dir, error);
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
    }
    Ok(Place { present: present(base), ends_with_slash })
}

/// Finds everything that is to be fetched.
async fn list(host: &Host<'_>, place: Place, several: bool) -> Result<Listing, Trouble> {
    let mut listing = Listing::default();
    for source in &host.transfer.sources {
        let remote = host.absolute(source.as_bytes()).await?;
        let there = match host.staged {
            true => staged::fetch(host, &remote).await,
            false => {
                let there = host.stat(&remote).await;
                there.map(|there| there.map(|attributes| (remote.clone(), attributes)))
            }
        };
        let (copy, attributes) = match there {
            Ok(Some(there)) => there,
            Ok(None) => {
                let message = format!("{}: there is no such file on the host", shown(&remote));
                listing
                    .refused
                    .push((remote, Trouble::file("not_found", Phase::Transfer, message)));
                continue;
            }
            Err(trouble) if trouble.fatal => return Err(trouble),
            Err(trouble) => {
                listing.refused.push((remote, trouble));
                continue;
            }
        };
        let is_dir = attributes.is_dir();
        let below = match landing(OsStr::from_bytes(&remote), is_dir, several, place) {
            Ok(below) => below,
            Err(why) => {
                let message = format!("{}: {why}", shown(&remote));
                return Err(Trouble::file("no_landing", Phase::Transfer, message).fatal());
            }
        };
        let (named, remote) = (path::trim_end(&remote).to_vec(), path::trim_end(&copy).to_vec());
        let found = Found { remote, named, below, attributes };
        if is_dir && !host.transfer.recursive {
            let message = format!(
                "{} is a directory, which is moved only with everything in it",
                shown(&found.named)
            );
            let trouble = Trouble::file("is_a_directory", Phase::Transfer, message).hint("add -r");
            listing.refused.push((found.named, trouble));
        } else if is_dir {
            listing.add(host, found).await?;
        } else if attributes.is_file() {
            listing.add_file(found);
        } else {
            let message = format!("{} is not a regular file", shown(&found.named));
            let trouble = Trouble::file("not_regular", Phase::Transfer, message);
            listing.refused.push((found.named, trouble));
        }
    }
    listing.refuse_clashes();
    Ok(listing)
}

/// The target as a directory, if that is what it is now.
async fn root(base: &Path) -> Result<Option<Root>, Trouble> {
    let base = base.to_owned();
    blocking(move || if base.is_dir() { Root::open(&base).map(Some) } else { Ok(None) }).await
}

impl Download<'_> {
    async fn run(mut self, listing: Listing) -> Result<(), Trouble> {
        let host = self.host;
        let bytes = listing.files.iter().map(Found::size).fold(0, u64::saturating_add);
        let files = listing.files.len() + listing.refused.len();
        host.meter.expect(files as u64, bytes);
        for (remote, trouble) in listing.refused {
            let outcome = self.outcome(remote, &RelativePath::default(), 0);
            host.tell(FileOutcome { failure: Some(trouble.failure), ..outcome });
        }
        for skipped in listing.skipped {
            host.skip(skipped);
        }
        self.make_directories(&listing.directories).await?;
        let files: Vec<&Found> = listing.files.iter().collect();
        let batches = batch::of(&files, Found::size).into_iter();
        let batches: Vec<_> = batches.map(|files| self.fetch(files).boxed()).collect();
        stream::iter(batches).buffer_unordered(batch::AT_ONCE).try_collect::<()>().await?;
        for (link, target) in listing.symlinks {
            self.make_symlink(link, target).await?;
        }
        self.finish_directories(listing.directories).await
    }

    /// Files that are fetched, proven and put in place together.
    async fn fetch(&self, files: Vec<&Found>) -> Result<(), Trouble> {
        let _permit = batch::permit(files.len()).await;
        let mut fatal = None;
        let looked = join_all(files.into_iter().map(|found| self.look(found))).await;
        let mut jobs = Vec::new();
        for looked in looked {
            match looked {
                Ok(job) => jobs.push(job),
                Err((found, trouble)) => self.failed(found, trouble, &mut fatal),
            }
        }
        for (found, result) in self.fetch_jobs(jobs).await? {
            match result {
                Ok(outcome) => self.host.tell(outcome),
                Err(trouble) => self.failed(&found, trouble, &mut fatal),
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    fn failed(&self, found: &Found, trouble: Trouble, fatal: &mut Option<Trouble>) {
        if trouble.fatal {
            fatal.get_or_insert(trouble.clone());
        }
        let outcome = self.outcome(found.named.clone(), &found.below, found.size());
        self.host.tell(FileOutcome { failure: Some(trouble.failure), ..outcome });
    }

    /// A file of which nothing is known yet.
    fn outcome(&self, remote: Vec<u8>, below: &RelativePath, bytes: u64) -> FileOutcome {
        FileOutcome {
            local: self.local(below).into_os_string(),
            remote: OsString::from_vec(remote),
            bytes,
            sha256: None,
            verified_by: None,
            unchanged: false,
            resumed_from: 0,
            failure: None,
        }
    }

    /// Where a file goes on this machine.
    fn local(&self, below: &RelativePath) -> PathBuf {
        match below.is_here() {
            true => self.base.clone(),
            false => self.base.join(below.as_path()),
        }
    }

    /// Makes the directories of the tree, outermost first.
    async fn make_directories(&mut self, directories: &[Found]) -> Result<(), Trouble> {
        if directories.is_empty() {
            return Ok(());
        }
        let wanted: Vec<(RelativePath, u32)> = directories
            .iter()
            .map(|dir| (dir.below.clone(), dir.attributes.mode().unwrap_or(0o755) & 0o777))
            .collect();
        let (base, root) = (self.base.clone(), self.root.clone());
        let root = blocking(move || {
            let root = match root {
                Some(root) => root,
                None => {
                    let failed = |error| LocalError::io("make the directory", &base, error);
                    std::fs::create_dir(&base).map_err(failed)?;
                    Root::open(&base)?
                }
            };
            for (below, mode) in wanted {
                root.make_dir(&below, mode)?;
            }
            Ok(root)
        });
        self.root = Some(root.await.map_err(Trouble::fatal)?);
        Ok(())
    }

    /// Gives the directories what they are to have in the end, innermost first.
    async fn finish_directories(&self, directories: Vec<Found>) -> Result<(), Trouble> {
        let Some(root) = self.root.clone().filter(|_| self.host.transfer.preserve) else {
            return Ok(());
        };
        blocking(move || {
            for dir in directories.iter().rev() {
                let mode = dir.attributes.mode().map(|mode| mode & 0o777);
                root.enter(&dir.below)?.set(mode, file::modified(&dir.attributes))?;
            }
            Ok(())
        })
        .await
    }

    /// Makes a symbolic link, unless it would lead out of the target.
    async fn make_symlink(&self, link: Found, target: Vec<u8>) -> Result<(), Trouble> {
        let Some(root) = self.root.clone() else { return Ok(()) };
        let below = link.below.clone();
        match blocking(move || root.link(&below, &target)).await {
            Ok(Link::Made) => {}
            Ok(Link::Unsafe) => {
                let path = OsString::from_vec(link.remote);
                let why = "it is a symbolic link that leads out of the directory";
                self.host.skip(Skipped { path, why });
            }
            Err(trouble) => {
                let outcome = self.outcome(link.remote, &link.below, 0);
                self.host.tell(FileOutcome { failure: Some(trouble.failure), ..outcome });
            }
        }
        Ok(())
    }
}
