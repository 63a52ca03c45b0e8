//! What is at work, as files that are locked for as long: the kernel unlocks
//! those of a process that died.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::{at, key, lock, own_dir};
use crate::hex::hex;
use crate::ids::VmId;
use crate::policy::Instances;

/// Where it is counted.
#[derive(Debug)]
pub(super) enum Place {
    Dir(Arc<Path>),
    Here(Here),
}

/// How many there are in this process, by name.
type Here = Arc<Mutex<HashMap<String, u32>>>;

/// One that is at work, until it is dropped.
#[derive(Debug)]
pub(super) enum Running {
    /// A file, held for its lock.
    File {
        path: PathBuf,
        _lock: File,
    },
    Here(Here, String),
}

impl Default for Place {
    fn default() -> Self {
        Self::Here(Here::default())
    }
}

impl Place {
    pub(super) fn new(dir: Option<Arc<Path>>) -> Self {
        dir.map_or_else(Self::default, Self::Dir)
    }

    /// Counts one more on a host, if there may be one. Blocks for the disk.
    ///
    /// # Errors
    /// The files cannot be made or locked.
    pub(super) fn claim(&self, vm: &VmId, of: &Instances) -> io::Result<Option<Running>> {
        let rule = hex(Sha256::digest(key(&of.scope)));
        let name = format!("{vm}.{}", &rule[..16]);
        match self {
            Self::Dir(dir) => {
                let dir = dir.join("running");
                own_dir(&dir)?;
                for number in 0..of.max {
                    let claimed = claim(dir.join(format!("{name}.{number}")))?;
                    if claimed.is_some() {
                        return Ok(claimed);
                    }
                }
                Ok(None)
            }
            Self::Here(here) => {
                let mut counts = lock(here);
                let count = counts.entry(name.clone()).or_default();
                if *count >= of.max {
                    return Ok(None);
                }
                *count += 1;
                Ok(Some(Running::Here(Arc::clone(here), name)))
            }
        }
    }
}

fn claim(path: PathBuf) -> io::Result<Option<Running>> {
    let claim = || {
        loop {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).mode(0o600).open(&path)?;
            match file.try_lock() {
                // The one before removed it while we opened it: it is nobody's.
                Ok(()) if file.metadata()?.nlink() == 0 => {}
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    };
    let file = claim().map_err(|error: io::Error| at(&path, &error))?;
    Ok(file.map(|_lock| Running::File { path, _lock }))
}

impl Drop for Running {
    fn drop(&mut self) {
        match self {
            // First the name, then the lock: who has a lock has a name.
            Self::File { path, .. } => drop(fs::remove_file(path)),
            Self::Here(here, name) => {
                let mut counts = lock(here);
                if let Some(count) = counts.get_mut(name) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(name);
                    }
                }
            }
        }
    }
}
