//! Recording a host key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use russh::keys::PublicKey;

use super::hosts::{HashedName, Hosts};
use super::{Accepted, HostKeyError, HostName, KnownHosts, Offered, Place, Voucher};

/// What became of a key that was to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// This line was written.
    Added(Place),
    /// A line said so already; the file was left alone.
    AlreadyThere(Place),
}

/// Why a key was not recorded. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The file revokes the key or has another of its type; only a person may
    /// settle that.
    #[error("the key is not recorded")]
    Refused(#[from] HostKeyError),
    /// The key cannot be written down.
    #[error("the key cannot be encoded")]
    Encode(#[from] russh::keys::ssh_key::Error),
    /// The file could not be read or replaced; the disk may be full.
    #[error("known_hosts file {} could not be written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Appends the line `name key` to `file`, which others may be changing too.
///
/// The file is replaced as a whole under a lock on it: it holds the old lines or
/// the old lines and the new one, never a part, and is durable on return. It
/// keeps its mode and owner; a new file is 0600, a new directory 0700. If the
/// file has hashed lines, so is the new one.
///
/// Blocks the calling thread until the lock is free.
pub fn learn(file: &Path, name: &HostName, key: &PublicKey) -> Result<Learned, LearnError> {
    let io = |source| LearnError::Io { file: file.into(), source };
    let (real, locked) = lock(file).map_err(io)?;
    let mut text = fs::read(&real).map_err(io)?;
    let mut known = KnownHosts::default();
    known.add(file, &text);
    match known.decide(name, &Offered::Key(key.clone()), SystemTime::UNIX_EPOCH, &[]) {
        Ok(Accepted { by: Voucher::Line(at) | Voucher::Authority(at), .. }) => {
            return Ok(Learned::AlreadyThere(at));
        }
        Ok(Accepted { by: Voucher::Pin, .. })
        | Err(HostKeyError::Unknown { .. } | HostKeyError::UnknownType { .. }) => {}
        Err(refused) => return Err(refused.into()),
    }
    if text.last().is_some_and(|&last| last != b'\n') {
        text.push(b'\n');
    }
    let line = text.iter().filter(|&&b| b == b'\n').count() + 1;
    let hosts = known.spelling(name).map_err(io)?;
    text.extend(format!("{hosts} {}\n", plain(key)?).into_bytes());
    replace(&real, &locked, &text).map_err(io)?;
    Ok(Learned::Added(Place { file: file.into(), line }))
}

impl KnownHosts {
    /// The name as the lines around it are written.
    fn spelling(&self, name: &HostName) -> io::Result<String> {
        let hashed = |hosts: &Hosts| matches!(hosts, Hosts::Hashed(_));
        if !self.entries.iter().any(|entry| hashed(&entry.line.hosts)) {
            return Ok(name.to_string());
        }
        let mut salt = [0; 20];
        getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(HashedName::of(name.as_str().as_bytes(), salt).to_string())
    }
}

/// The key without its comment, which is the server's and could say anything.
fn plain(key: &PublicKey) -> Result<String, russh::keys::ssh_key::Error> {
    PublicKey::from(key.key_data().clone()).to_openssh()
}

/// Opens and locks the file, and says where it really is: a link to it stays.
///
/// Whoever holds the lock replaces the file, so the one that we waited for may
/// be gone from its place; then the new one is locked.
fn lock(file: &Path) -> io::Result<(PathBuf, File)> {
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    loop {
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
        open.lock()?;
        let real = fs::canonicalize(file)?;
        let (ours, there) = (open.metadata()?, fs::metadata(&real)?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok((real, open));
        }
    }
}

fn replace(file: &Path, old: &File, text: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".known_hosts.").tempfile_in(dir)?;
    let (old, made) = (old.metadata()?, new.as_file().metadata()?);
    if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
        fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
    }
    new.as_file().set_permissions(old.permissions())?;
    new.write_all(text)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    File::open(dir)?.sync_all()
}
