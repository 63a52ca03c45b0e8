//! SFTP version 3 over a channel (draft-ietf-secsh-filexfer-02, and the
//! extensions that OpenSSH describes in its PROTOCOL file).
//!
//! Many requests may be under way at once, from many tasks; replies come in any
//! order. Names are bytes, in both directions. What a server says is bounded,
//! never believed.
//!
//! Dropping the future of a request leaves the session usable. The request may
//! have been sent; it counts as one under way until its answer came.

mod attributes;
mod error;
mod file;
mod frames;
mod link;
mod reply;
mod session;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

pub use attributes::{Attributes, Owner, Times};
pub use error::{SftpError, StatusCode};
pub use file::{Dir, File, Open};
pub use reply::Entry;
pub use session::{Extension, Sftp};

use reply::{Expect, Reply};
use wire::{Fields, Request, kind};

/// The longest path that is sent; longer than any host's `PATH_MAX`.
const PATH_MAX: usize = 16 * 1024;

/// The bounds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long the server may send nothing at all while it owes an answer;
    /// measured to an eighth.
    pub stall: Duration,
    /// From the channel to the first request.
    pub start: Duration,
    /// Requests under way at once; more wait.
    pub requests_max: usize,
    /// Handles open at once; opening more waits. OpenSSH has its own limit,
    /// which counts too if it is lower.
    pub handles_max: usize,
    /// The most bytes in one read or write, at most 256 KiB; the server's own
    /// limit counts if it is lower.
    pub packet_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(60),
            start: Duration::from_secs(15),
            requests_max: 64,
            handles_max: 64,
            packet_max: 255 * 1024,
        }
    }
}

/// What a file system has left (`statvfs@openssh.com`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: u64,
    /// Files that an ordinary user may still make; `None` where the file system
    /// does not count them.
    pub free_inodes: Option<u64>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// Requests about paths. Each fails with [`SftpError::Status`] if the server
/// refuses, and is cancel safe as the module says.
impl Sftp {
    /// The attributes of what a path leads to.
    pub async fn stat(&self, path: &[u8]) -> Result<Attributes, SftpError> {
        self.attributes_of(Request::new(kind::STAT, Expect::Attributes).path(path)?).await
    }

    /// The attributes of a path itself, be it a symbolic link.
    pub async fn lstat(&self, path: &[u8]) -> Result<Attributes, SftpError> {
        self.attributes_of(Request::new(kind::LSTAT, Expect::Attributes).path(path)?).await
    }

    /// Sets those attributes that are given, of what a path leads to.
    pub async fn setstat(&self, path: &[u8], attributes: &Attributes) -> Result<(), SftpError> {
        let request = Request::new(kind::SETSTAT, Expect::Status).path(path)?;
        self.done(request.attributes(attributes)).await
    }

    /// Sets those attributes that are given, of a path itself, be it a symbolic
    /// link (`lsetstat@openssh.com`). A system that cannot do that for a mode
    /// refuses.
    pub async fn lsetstat(&self, path: &[u8], attributes: &Attributes) -> Result<(), SftpError> {
        let request = self.extended(Extension::Lsetstat, Expect::Status)?.path(path)?;
        self.done(request.attributes(attributes)).await
    }

    /// Makes a directory. The host's umask applies to the mode.
    pub async fn mkdir(&self, path: &[u8], mode: u32) -> Result<(), SftpError> {
        let request = Request::new(kind::MKDIR, Expect::Status).path(path)?;
        self.done(request.attributes(&Attributes::with_mode(mode))).await
    }

    /// Removes an empty directory.
    pub async fn rmdir(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(Request::new(kind::RMDIR, Expect::Status).path(path)?).await
    }

    /// Removes a file, or a symbolic link itself.
    pub async fn remove(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(Request::new(kind::REMOVE, Expect::Status).path(path)?).await
    }

    /// Makes a symbolic link `link` that says `target`.
    pub async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<(), SftpError> {
        // The draft has the link first. OpenSSH's server takes the target
        // first, and says so in its PROTOCOL file, 4.1; others followed it.
        let request = Request::new(kind::SYMLINK, Expect::Status);
        self.done(request.path(target)?.path(link)?).await
    }

    /// What a symbolic link says.
    pub async fn readlink(&self, path: &[u8]) -> Result<Vec<u8>, SftpError> {
        self.single_name(Request::new(kind::READLINK, Expect::Names).path(path)?).await
    }

    /// A path made absolute, by the server's idea of it.
    pub async fn realpath(&self, path: &[u8]) -> Result<Vec<u8>, SftpError> {
        self.single_name(Request::new(kind::REALPATH, Expect::Names).path(path)?).await
    }

    /// Renames; fails if `to` exists.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        self.done(Request::new(kind::RENAME, Expect::Status).path(from)?.path(to)?).await
    }

    /// Renames; what `to` was is replaced in one step, as POSIX has it
    /// (`posix-rename@openssh.com`).
    pub async fn posix_rename(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        let request = self.extended(Extension::PosixRename, Expect::Status)?;
        self.done(request.path(from)?.path(to)?).await
    }

    /// What is left on the file system that a path is on.
    pub async fn statvfs(&self, path: &[u8]) -> Result<Space, SftpError> {
        let request = self.extended(Extension::Statvfs, Expect::Extended)?.path(path)?;
        let reply = self.extended_reply(request).await?;
        space(reply).map_err(|violation| self.violated(violation))
    }

    async fn attributes_of(&self, request: Request) -> Result<Attributes, SftpError> {
        match self.call(request).await? {
            Reply::Attributes(attributes) => Ok(attributes),
            _ => Err(self.unexpected()),
        }
    }

    async fn single_name(&self, request: Request) -> Result<Vec<u8>, SftpError> {
        let Reply::Names(entries) = self.call(request).await? else {
            return Err(self.unexpected());
        };
        match <[Entry; 1]>::try_from(entries) {
            Ok([entry]) => Ok(entry.name),
            Err(_) => Err(self.violated("not one name where one was asked for".into())),
        }
    }

    async fn extended_reply(&self, request: Request) -> Result<Fields, SftpError> {
        match self.call(request).await? {
            Reply::Extended(reply) => Ok(Fields::new(reply)),
            _ => Err(self.unexpected()),
        }
    }

    async fn done(&self, request: Request) -> Result<(), SftpError> {
        self.call(request).await.map(drop)
    }
}

impl Request {
    /// A path, unless it cannot be sent: OpenSSH's server ends the session on a
    /// NUL, for everybody who uses it.
    fn path(self, path: &[u8]) -> Result<Self, SftpError> {
        if path.contains(&0) {
            return Err(SftpError::Unsupported("a path with a NUL byte"));
        }
        if path.len() > PATH_MAX {
            return Err(SftpError::Unsupported("a path of more than 16 KiB"));
        }
        Ok(self.string(path))
    }
}

/// Reads `struct statvfs` as OpenSSH sends it.
fn space(mut reply: Fields) -> Result<Space, wire::Violation> {
    let _block_size = reply.u64()?;
    let fragment_size = reply.u64()?;
    let blocks = reply.u64()?;
    let _free_blocks = reply.u64()?;
    let available_blocks = reply.u64()?;
    let inodes = reply.u64()?;
    let _free_inodes = reply.u64()?;
    let available_inodes = reply.u64()?;
    let _id = reply.u64()?;
    let flags = reply.u64()?;
    Ok(Space {
        total_bytes: blocks.saturating_mul(fragment_size),
        free_bytes: available_blocks.saturating_mul(fragment_size),
        free_inodes: (inodes > 0).then_some(available_inodes),
        read_only: flags & 1 != 0,
    })
}
