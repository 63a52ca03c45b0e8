//! One writer at a time, whatever the number of processes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::AuditError;
use super::files;

/// How often a lock that is taken is tried again.
const POLL: Duration = Duration::from_micros(500);

/// The lock file of a log.
#[derive(Clone)]
pub(super) struct Lock {
    path: PathBuf,
    file: Arc<File>,
    wait_max: Duration,
}

/// Holds the lock until dropped.
pub(super) struct Guard(Arc<File>);

impl Lock {
    /// The lock of `log`; it gives up on another holder after `wait_max`.
    pub(super) fn of(log: &Path, wait_max: Duration) -> Result<Self, AuditError> {
        let path = files::beside(log, ".lock");
        let file = Arc::new(files::open_or_create(&path)?);
        Ok(Self { path, file, wait_max })
    }

    /// The lock of `log` if there is one, opened without a right to write.
    pub(super) fn existing(log: &Path, wait_max: Duration) -> Result<Option<Self>, AuditError> {
        let path = files::beside(log, ".lock");
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { path, file: Arc::new(file), wait_max })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AuditError::io("open", &path)(error)),
        }
    }

    /// Takes the lock. It is a `flock`, so the death of its holder frees it;
    /// a holder that is merely stopped is waited for, within a bound.
    pub(super) fn acquire(&self) -> Result<Guard, AuditError> {
        let since = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(AuditError::io("lock", &self.path)(error));
                }
                Err(TryLockError::WouldBlock) if since.elapsed() > self.wait_max => {
                    return Err(AuditError::Busy(self.path.clone()));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(POLL),
            }
        }
        let guard = Guard(self.file.clone());
        // A lock file that was deleted is no lock: others would make their own.
        if !files::is_still(&self.file, &self.path)? {
            return Err(AuditError::Replaced(self.path.clone()));
        }
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
