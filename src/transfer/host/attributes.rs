//! Owners, permissions and directories on a host.

use super::super::path;
use super::super::trouble::{Trouble, shown};
use super::{Host, lock};
use crate::outcome::Phase;
use crate::sftp::{Attributes, Extension, Open as How, SftpError};

impl Host<'_> {
    /// Gives a file in the making the owner of the file that it replaces, where
    /// we may; says whether it has that owner now.
    pub(in crate::transfer) async fn keep_owner(
        &self,
        part: &[u8],
        existing: &Attributes,
    ) -> Result<bool, Trouble> {
        let failed = |error| Trouble::sftp(error, "set the owner of", part);
        let ours = self.sftp.lstat(part).await.map_err(failed)?.owner;
        if existing.owner.is_none() || ours == existing.owner {
            return Ok(true);
        }
        let wanted = Attributes { owner: existing.owner, ..Attributes::default() };
        match self.set(part, &wanted).await {
            Ok(()) => Ok(true),
            Err(error) if error.ends_session() => Err(failed(error)),
            Err(_) => Ok(false),
        }
    }

    /// Sets attributes of what is under a path, and never of what it leads to:
    /// whoever may write in the directory could have put a link there, to have
    /// us change another file.
    pub(in crate::transfer) async fn set(
        &self,
        path: &[u8],
        wanted: &Attributes,
    ) -> Result<(), SftpError> {
        if self.sftp.supports(Extension::Lsetstat) {
            match self.sftp.lsetstat(path, wanted).await {
                // Older systems cannot do that for a mode.
                Err(error) if !error.ends_session() => {}
                done => return done,
            }
        }
        if self.sftp.lstat(path).await?.is_symlink() {
            return Err(SftpError::Unsupported("a symbolic link took its place"));
        }
        self.sftp.setstat(path, wanted).await
    }

    /// Makes a directory unless it is there.
    pub(in crate::transfer) async fn make_directory(
        &self,
        dir: &[u8],
        mode: u32,
    ) -> Result<(), Trouble> {
        let Err(error) = self.sftp.mkdir(dir, mode & 0o777).await else {
            lock(&self.directories).insert(dir.to_vec());
            self.note_change();
            return Ok(());
        };
        match self.stat(dir).await? {
            Some(there) if there.is_dir() => Ok(()),
            Some(_) => {
                let message = format!("{} is there and not a directory", shown(dir));
                Err(Trouble::file("not_directory", Phase::Transfer, message).fatal())
            }
            None => Err(self
                .cannot_write(error, "make a directory in", path::parent(dir))
                .await
                .fatal()),
        }
    }

    /// Whether this transfer made the directory.
    pub(in crate::transfer) fn made(&self, dir: &[u8]) -> bool {
        lock(&self.directories).contains(dir)
    }

    /// The permissions that a new file gets for the bits it asks for.
    pub(in crate::transfer) async fn new_mode(
        &self,
        bits: u32,
        dir: &[u8],
    ) -> Result<u32, Trouble> {
        let umask = self.umask.get_or_try_init(|| self.learn_umask(dir)).await?;
        Ok(bits & 0o777 & !umask)
    }

    /// SFTP does not tell the umask, so a file with all bits shows what is left
    /// of them. It is empty, and gone at once.
    async fn learn_umask(&self, dir: &[u8]) -> Result<u32, Trouble> {
        let probe = self.part_beside(&path::join(dir, b"umask"), b"")?;
        let failed = |error| Trouble::sftp(error, "create a file in", dir);
        let file = self.sftp.open(&probe, How::CreateNew { mode: 0o777 }).await.map_err(failed)?;
        let mode = file.attributes().await.map_err(failed);
        self.discard(&probe).await;
        Ok(0o777 & !mode?.mode().unwrap_or(0o600))
    }
}
