//! The host's side of a transfer: its files, their digests, and what is in the
//! making there.

mod attributes;
mod making;
mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};

use super::elevate::{self, NotElevated};
use super::ledger::Open;
use super::meter::Meter;
use super::pace::Pace;
use super::present::{self, Present};
use super::source::{Sending, Shelf};
use super::trouble::{Trouble, shown};
use super::{Context, path};
use crate::exec::Shell;
use crate::outcome::{FileOutcome, Phase, Skipped, Transferred, VerifiedBy};
use crate::remote::{RunAs, Transfer};
use crate::sftp::{Attributes, Bounds, Extension, Sftp, SftpError};
use crate::transport::ChannelError;

/// How long what is in the making may take to be removed at the end.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(5);

/// A host that files are moved to or from.
pub(super) struct Host<'a> {
    pub(super) sftp: Sftp,
    /// Whether SFTP is that of the one who logs in, although the files are
    /// another user's: they go by way of a copy.
    pub(super) staged: bool,
    pub(super) transfer: &'a Transfer,
    pub(super) context: Context<'a>,
    pub(super) meter: Meter<'a>,
    pub(super) pace: Option<Pace>,
    shelf: Arc<Shelf>,
    _sending: Sending,
    /// Held by every file of this machine in the making.
    pub(super) held: mpsc::Sender<()>,
    done: Mutex<Transferred>,
    /// Set once it is known that nothing there computes digests.
    toolless: OnceCell<()>,
    /// The tool that computes digests there fastest, if that can be told.
    favourite: OnceCell<Option<VerifiedBy>>,
    umask: OnceCell<u32>,
    renames_unanswered: AtomicUsize,
    /// Whether anything there is not as it was.
    changed: AtomicBool,
    /// What is there under a name that it shall not keep.
    making: Mutex<BTreeMap<Vec<u8>, Open>>,
    /// What earlier transfers left, to be resumed.
    leftovers: Mutex<Vec<Open>>,
    /// The directories that were made.
    directories: Mutex<BTreeSet<Vec<u8>>>,
}

/// Why there is no session with the host's files.
pub(super) struct NotConnected {
    pub(super) trouble: Trouble,
    /// Whether nothing was sent, so that another connection may serve.
    pub(super) unsent: bool,
}

impl<'a> Host<'a> {
    pub(super) async fn connect(
        transfer: &'a Transfer,
        context: Context<'a>,
        shelf: Arc<Shelf>,
        held: mpsc::Sender<()>,
    ) -> Result<Self, NotConnected> {
        let connection = &**context.connection;
        let mut staged = false;
        let channel = match &transfer.run_as {
            None => connection.subsystem("sftp").await.map_err(unsent)?,
            Some(run_as) => match elevate::sftp_as(connection, run_as).await {
                Ok(channel) => channel,
                Err(NotElevated::NoServer) => {
                    staged = true;
                    connection.subsystem("sftp").await.map_err(unsent)?
                }
                Err(NotElevated::Channel(error)) => return Err(unsent(error)),
                Err(error) => {
                    let trouble = Trouble::file("not_started", Phase::Sudo, error.to_string());
                    let hint = "allow it in sudoers (NOPASSWD), or give the password with -K";
                    return Err(NotConnected { trouble: trouble.hint(hint), unsent: false });
                }
            },
        };
        let bounds = Bounds { stall: transfer.stall, ..Bounds::default() };
        let sftp = Sftp::start(channel, bounds).await.map_err(|error| {
            let trouble = Trouble::sftp(error, "reach", b"the host's files");
            NotConnected { trouble, unsent: false }
        })?;
        Ok(Self {
            sftp,
            staged,
            transfer,
            context,
            meter: Meter::new(context.watcher),
            pace: transfer.bytes_per_second.map(Pace::new),
            _sending: shelf.sending(),
            shelf,
            held,
            done: Mutex::new(Transferred {
                direction: transfer.direction,
                ..Transferred::default()
            }),
            toolless: OnceCell::new(),
            favourite: OnceCell::new(),
            umask: OnceCell::new(),
            renames_unanswered: AtomicUsize::new(0),
            changed: AtomicBool::new(false),
            making: Mutex::default(),
            leftovers: Mutex::default(),
            directories: Mutex::default(),
        })
    }

    /// What all hosts of the run are sent.
    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// How much is asked for or sent at once, of what the server allows.
    pub(super) fn packet(&self, most: usize) -> usize {
        self.pace.as_ref().map_or(most, |pace| pace.packet(most))
    }

    /// How many bytes of a file may be on their way at once.
    pub(super) fn in_memory(&self) -> usize {
        let packet = self.sftp.read_max();
        self.shelf.in_flight(packet) * packet
    }

