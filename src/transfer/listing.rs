//! What is below a directory of a host.
//!
//! The host may be hostile: a name that would lead elsewhere is refused, and so
//! is one that comes twice; the whole is bounded.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::host::Host;
use super::local::RelativePath;
use super::path;
use super::trouble::{Trouble, shown};
use crate::outcome::{Phase, Skipped};
use crate::sftp::{Attributes, Entry};

/// The most names of one transfer, refused ones among them.
const ENTRIES_MAX: usize = 1_000_000;

/// How much memory they may take, until each has its result.
const BYTES_MAX: usize = 512 * 1024 * 1024;

/// What is kept of a name beside its paths.
const ENTRY: usize = 256;

/// How many paths are kept of a name.
const PATHS: usize = 3;

/// How many directories are read at once.
const AT_ONCE: usize = 16;

/// Everything below a directory, directories before what is in them.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) directories: Vec<Found>,
    pub(super) files: Vec<Found>,
    pub(super) symlinks: Vec<(Found, Vec<u8>)>,
    pub(super) skipped: Vec<Skipped>,
    /// What cannot be moved: its path on the host, and why.
    pub(super) refused: Vec<(Vec<u8>, Trouble)>,
    taken: Taken,
}

/// What everything that was listed takes, in directories that are read at once
/// too.
#[derive(Default)]
struct Taken {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Taken {
    fn add(&self, entries: usize, bytes: usize) -> Result<(), Trouble> {
        let entries = self.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if entries <= ENTRIES_MAX && bytes <= BYTES_MAX {
            return Ok(());
        }
        let what = match entries > ENTRIES_MAX {
            true => format!("more than {ENTRIES_MAX} files and directories"),
            false => format!("more than {} MiB of names", BYTES_MAX >> 20),
        };
        let message = format!("the host lists {what}");
        Err(Trouble::file("too_many_files", Phase::Transfer, message)
            .fatal()
            .hint("move an archive of them"))
    }
}

/// Something on the host.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its path there.
    pub(super) remote: Vec<u8>,
    /// Its path in the results: that of the file, where this is a copy of it.
    pub(super) named: Vec<u8>,
    /// Its path below the place that it goes to.
    pub(super) below: RelativePath,
    pub(super) attributes: Attributes,
}

impl Found {
    pub(super) fn size(&self) -> u64 {
        self.attributes.size.unwrap_or(0)
    }
}

impl Listing {
    /// Adds a directory, which becomes `below`, with everything in it.
    pub(super) async fn add(&mut self, host: &Host<'_>, directory: Found) -> Result<(), Trouble> {
        let mut level = vec![directory];
        while !level.is_empty() {
            let mut next = Vec::new();
            for some in level.chunks(AT_ONCE) {
                let reading = some.iter().map(|dir| self.read(host, dir));
                for (dir, entries) in some.iter().zip(join_all(reading).await) {
                    match entries {
                        Ok(entries) => next.extend(self.sort(host, dir, entries).await?),
                        Err(trouble) if trouble.fatal => return Err(trouble),
                        Err(trouble) => self.refused.push((dir.remote.clone(), trouble)),
                    }
                }
            }
            self.directories.append(&mut level);
            level = next;
        }
        Ok(())
    }

    /// Adds a regular file, unless the host does not say how long it is: it would
    /// pass for an empty one.
    pub(super) fn add_file(&mut self, file: Found) {
        if file.attributes.size.is_some() {
            return self.files.push(file);
        }
        let message = format!("the host does not say how long {} is", shown(&file.named));
        let trouble = Trouble::file("unknown_size", Phase::Transfer, message);
        self.refused.push((
            file.named,
            trouble.hint("move an archive of it, or use another SFTP server there"),
        ));
    }

