//! Proof of how often a command ran.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file to which a command appends a line each time it runs, whoever runs it.
pub(crate) struct Counter {
    dir: TempDir,
}

impl Counter {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let counter = Self { dir };
        fs::write(counter.path(), "").unwrap();
        fs::set_permissions(counter.path(), fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(counter.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        counter
    }

    /// A shell command that counts one run.
    pub(crate) fn command(&self) -> String {
        format!("echo ran >> {}", self.path().display())
    }

    /// How often it ran so far.
    pub(crate) fn runs(&self) -> usize {
        fs::read_to_string(self.path()).unwrap().lines().count()
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::join(self.dir.path(), "runs")
    }
}
