//! Which files are in the making, so that the next transfer can clean up after
//! one that was killed.

use std::path::PathBuf;

/// Where files in the making are written down.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    dir: Option<PathBuf>,
}

impl Ledger {
    /// A ledger in this directory, which is made when it is first needed; one
    /// without a directory remembers nothing.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// Where it is.
    pub fn dir(&self) -> Option<&std::path::Path> {
        self.dir.as_deref()
    }
}
