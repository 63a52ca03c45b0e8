//! What is no file in a tree: directories, and symbolic links.

use super::super::landing::{Place, Present};
use super::super::path;
use super::super::trouble::{Trouble, shown};
use super::super::walk::Kind;
use super::Upload;
use super::file::times;
use crate::outcome::Phase;
use crate::sftp::Attributes;

impl Upload<'_> {
    /// Makes the directories of the tree, outermost first. Until the end they
    /// can be written, whatever their modes are to be.
    pub(super) async fn make_directories(&self, place: Place) -> Result<(), Trouble> {
        let missing = place.present == Present::Missing;
        if self.host.transfer.mkdir && missing {
            for dir in path::ancestors(&self.base) {
                self.host.make_directory(dir, 0o777).await?;
            }
            let into = self.landings.are_below();
            if into {
                self.host.make_directory(&self.base, 0o777).await?;
            }
        }
        for entry in &self.tree.entries {
            if let Kind::Dir { mode, .. } = entry.kind {
                self.host.make_directory(&self.remote(entry)?, mode | 0o700).await?;
            }
        }
        Ok(())
    }

    /// Gives the directories what they are to have in the end, innermost first.
    pub(super) async fn finish_directories(&self) -> Result<(), Trouble> {
        for entry in self.tree.entries.iter().rev() {
            let Kind::Dir { mode, mtime } = entry.kind else { continue };
            let dir = self.remote(entry)?;
            let mut wanted = Attributes::default();
            if self.host.transfer.preserve {
                wanted = Attributes::with_mode(mode);
                wanted.times = Some(times(mtime));
            } else if mode & 0o700 != 0o700 && self.host.made(&dir) {
                wanted = Attributes::with_mode(self.host.new_mode(mode, &dir).await?);
            }
            if wanted != Attributes::default() {
                let failed = |error| Trouble::sftp(error, "set the attributes of", &dir);
                self.host.set(&dir, &wanted).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Makes the symbolic links, in the place of files or links if need be.
    pub(super) async fn make_symlinks(&self) -> Result<(), Trouble> {
        let mut results = Vec::new();
        for entry in &self.tree.entries {
            let Kind::Symlink { target } = &entry.kind else { continue };
            let made = self.make_symlink(&self.remote(entry)?, target).await;
            results.push(made.map_err(|trouble| self.failed(entry, trouble)));
        }
        self.keep(results).map(drop)
    }

    async fn make_symlink(&self, link: &[u8], target: &[u8]) -> Result<(), Trouble> {
        let host = self.host;
        if host.sftp.readlink(link).await.is_ok_and(|there| there == target) {
            return Ok(());
        }
        if host.sftp.lstat(link).await.is_ok_and(|there| there.is_dir()) {
            let message = format!("{} is a directory, and was to be a symbolic link", shown(link));
            return Err(Trouble::file("is_a_directory", Phase::Transfer, message));
        }
        let part = host.part_beside(link, b"")?;
        if let Err(error) = host.sftp.symlink(target, &part).await {
            host.settled(&part);
            return Err(host.cannot_write(error, "make a link in", path::parent(link)).await);
        }
        let renamed = host.rename(&part, link).await;
        if renamed.as_ref().is_err_and(|trouble| !trouble.fatal) {
            host.discard(&part).await;
        }
        renamed
    }
}
