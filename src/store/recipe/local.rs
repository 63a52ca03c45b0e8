//! Files of this machine that a run needs, known by their content.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Circumstances, absolute};
use crate::hex::hex;
use crate::remote::Script;
use crate::store::detail::Name;

/// A file of this machine whose content counts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct LocalFile {
    pub(super) path: Name,
    /// Empty until it is hashed.
    pub(super) sha256: String,
}

/// Why the same cannot be done again: a file is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum Changed {
    /// It has another content.
    #[error("SHA256 mismatch: {} is {found} now and was {recorded} in the run", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Its digest in the run.
        recorded: String,
        /// Its digest now.
        found: String,
    },
    /// What is remembered makes no sense.
    #[error("what is remembered of the run cannot be read: {0}")]
    Damaged(String),
    /// It cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl LocalFile {
    pub(super) fn new(path: &Path, around: &Circumstances) -> Self {
        Self { path: Name::new(absolute(path, around)), sha256: String::new() }
    }

    pub(super) fn check(&self) -> Result<(), Changed> {
        let path = PathBuf::from(self.path.to_os());
        let mut any_size = u64::MAX;
        match digest(&path, &mut any_size) {
            Ok(found) => self.compare(path, found),
            Err(source) => Err(Changed::Unreadable { path, source }),
        }
    }

    /// The script that it holds: what was checked is what will be sent.
    pub(super) fn script(&self) -> Result<Script, Changed> {
        let path = PathBuf::from(self.path.to_os());
        let mut script = Script::upload(&path);
        let loaded = script.load();
        loaded.map_err(|source| Changed::Unreadable { path: path.clone(), source })?;
        self.compare(path, script.sha256().unwrap_or_default().to_owned())?;
        Ok(script)
    }

    fn compare(&self, path: PathBuf, found: String) -> Result<(), Changed> {
        if found == self.sha256 {
            return Ok(());
        }
        Err(Changed::Content { path, recorded: self.sha256.clone(), found })
    }
}

/// The SHA-256 of a file that is no larger than `left`, which it shortens.
pub(super) fn digest(path: &Path, left: &mut u64) -> io::Result<String> {
    // Opening a pipe would wait, and take from somebody what it holds.
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let too_large = || io::Error::other("it is too large to be hashed beside the run");
    if found.len() >= *left {
        return Err(too_large());
    }
    let mut from = File::open(path)?.take(*left);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    *left = from.limit();
    if *left == 0 {
        return Err(too_large());
    }
    Ok(hex(hash.finalize()))
}
