//! Files in memory. Paths begin where a login does; `/` is the same place.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What there is under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    File(Vec<u8>),
    Link(Vec<u8>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<Vec<u8>, Node>);

impl Tree {
    pub(crate) fn dir(self, path: impl AsRef<[u8]>) -> Self {
        self.with(path, Node::Dir)
    }

    pub(crate) fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.with(path, Node::File(content.as_ref().into()))
    }

    pub(crate) fn link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(path, Node::Link(target.as_ref().into()))
    }

    fn with(mut self, path: impl AsRef<[u8]>, node: Node) -> Self {
        self.put(path.as_ref(), node);
        self
    }

    /// What is under a path itself.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Node> {
        let path = plain(path);
        if path.is_empty() { Some(&Node::Dir) } else { self.0.get(&path) }
    }

    /// The content of a file.
    pub(crate) fn content(&self, path: impl AsRef<[u8]>) -> Option<&[u8]> {
        match self.get(path.as_ref())? {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    /// Where a path leads, behind symbolic links at its end.
    pub(super) fn follow(&self, path: &[u8]) -> Vec<u8> {
        let mut path = plain(path);
        for _ in 0..8 {
            let Some(Node::Link(target)) = self.get(&path) else { break };
            let dir = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            path = plain(&[&path[..dir], target].concat());
        }
        path
    }

    pub(super) fn put(&mut self, path: &[u8], node: Node) {
        self.0.insert(plain(path), node);
    }

    pub(super) fn content_mut(&mut self, path: &[u8]) -> Option<&mut Vec<u8>> {
        match self.0.get_mut(&plain(path))? {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, path: &[u8]) -> Option<Node> {
        self.0.remove(&plain(path))
    }

    /// The names in a directory, and what they are.
    pub(super) fn names(&self, dir: &[u8]) -> Vec<(Vec<u8>, Node)> {
        let dir = plain(dir);
        let below = |path: &Vec<u8>| -> Option<Vec<u8>> {
            let rest = match dir.is_empty() {
                true => &path[..],
                false => path.strip_prefix(&dir[..])?.strip_prefix(b"/")?,
            };
            (!rest.contains(&b'/')).then(|| rest.to_vec())
        };
        self.0.iter().filter_map(|(path, node)| Some((below(path)?, node.clone()))).collect()
    }

    /// Every path whose last name a file in the making has.
    pub(crate) fn parts(&self) -> Vec<String> {
        let paths = self.0.keys().map(|path| String::from_utf8_lossy(path).into_owned());
        paths.filter(|path| path.ends_with(".part")).collect()
    }

    /// Puts all of it into a directory of the disk, for real tools.
    pub(super) fn write_to(&self, dir: &Path) -> io::Result<()> {
        for (path, node) in &self.0 {
            let path = dir.join(OsStr::from_bytes(path));
            match node {
                Node::Dir => fs::create_dir_all(path)?,
                Node::File(content) => fs::write(path, content)?,
                Node::Link(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), path)?,
            }
        }
        Ok(())
    }
}

/// The path in one spelling: no `/` but between names, and no `.`.
fn plain(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.collect::<Vec<_>>().join(&b'/')
}
