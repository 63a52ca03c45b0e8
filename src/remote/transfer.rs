//! Files for a host, or from one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Command, InvalidCommand, Manifest, RunAs};

/// How long nothing may move before a transfer is given up.
const STALL: Duration = Duration::from_secs(60);

/// Files to be moved to a host or from it, each of them whole or not at all.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub(crate) direction: Direction,
    pub(crate) sources: Vec<OsString>,
    pub(crate) target: OsString,
    pub(crate) per_host: bool,
    pub(crate) recursive: bool,
    pub(crate) preserve: bool,
    pub(crate) mode: Option<u32>,
    pub(crate) mkdir: bool,
    pub(crate) resume: bool,
    pub(crate) sha256: Option<String>,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) stall: Duration,
    /// What exactly an upload sends.
    pub(crate) manifest: Option<Arc<Manifest>>,
}

/// Which way files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the host to here.
    Download,
    /// From here to the host.
    #[default]
    Upload,
}

/// Why files can be moved to or from no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransfer {
    /// A mode beyond `7777`.
    #[error("{0:o} is not a file mode: use three or four octal digits, such as 644")]
    Mode(u32),
    /// NUL in a path.
    #[error("a path holds a NUL byte, which no file name can carry")]
    Nul,
    /// An empty path.
    #[error("a path is empty")]
    EmptyPath,
    /// Nothing to move.
    #[error("there is nothing to move: name a source and a target")]
    Nothing,
    /// The user of sudo.
    #[error(transparent)]
    RunAs(#[from] InvalidCommand),
}

impl Transfer {
    /// A local file, to be put at a path of the host. A directory there, or a
    /// path that ends in `/`, means into it.
    pub fn upload(local: impl AsRef<Path>, remote: impl AsRef<OsStr>) -> Self {
        Self::new(Direction::Upload, local.as_ref().as_os_str(), remote.as_ref())
    }

    /// A file of the host, to be put at a local path. A directory there, or a
    /// path that ends in `/`, means into it.
    pub fn download(remote: impl AsRef<OsStr>, local: impl AsRef<Path>) -> Self {
        Self::new(Direction::Download, remote.as_ref(), local.as_ref().as_os_str())
    }

    fn new(direction: Direction, source: &OsStr, target: &OsStr) -> Self {
        Self {
            direction,
            sources: vec![source.into()],
            target: target.into(),
            per_host: false,
            recursive: false,
            preserve: false,
            mode: None,
            mkdir: false,
            resume: false,
            sha256: None,
            bytes_per_second: None,
            run_as: None,
            timeout: None,
            stall: STALL,
            manifest: None,
        }
    }

    /// Adds a source; with several, the target is a directory.
    pub fn and(mut self, source: impl AsRef<OsStr>) -> Self {
        self.sources.push(source.as_ref().into());
        self
    }

    /// Takes directories with everything in them.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Gives each file the permissions and the time of modification of its
    /// source.
    pub fn preserve(mut self, preserve: bool) -> Self {
        self.preserve = preserve;
        self
    }

    /// Gives each file these permission bits.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Makes the directories that are missing above the target.
    pub fn mkdir(mut self, mkdir: bool) -> Self {
        self.mkdir = mkdir;
        self
    }

    /// Goes on where an interrupted transfer of the same file stopped, as far
    /// as its beginning is proven equal; and leaves what has arrived for the
    /// next time if this one is interrupted.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Puts nothing in place that has another SHA-256 (in hexadecimal). For
    /// one file.
    pub fn sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }

    /// Moves at most this many bytes in a second on each host; 0 is no limit.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes).filter(|&bytes| bytes > 0);
        self
    }

    /// Reads or writes on the host as another user, by sudo.
    pub fn run_as(mut self, run_as: RunAs) -> Self {
        self.run_as = Some(run_as);
        self
    }

    /// How long the whole may take on each host; there is no limit without it,
    /// nor with zero.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self
    }

    /// How long nothing may move before it is given up.
    pub fn stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sends exactly what is in a manifest: anything else, or anything that has
    /// changed, fails before it is in place. For an upload.
    pub fn manifest(mut self, manifest: Arc<Manifest>) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Which way files go.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The transfer as text, for people and records.
    pub fn display(&self) -> String {
        let verb = match self.direction {
            Direction::Download => "download",
            Direction::Upload => "upload",
        };
        let sources = Command::new(verb).args(&self.sources).display();
        let sources = sources.strip_prefix(verb).unwrap_or_default();
        format!("{verb}:{sources} -> {}", Command::new(&self.target).display())
    }

    /// Refuses what could never be moved as it was meant.
    ///
    /// # Errors
    /// Why not.
    pub fn validate(&self) -> Result<(), InvalidTransfer> {
        if self.sources.is_empty() {
            return Err(InvalidTransfer::Nothing);
        }
        for path in self.sources.iter().chain([&self.target]) {
            if path.is_empty() {
                return Err(InvalidTransfer::EmptyPath);
            }
            if path.as_bytes().contains(&0) {
                return Err(InvalidTransfer::Nul);
            }
        }
        if let Some(mode) = self.mode.filter(|&mode| mode > 0o7777) {
            return Err(InvalidTransfer::Mode(mode));
        }
        if let Some(run_as) = &self.run_as {
            Command::new("true").run_as(run_as.clone()).validate()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text() {
        let upload = Transfer::upload("a b", "/opt/").and("c");
        assert_eq!(upload.display(), "upload: 'a b' c -> /opt/");
        assert_eq!(Transfer::download("/x", "y").display(), "download: /x -> y");
    }

    #[test]
    fn what_can_never_arrive_is_refused() {
        assert_eq!(Transfer::upload("", "/x").validate(), Err(InvalidTransfer::EmptyPath));
        assert_eq!(Transfer::upload("a", "").validate(), Err(InvalidTransfer::EmptyPath));
        assert_eq!(Transfer::upload("a", "b\0").validate(), Err(InvalidTransfer::Nul));
        let mode = Transfer::upload("a", "b").mode(0o10000).validate();
        assert_eq!(mode, Err(InvalidTransfer::Mode(0o10000)));
        assert_eq!(Transfer::upload("a", "b").validate(), Ok(()));
    }
}
