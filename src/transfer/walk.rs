//! What is to be sent: the operator's sources, and everything in those that are
//! directories.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FileType;
use tokio_util::sync::CancellationToken;

use super::landing::{NoLanding, Place, landing};
use super::local::{Found, LocalError, RelativePath, Root, SuspectName};
use super::source::Source;
use crate::outcome::Skipped;

/// How many files and directories one transfer may have.
const ENTRIES_MAX: usize = 1_000_000;

/// Sources, and all that is in them. Each directory stands before what is in
/// it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// What is to be sent, in order.
    pub(crate) entries: Vec<Entry>,
    /// What is left out.
    pub(crate) skipped: Vec<Skipped>,
    sources: Vec<Named>,
}

/// One file, directory or link of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it is below its source; the empty path is the source itself.
    below: RelativePath,
    source: usize,
}

/// What there is to send. Modes are permission bits, without setuid, setgid
/// and sticky.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir {
        /// Its permission bits.
        mode: u32,
        /// When it was modified.
        mtime: SystemTime,
    },
    /// A regular file.
    File {
        /// Its size in bytes, when it was found.
        size: u64,
        /// Its permission bits.
        mode: u32,
        /// When it was modified.
        mtime: SystemTime,
    },
    /// A symbolic link, which is sent as what it is.
    Symlink {
        /// What it says.
        target: Vec<u8>,
    },
}

/// Where the sources of a tree land on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landings(Vec<RelativePath>);

/// Why sources cannot land together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unlandable {
    /// Two of them in one place.
    #[error("two of the sources would become the same file, {}", .0.display())]
    Clash(PathBuf),
    /// One of them can land nowhere.
    #[error("{}: {why}", source_path.display())]
    Nowhere {
        /// The source.
        source_path: PathBuf,
        /// Why not.
        why: NoLanding,
    },
}

/// A source as the operator named it.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    /// Open, if it is a directory.
    root: Option<Root>,
}

/// A directory of a tree that is open.
pub(crate) struct Near {
    source: usize,
    above: RelativePath,
    dir: Root,
}

impl Tree {
    /// Finds everything that is to be sent. A link that the operator named is
    /// followed, one further down is not. Blocks on the disk.
    ///
    /// # Errors
    /// A source or a directory in it cannot be read, a source is neither a file
    /// nor a directory (or is one, without `recursive`), there are too many
    /// entries; or `cancel`.
    pub(crate) fn of(
        sources: &[OsString],
        recursive: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, LocalError> {
        Self::bounded(sources, recursive, cancel, ENTRIES_MAX)
    }

    fn bounded(
        sources: &[OsString],
        recursive: bool,
        cancel: &CancellationToken,
        most: usize,
    ) -> Result<Self, LocalError> {
        let mut tree = Self { entries: Vec::new(), skipped: Vec::new(), sources: Vec::new() };
        for path in sources {
            let path = PathBuf::from(path);
            let found = fs::metadata(&path).map_err(|e| LocalError::io("open", &path, e))?;
            if !found.is_dir() {
                tree.add_file(path, most)?;
            } else if recursive {
                tree.sources.push(Named { root: Some(Root::open(&path)?), path });
                tree.walk(cancel, most)?;
            } else {
                return Err(LocalError::NeedsRecursive(path));
            }
        }
        Ok(tree)
    }

    /// Where everything lands on a host where the target is this.
    ///
    /// # Errors
    /// A source can land nowhere, or two files would land in one place.
    pub(crate) fn land(&self, target: Place) -> Result<Landings, Unlandable> {
        let several = self.sources.len() > 1;
        let mut landings = Vec::new();
        for Named { path, root } in &self.sources {
            let landing = landing(path.as_os_str(), root.is_some(), several, target);
            let nowhere = |why| Unlandable::Nowhere { source_path: path.clone(), why };
            landings.push(landing.map_err(nowhere)?);
        }
        let landings = Landings(landings);
        if several {
            landings.check(self)?;
        }
        Ok(landings)
    }

    /// The path of an entry on this machine.
    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        match self.sources.get(entry.source) {
            Some(source) if entry.below.is_here() => source.path.clone(),
            Some(source) => source.path.join(entry.below.as_path()),
            None => entry.below.as_path().into(),
        }
    }

