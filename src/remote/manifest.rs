//! What exactly is to be sent, known by its content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that an upload sends, by its path on this machine. What is not in
/// it, or is not what it says, is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(pub BTreeMap<PathBuf, Item>);

/// One file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A directory.
    Dir {
        /// Its permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Its permission bits.
        mode: u32,
        /// Its size in bytes.
        size: u64,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
    },
    /// A symbolic link, which is sent as what it is.
    Symlink {
        /// What it says.
        target: Vec<u8>,
    },
}

impl Manifest {
    /// The SHA-256 of a file.
    pub fn sha256(&self, path: &Path) -> Option<&str> {
        match self.0.get(path) {
            Some(Item::File { sha256, .. }) => Some(sha256),
            _ => None,
        }
    }
}