    /// Runs our own texts there, as whoever the files are moved as.
    pub(super) fn shell(&self) -> Shell<'_> {
        Shell {
            connection: &**self.context.connection,
            run: self.context.run,
            vm: self.context.vm,
            attempt: self.context.attempt,
            run_as: self.transfer.run_as.as_ref(),
            cancel: self.context.cancel,
        }
    }

    /// Something there is no longer as it was.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether anything there is no longer as it was.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Whether a file may have been put in place without our knowing.
    pub(super) fn is_unsure(&self) -> bool {
        self.renames_unanswered.load(Ordering::Relaxed) > 0
    }

    /// Why a host refuses to write, as far as can be found out: version 3 of
    /// SFTP has no code for a full disk.
    pub(super) async fn cannot_write(&self, error: SftpError, what: &str, dir: &[u8]) -> Trouble {
        if error.is_not_found() {
            let message = format!("cannot {what} {}: there is no such directory", shown(dir));
            return Trouble::file("not_found", Phase::Transfer, message)
                .hint("make it first, or use --mkdir");
        }
        if error.is_failure()
            && self.sftp.supports(Extension::Statvfs)
            && let Ok(space) = self.sftp.statvfs(dir).await
        {
            let full =
                space.free_bytes < self.sftp.write_max() as u64 || space.free_inodes == Some(0);
            let (code, why, hint) = if space.read_only {
                ("read_only", "the file system is read-only", "mount it writable there")
            } else if full {
                ("disk_full", "the host's disk is full", "make room there and try again")
            } else {
                let hint = "see whether a quota or a limit stands in the way there";
                ("host_refused", "the host refuses to write", hint)
            };
            let message = format!("cannot {what} {}: {why}", shown(dir));
            return Trouble::file(code, Phase::Transfer, message).hint(hint);
        }
        Trouble::sftp(error, what, dir)
    }

    /// A path as SFTP and a shell there mean the same by it: where relative ones
    /// begin is for each of them to say.
    pub(super) async fn absolute(&self, path: &[u8]) -> Result<Vec<u8>, Trouble> {
        let path = path::from_home(path);
        if path.starts_with(b"/") {
            return Ok(path);
        }
        let failed = |error| Trouble::sftp(error, "find", b"the login directory");
        let home = self.sftp.realpath(b".").await.map_err(failed)?;
        Ok(path::join(&home, &path))
    }

    /// What a path leads to, if there is anything.
    pub(super) async fn stat(&self, path: &[u8]) -> Result<Option<Attributes>, Trouble> {
        match self.sftp.stat(path).await {
            Ok(attributes) => Ok(Some(attributes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Trouble::sftp(error, "look at", path)),
        }
    }

    /// What a path leads to, for whoever the files are moved as.
    pub(super) async fn present(&self, path: &[u8]) -> Result<Present, Trouble> {
        if self.staged {
            return present::look(&self.shell(), path).await;
        }
        let mut present = Present { path: path.to_vec(), ..Present::default() };
        if let Some(attributes) = self.stat(path).await? {
            present.kind = match attributes {
                dir if dir.is_dir() => present::Kind::Directory,
                file if file.is_file() => present::Kind::File,
                _ => present::Kind::Other,
            };
            present.attributes =
                attributes.mode().zip(attributes.times.map(|times| times.modified));
        }
        Ok(present)
    }

    /// Refuses what cannot go by way of a copy.
    pub(super) fn must_not_be_staged(&self, what: &str) -> Result<(), Trouble> {
        if !self.staged {
            return Ok(());
        }
        let message = format!("{what}: the host has no sftp-server that sudo could start");
        Err(Trouble::file("unsupported", Phase::Sudo, message)
            .fatal()
            .hint("install it there (Debian: openssh-sftp-server), or move files one by one"))
    }

    /// Notes what became of a file.
    pub(super) fn tell(&self, outcome: FileOutcome) {
        if outcome.failure.is_none() {
            self.meter.placed();
        }
        lock(&self.done).files.push(outcome);
    }

    /// Notes that something is left out.
    pub(super) fn skip(&self, skipped: Skipped) {
        lock(&self.done).skipped.push(skipped);
    }

    /// What became of all files.
    pub(super) fn finish(self) -> Transferred {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn user(run_as: &RunAs) -> String {
    run_as.user.clone().unwrap_or_else(|| "root".into())
}

fn unsent(error: ChannelError) -> NotConnected {
    let unsent = !matches!(error, ChannelError::Lost { sent: true, .. });
    NotConnected { trouble: Trouble::lost(error.to_string()), unsent }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