    /// Opens an entry that is a file. Those that follow each other are mostly in
    /// one directory, which stays open in `near`. Blocks on the disk.
    ///
    /// # Errors
    /// It is not there any more, no regular file any more, or must not be read.
    pub(crate) fn open(
        &self,
        entry: &Entry,
        near: &mut Option<Near>,
    ) -> Result<Source, LocalError> {
        let root = self.sources.get(entry.source).and_then(|source| source.root.as_ref());
        let (Some(root), Some((above, name))) = (root, entry.below.split_last()) else {
            return Source::named(&self.path(entry));
        };
        let dir = match near.take() {
            Some(near) if near.source == entry.source && near.above == above => near.dir,
            _ => root.enter(&above)?,
        };
        let source = Source::within(&dir, name);
        *near = Some(Near { source: entry.source, above, dir });
        source
    }

    fn add_file(&mut self, path: PathBuf, most: usize) -> Result<(), LocalError> {
        // Tells what is wrong before anything is sent.
        let source = Source::named(&path)?;
        let (size, mode, mtime) = (source.size(), source.mode(), source.mtime()?);
        self.sources.push(Named { path, root: None });
        self.add(RelativePath::default(), Kind::File { size, mode, mtime }, most)
    }

    /// Adds everything in the source that was added last. Only one directory is
    /// open at a time.
    fn walk(&mut self, cancel: &CancellationToken, most: usize) -> Result<(), LocalError> {
        let Some(Named { path, root: Some(root) }) = self.sources.last() else { return Ok(()) };
        let (path, root) = (path.clone(), root.clone());
        let mut left = vec![(RelativePath::default(), root.found()?)];
        while let Some((below, Found { mode, mtime, .. })) = left.pop() {
            if cancel.is_cancelled() {
                return Err(LocalError::Cancelled);
            }
            let dir = root.enter(&below)?;
            self.add(below.clone(), Kind::Dir { mode, mtime }, most)?;
            let room = most - self.entries.len();
            let names = dir.names(room)?.ok_or(LocalError::TooMany(most))?;
            let mut dirs = Vec::new();
            for name in names {
                let suspect = |why| LocalError::Suspect { within: dir.path().into(), why };
                let at: Result<_, SuspectName> = below.join(&name);
                let at = at.map_err(suspect)?;
                self.sort_in(&dir, at, &path, &mut dirs, most)?;
            }
            left.extend(dirs.into_iter().rev());
        }
        Ok(())
    }

    fn sort_in(
        &mut self,
        dir: &Root,
        at: RelativePath,
        source: &Path,
        dirs: &mut Vec<(RelativePath, Found)>,
        most: usize,
    ) -> Result<(), LocalError> {
        let Some((_, name)) = at.split_last() else { return Ok(()) };
        let Some(found) = dir.look(name)? else { return Ok(()) };
        let (mode, mtime) = (found.mode, found.mtime);
        let why = match found.kind {
            FileType::Directory => {
                dirs.push((at, found));
                return Ok(());
            }
            FileType::RegularFile => {
                return self.add(at, Kind::File { size: found.size, mode, mtime }, most);
            }
            FileType::Symlink => {
                let target = dir.read_link(name)?;
                return self.add(at, Kind::Symlink { target }, most);
            }
            FileType::Fifo => "it is a named pipe",
            FileType::Socket => "it is a socket",
            _ => "it is a device",
        };
        self.skipped.push(Skipped { path: source.join(at.as_path()).into(), why });
        Ok(())
    }

    fn add(&mut self, below: RelativePath, kind: Kind, most: usize) -> Result<(), LocalError> {
        if self.entries.len() + self.skipped.len() >= most {
            return Err(LocalError::TooMany(most));
        }
        self.entries.push(Entry { kind, below, source: self.sources.len() - 1 });
        Ok(())
    }
}

impl Landings {
    /// Where an entry lands below the target; the empty path is the target
    /// itself.
    ///
    /// # Errors
    /// The path is too long.
    pub(crate) fn of(&self, entry: &Entry) -> Result<RelativePath, SuspectName> {
        let landing = self.0.get(entry.source).cloned().unwrap_or_default();
        landing.join_path(&entry.below)
    }

    /// Whether any source lands in the target, and not as the target.
    pub(crate) fn are_below(&self) -> bool {
        self.0.iter().any(|landing| !landing.is_here())
    }

    /// Refuses two files in one place. Directories become one.
    fn check(&self, tree: &Tree) -> Result<(), Unlandable> {
        let mut files = HashSet::new();
        let mut dirs = HashSet::new();
        for entry in &tree.entries {
            let Ok(path) = self.of(entry) else { continue };
            let fresh = match entry.kind {
                Kind::Dir { .. } => {
                    let fresh = !files.contains(&path);
                    dirs.insert(path.clone());
                    fresh
                }
                _ => !dirs.contains(&path) && files.insert(path.clone()),
            };
            if !fresh {
                return Err(Unlandable::Clash(path.as_path().into()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
