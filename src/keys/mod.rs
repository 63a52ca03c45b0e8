//! The life of the keys that we log in with: made, put on hosts, looked at,
//! replaced.
//!
//! The local half is files beside each other: `NAME` and `NAME.pub`; during a
//! rotation `NAME.new` and `NAME.new.pub`, then `NAME.retired.pub` until the old
//! key is off its host; and `….backup.TIME` for what was replaced. The remote
//! half is one line of `~/.ssh/authorized_keys`.

mod authorized;
mod files;
mod generate;
mod rotation;
mod status;

pub use authorized::{Change, EditError, Edited, edit};
pub use generate::{Generated, Pair, generate};
pub use rotation::{Rotation, Stage};
pub use status::{Age, KeyState, Verdict, look};

use std::io;
use std::path::{Path, PathBuf};

use crate::ssh::key_file::GenerateError;
use crate::ssh::keys::KeyError;

/// Why something could not be done with our own key files.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// A key cannot be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A file or directory cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key that is there cannot be used.
    #[error(transparent)]
    Unusable(#[from] KeyError),
}

impl KeyFileError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Generate(_) => "try again; if it stays, look at the system's /dev/urandom".into(),
            Self::Io { .. } => {
                "check the directory's owner and mode, and the space on its disk".into()
            }
            Self::Unusable(error) => error.hint(),
        }
    }
}
