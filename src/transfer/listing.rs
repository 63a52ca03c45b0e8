//! What is below a directory of a host.
//!
//! The host may be hostile: a name that would lead elsewhere is refused, and so
//! is one that comes twice; the whole is bounded.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::host::Host;
use super::local::RelativePath;
use super::path;
use super::trouble::{Trouble, shown};
use crate::outcome::{Phase, Skipped};
use crate::sftp::{Attributes, Entry};

/// The most files and directories of one transfer.
const ENTRIES_MAX: usize = 1_000_000;

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
                let reading = some.iter().map(|dir| host.sftp.read_dir(&dir.remote));
                for (dir, entries) in some.iter().zip(join_all(reading).await) {
                    match entries {
                        Ok(entries) => next.extend(self.sort(host, dir, entries).await?),
                        Err(error) => {
                            let trouble = Trouble::sftp(error, "read", &dir.remote);
                            if trouble.fatal {
                                return Err(trouble);
                            }
                            self.refused.push((dir.remote.clone(), trouble));
                        }
                    }
                }
            }
            self.directories.append(&mut level);
            level = next;
        }
        Ok(())
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
            let attributes = match entry.attributes.permissions {
                Some(_) => entry.attributes,
                None => host
                    .sftp
                    .lstat(&remote)
                    .await
                    .map_err(|error| Trouble::sftp(error, "look at", &remote))?,
            };
            let found = Found { named: remote.clone(), remote, below, attributes };
            if attributes.is_dir() {
                directories.push(found);
            } else if attributes.is_file() {
                self.files.push(found);
            } else if attributes.is_symlink() {
                match host.sftp.readlink(&found.remote).await {
                    Ok(target) => self.symlinks.push((found, target)),
                    Err(error) => {
                        let trouble = Trouble::sftp(error, "read the link", &found.remote);
                        self.refused.push((found.remote, trouble));
                    }
                }
            } else {
                let path = std::os::unix::ffi::OsStringExt::from_vec(found.remote);
                self.skipped.push(Skipped { path, why: "neither a file nor a directory" });
            }
            let all = self.files.len() + self.symlinks.len() + self.directories.len();
            if all + directories.len() > ENTRIES_MAX {
                let message = format!("there are more than {ENTRIES_MAX} files and directories");
                return Err(Trouble::file("too_many_files", Phase::Transfer, message)
                    .fatal()
                    .hint("move an archive of them"));
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
        self.files.retain(|file| {
            let free = taken.insert(file.below.clone());
            if !free {
                clashes.push(file.named.clone());
            }
            free
        });
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
