//! What is in the making on a host, from its first name to its last.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::ledger::{Entry, Kind, Open};
use super::super::part_name::{is_part_name, part_name};
use super::super::path;
use super::super::trouble::{Trouble, shown};
use super::{CLEAN_UP, Host, lock, user};
use crate::outcome::Phase;
use crate::remote::RunAs;
use crate::sftp::{Extension, File, Open as How};

impl Host<'_> {
    /// A new name in the directory of `target`, written down before anything
    /// gets it, so that it is removed whatever becomes of us.
    pub(in crate::transfer) fn part_beside(
        &self,
        target: &[u8],
        source: &[u8],
    ) -> Result<Vec<u8>, Trouble> {
        let run_as = self.transfer.run_as.as_ref().filter(|_| !self.staged);
        self.part_for(target, source, run_as)
    }

    /// As [`part_beside`](Self::part_beside), for what will be this user's.
    pub(in crate::transfer) fn part_for(
        &self,
        target: &[u8],
        source: &[u8],
        run_as: Option<&RunAs>,
    ) -> Result<Vec<u8>, Trouble> {
        let name = part_name(path::file_name(target).unwrap_or_default());
        let part = name.map(|name| path::join(path::parent(target), &name));
        let opened = part.and_then(|part| {
            let entry = Entry {
                login: self.context.login.to_owned(),
                kind: Kind::Part,
                path: part.clone(),
                target: target.to_vec(),
                source: source.to_vec(),
                run_as: run_as.map(user),
            };
            Ok((part, self.context.ledger.open(entry)?))
        });
        let (part, open) = opened.map_err(|error| {
            let message = format!("cannot write down what is in the making: {error}");
            Trouble::file("ledger_failed", Phase::Local, message)
                .fatal()
                .hint("see whether the state directory can be written")
        })?;
        lock(&self.making).insert(part.clone(), open);
        Ok(part)
    }

    /// Makes the file that is to become `target`, in the same directory.
    pub(in crate::transfer) async fn create_part(
        &self,
        target: &[u8],
        source: &[u8],
    ) -> Result<(Vec<u8>, File), Trouble> {
        let part = self.part_beside(target, source)?;
        match self.sftp.open(&part, How::CreateNew { mode: 0o600 }).await {
            Ok(file) => Ok((part, file)),
            Err(error) => {
                if !error.ends_session() {
                    self.settled(&part);
                }
                Err(self.cannot_write(error, "create a file in", path::parent(target)).await)
            }
        }
    }

    /// What was in the making is in place, or gone.
    pub(in crate::transfer) fn settled(&self, path: &[u8]) {
        if let Some(open) = lock(&self.making).remove(path) {
            open.close();
        }
    }

    /// Removes a file in the making.
    pub(in crate::transfer) async fn discard(&self, path: &[u8]) {
        match self.sftp.remove(path).await {
            Ok(()) => self.settled(path),
            Err(error) if error.is_not_found() => self.settled(path),
            Err(_) => {}
        }
    }

    /// Removes everything that is still in the making. What cannot be removed
    /// now is removed by the next transfer; so is, unless it is resumed, what
    /// this one leaves to be resumed.
    pub(in crate::transfer) async fn clean_up(&self) {
        if self.transfer.resume {
            return;
        }
        let left: Vec<Vec<u8>> = lock(&self.making).keys().cloned().collect();
        let removals = left.iter().map(|path| self.discard(path));
        let _ = timeout(CLEAN_UP, futures_util::future::join_all(removals)).await;
    }

    /// Puts a file in the making in its place, in one step.
    pub(in crate::transfer) async fn rename(
        &self,
        part: &[u8],
        target: &[u8],
    ) -> Result<(), Trouble> {
        self.renames_unanswered.fetch_add(1, Ordering::Relaxed);
        let renamed = match self.sftp.supports(Extension::PosixRename) {
            true => self.sftp.posix_rename(part, target).await,
            // Fails if the target exists: nothing else would be in one step.
            false => self.sftp.rename(part, target).await,
        };
        if renamed.as_ref().err().is_none_or(|error| !error.ends_session()) {
            self.renames_unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        match renamed {
            Ok(()) => {
                self.note_change();
                self.settled(part);
                Ok(())
            }
            Err(error) if error.ends_session() => Err(Trouble::sftp(error, "rename to", target)),
            Err(error) if error.is_failure() && !self.sftp.supports(Extension::PosixRename) => {
                let message = format!(
                    "{} exists, and this server cannot replace a file in one step",
                    shown(target)
                );
                Err(Trouble::file("not_atomic", Phase::Transfer, message)
                    .hint("remove it there first"))
            }
            Err(error) => {
                Err(self.cannot_write(error, "put a file into", path::parent(target)).await)
            }
        }
    }

    /// Sorts out what killed transfers left: what can be gone on with is kept
    /// for that, everything else is removed.
    pub(in crate::transfer) async fn sweep(&self) {
        // Another user's are found again by the one who can remove them.
        let run_as = self.transfer.run_as.as_ref().filter(|_| !self.staged).map(user);
        // It may have to wait for another process that sweeps.
        let (ledger, login) = (self.context.ledger.clone(), self.context.login.to_owned());
        let orphans = spawn_blocking(move || ledger.orphans(&login)).await.unwrap_or_default();
        for open in orphans {
            let path = open.entry().path.clone();
            let is_ours = path::file_name(&path).is_some_and(is_part_name);
            match open.entry().kind {
                // What is dropped here stays written down.
                Kind::Part | Kind::LocalPart if !is_ours => {}
                Kind::Part if open.entry().run_as != run_as => {}
                Kind::ScriptDir => {}
                Kind::Part | Kind::LocalPart if self.transfer.resume => {
                    lock(&self.leftovers).push(open);
                }
                Kind::Part => {
                    lock(&self.making).insert(path.clone(), open);
                    self.discard(&path).await;
                }
                Kind::LocalPart if !is_ours => {}
                Kind::LocalPart => {
                    let gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
                    let removed = std::fs::remove_file(OsStr::from_bytes(&path));
                    if removed.map_or_else(gone, |()| true) {
                        open.close();
                    }
                }
            }
        }
    }

    /// What an earlier transfer left of the same file on the host. It is in the
    /// making again.
    pub(in crate::transfer) fn leftover(&self, target: &[u8], source: &[u8]) -> Option<Vec<u8>> {
        let open = self.left(Kind::Part, target, source)?;
        let path = open.entry().path.clone();
        lock(&self.making).insert(path.clone(), open);
        Some(path)
    }

    /// What an earlier transfer left of the same file.
    pub(in crate::transfer) fn left(
        &self,
        kind: Kind,
        target: &[u8],
        source: &[u8],
    ) -> Option<Open> {
        let mut leftovers = lock(&self.leftovers);
        let same = |open: &Open| {
            let entry = open.entry();
            entry.kind == kind && entry.target == target && entry.source == source
        };
        let at = leftovers.iter().position(same)?;
        Some(leftovers.swap_remove(at))
    }
}