    /// The names in a directory, for as long as there is room for them.
    async fn read(&self, host: &Host<'_>, dir: &Found) -> Result<Vec<Entry>, Trouble> {
        let failed = |error| Trouble::sftp(error, "read", &dir.remote);
        let opened = host.sftp.open_dir(&dir.remote).await.map_err(failed)?;
        let mut entries = Vec::new();
        while let Some(mut more) = opened.next().await.map_err(failed)? {
            more.retain(|entry| entry.name != b"." && entry.name != b"..");
            let names: usize = more.iter().map(|entry| entry.name.len()).sum();
            // Those that say nothing count too, or there might be no end of them.
            let count = more.len().max(1);
            self.taken.add(count, count * (ENTRY + PATHS * dir.remote.len()) + PATHS * names)?;
            entries.extend(more);
        }
        opened.close().await.map_err(failed)?;
        Ok(entries)
    }

    /// Sorts what is in a directory; gives the directories that are still to be
    /// read.
    async fn sort(
        &mut self,
        host: &Host<'_>,
        dir: &Found,
        entries: Vec<Entry>,
    ) -> Result<Vec<Found>, Trouble> {
        let mut directories = Vec::new();
        let mut names = BTreeSet::new();
        for entry in entries {
            let suspect = |why: &str| {
                let message =
                    format!("the host lists a name in {} that is {why}", shown(&dir.remote));
                Trouble::file("suspect_name", Phase::Transfer, message)
                    .hint("the host may be hostile: look at that directory there")
            };
            let below = match dir.below.join(&entry.name) {
                Ok(below) if names.insert(entry.name.clone()) => below,
                Ok(_) => {
                    self.refused.push((told(dir, &entry.name), suspect("there twice")));
                    continue;
                }
                Err(why) => {
                    self.refused.push((told(dir, &entry.name), suspect(&why.to_string())));
                    continue;
                }
            };
            let remote = path::join(&dir.remote, &entry.name);
            let said = entry.attributes;
            let attributes = match said.permissions.is_some() && said.size.is_some() {
                true => said,
                false => match host.sftp.lstat(&remote).await {
                    Ok(attributes) => attributes,
                    Err(error) => {
                        let trouble = Trouble::sftp(error, "look at", &remote);
                        if trouble.fatal {
                            return Err(trouble);
                        }
                        self.refused.push((remote, trouble));
                        continue;
                    }
                },
            };
            let found = Found { named: remote.clone(), remote, below, attributes };
            if attributes.is_dir() {
                directories.push(found);
            } else if attributes.is_file() {
                self.add_file(found);
            } else if attributes.is_symlink() {
                match host.sftp.readlink(&found.remote).await {
                    Ok(target) => {
                        self.taken.add(0, target.len())?;
                        self.symlinks.push((found, target));
                    }
                    Err(error) => {
                        let trouble = Trouble::sftp(error, "read the link", &found.remote);
                        self.refused.push((found.remote, trouble));
                    }
                }
            } else {
                let path = std::os::unix::ffi::OsStringExt::from_vec(found.remote);
                self.skipped.push(Skipped { path, why: "neither a file nor a directory" });
            }
        }
        Ok(directories)
    }
}

impl Listing {
    /// Refuses what would land where something else does.
    pub(super) fn refuse_clashes(&mut self) {
        let mut taken: BTreeSet<RelativePath> =
            self.directories.iter().map(|dir| dir.below.clone()).collect();
        let mut clashes = Vec::new();
        let mut is_free = |found: &Found| {
            let free = taken.insert(found.below.clone());
            if !free {
                clashes.push(found.named.clone());
            }
            free
        };
        self.files.retain(&mut is_free);
        self.symlinks.retain(|(link, _)| is_free(link));
        for remote in clashes {
            let message = format!("{} would land where another source does", shown(&remote));
            let trouble = Trouble::file("name_clash", Phase::Transfer, message);
            self.refused.push((remote, trouble.hint("move them one by one")));
        }
    }
}

/// A path for the results only, of a name that is not used for anything else.
fn told(dir: &Found, name: &[u8]) -> Vec<u8> {
    const NAME_MAX: usize = 256;
    [&dir.remote, &b"/"[..], &name[..name.len().min(NAME_MAX)]].concat()
}
