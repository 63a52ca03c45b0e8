//! The files of a ledger: one journal for each process, JSON lines.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Entry;

/// How long other processes may sweep before we give up, and how often we look.
const SWEEP_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(1);

/// A journal of more bytes is none of ours.
const DEAD_MAX: u64 = 16 << 20;

/// One line.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Open {
        id: String,
        #[serde(flatten)]
        entry: Entry,
    },
    Closed(String),
}

/// Bytes as text.
pub(super) mod base64 {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// The right to begin journals and to take over dead ones. Without it a journal
/// that is made, and not locked yet, would pass for dead.
pub(super) struct Sweep {
    dir: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Sweep {
    /// Takes the right for a directory, which is made when it is missing.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = fs::metadata(dir)?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.mode() & 0o022 != 0 {
            let message = format!("{} can be written by others", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).mode(0o600).open(dir.join("lock"))?;
        let since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_owned(), _lock: lock }),
                Err(TryLockError::WouldBlock) if since.elapsed() < SWEEP_MAX => thread::sleep(POLL),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The journals of processes that are gone. One that cannot be read is
    /// left alone.
    pub(super) fn dead(&self) -> io::Result<Vec<Dead>> {
        let mut dead = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                match Dead::read(path.clone()) {
                    Ok(journal) => dead.extend(journal),
                    // Its process ended just now, with nothing left open.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "cannot read a journal");
                    }
                }
            }
        }
        Ok(dead)
    }
}

/// The journal of this process.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Its lock says that we live.
    file: File,
    len: u64,
    /// Whether there may be half a line at its end.
    torn: bool,
}

impl Journal {
    pub(super) fn create(sweep: &Sweep) -> io::Result<Self> {
        let path = sweep.dir.join(format!("{}.jsonl", Uuid::now_v7()));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        let journal = Self { path, file, len: 0, torn: false };
        match journal.file.try_lock() {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.remove();
                Err(error.into())
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn open(&mut self, id: Uuid, entry: &Entry) -> io::Result<()> {
        self.append(&Line::Open { id: id.to_string(), entry: entry.clone() })
    }

    pub(super) fn closed(&mut self, id: Uuid) -> io::Result<()> {
        self.append(&Line::Closed(id.to_string()))
    }

    /// Removes its file; the lock goes with it.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Appends a line, whole or not at all.
    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes);
        match written {
            Ok(()) => {
                self.len += bytes.len() as u64;
                self.torn = false;
            }
            Err(_) => self.torn = self.file.set_len(self.len).is_err() || self.torn,
        }
        written
    }
}

/// The journal of a process that is gone, locked by us.
pub(super) struct Dead {
    journal: Journal,
    open: BTreeMap<Uuid, Entry>,
}

impl Dead {
    /// Reads a journal, unless its process lives.
    fn read(path: PathBuf) -> io::Result<Option<Self>> {
        let metadata = fs::symlink_metadata(&path)?;
        if !metadata.is_file() || metadata.len() > DEAD_MAX {
            let message = "it is no file of ours, or larger than 16 MiB: remove it by hand";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(DEAD_MAX).read_to_end(&mut bytes)?;
        // Its process may have been killed in the middle of a line.
        let torn = bytes.last().is_some_and(|&byte| byte != b'\n');
        let journal = Journal { path, file, len: bytes.len() as u64, torn };
        Ok(Some(Self { journal, open: still_open(&bytes) }))
    }

    /// Takes what is open for a login, and says how many others are.
    pub(super) fn entries(&mut self, login: &str) -> (BTreeMap<Uuid, Entry>, usize) {
        let open = std::mem::take(&mut self.open);
        let (theirs, others) = open.into_iter().partition(|(_, entry)| entry.login == login);
        self.open = others;
        (theirs, self.open.len())
    }

    pub(super) fn closed(&mut self, id: Uuid) -> io::Result<()> {
        self.journal.closed(id)
    }

    pub(super) fn remove(self) {
        self.journal.remove();
    }
}

/// What the lines have opened and not closed. Those that make no sense are
/// passed over.
fn still_open(bytes: &[u8]) -> BTreeMap<Uuid, Entry> {
    let mut open = BTreeMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Open { id, entry }) => {
                if let Ok(id) = Uuid::parse_str(&id) {
                    open.insert(id, entry);
                }
            }
            Ok(Line::Closed(id)) => {
                if let Ok(id) = Uuid::parse_str(&id) {
                    open.remove(&id);
                }
            }
            Err(_) => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let id = "019a0000-0000-7000-8000-000000000001";
        let open = format!(
            r#"{{"open":{{"id":"{id}","login":"a@b:22","kind":"part","path":"L3g=","target":"L3k=",
            "source":"","run_as":null,"colour":"blue"}}}}"#
        )
        .replace('\n', " ");
        let lines = |text: &str| still_open(text.as_bytes()).len();
        assert_eq!(lines(&open), 1);
        assert_eq!(still_open(open.as_bytes()).values().next().unwrap().path, b"/x");
        assert_eq!(lines(&format!("{open}\n{{\"closed\":\"{id}\"}}\n")), 0);
        assert_eq!(lines(&format!("{open}\n{{\"closed\":\"{id}\n")), 1);
        assert_eq!(lines(&format!("\u{0}\n[]\n{{\"moved\":1}}\n{open}\n{}", &open[..99])), 1);
        assert_eq!(lines(&open.replace("L3g=", "?")), 0);
        assert_eq!(lines(&open.replace(id, "7")), 0);
    }
}
