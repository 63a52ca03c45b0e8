//! The host's side of a transfer: its files, their digests, and what is in the
//! making there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::timeout;

use super::digest::{self, Digest, DigestError, Wanted, Why};
use super::elevate::{self, NotElevated};
use super::ledger::{Entry, Kind, Open};
use super::meter::Meter;
use super::pace::Pace;
use super::part_name::{is_part_name, part_name};
use super::present::{self, Present};
use super::trouble::{Trouble, shown};
use super::{Context, path};
use crate::exec::{Shell, ShellError};
use crate::outcome::{FileOutcome, Phase, Skipped, Transferred, VerifiedBy};
use crate::remote::{RunAs, Transfer};
use crate::sftp::{Attributes, Bounds, Extension, File, Open as How, Sftp, SftpError};
use crate::transport::ChannelError;

/// How long what is in the making may take to be removed at the end.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(5);

/// The slowest that a host may compute SHA-256, in bytes.
const HASHED_PER_SECOND: u64 = 1 << 20;

/// How many reads or writes of one file are under way at once.
pub(super) const IN_FLIGHT: usize = 32;

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
    /// Held by every file of this machine in the making.
    pub(super) held: mpsc::Sender<()>,
    done: Mutex<Transferred>,
    /// Set once it is known that nothing there computes digests.
    toolless: OnceCell<()>,
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
            held,
            done: Mutex::new(Transferred {
                direction: transfer.direction,
                ..Transferred::default()
            }),
            toolless: OnceCell::new(),
            umask: OnceCell::new(),
            renames_unanswered: AtomicUsize::new(0),
            changed: AtomicBool::new(false),
            making: Mutex::default(),
            leftovers: Mutex::default(),
            directories: Mutex::default(),
        })
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

    /// The digests of files as they are on the host, by the best means it has;
    /// what cannot be hashed there is read back. Together they have so many
    /// bytes.
    pub(super) async fn digests(
        &self,
        wanted: &[Wanted<'_>],
        bytes: u64,
    ) -> Result<Vec<Result<Digest, Trouble>>, Trouble> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if !self.toolless.initialized() {
            // What computes says nothing until it is done.
            let computing = Duration::from_secs(bytes / HASHED_PER_SECOND);
            let most = self.transfer.stall.saturating_add(computing);
            let shell = self.shell();
            let computing = timeout(most, digest::digests(&shell, wanted));
            match computing.await.map_err(|_| Trouble::too_slow(most))? {
                Ok(found) => return self.complete(found, wanted).await,
                Err(DigestError::Shell(error))
                    if !matches!(error, ShellError::Unavailable { .. }) =>
                {
                    return Err(Trouble::shell(error));
                }
                Err(error) => {
                    tracing::debug!(vm = %self.context.vm, %error, "files are read back");
                    let _ = self.toolless.set(());
                }
            }
        }
        let mut found = Vec::new();
        for wanted in wanted {
            match self.read_back(wanted).await {
                Err(trouble) if trouble.fatal => return Err(trouble),
                other => found.push(other),
            }
        }
        Ok(found)
    }

    /// Reads back what the shell there cannot hash: it may see other files than
    /// SFTP does.
    async fn complete(
        &self,
        found: Vec<Result<Digest, Why>>,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Result<Digest, Trouble>>, Trouble> {
        let mut complete = Vec::with_capacity(found.len());
        for (found, wanted) in found.into_iter().zip(wanted) {
            complete.push(match found {
                Ok(digest) => Ok(digest),
                Err(_) if self.staged => found.map_err(|why| Trouble::digest(why, wanted.path)),
                Err(why) => match self.read_back(wanted).await {
                    Err(trouble) if trouble.fatal => return Err(trouble),
                    Err(_) => Err(Trouble::digest(why, wanted.path)),
                    digest => digest,
                },
            });
        }
        Ok(complete)
    }

    async fn read_back(&self, wanted: &Wanted<'_>) -> Result<Digest, Trouble> {
        let failed = |error| Trouble::sftp(error, "read back", wanted.path);
        let file = self.sftp.open(wanted.path, How::Read).await.map_err(failed)?;
        let size = file.attributes().await.map_err(failed)?.size.unwrap_or(0);
        let size = wanted.first.map_or(size, |first| first.min(size));
        let mut hash = Sha256::new();
        let mut chunks = self.chunks(&file, 0..size);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            if chunk.is_empty() {
                // A size that is not so would have us ask for ever.
                break;
            }
            hash.update(chunk);
        }
        Ok(Digest { sha256: hex(&hash.finalize()), by: VerifiedBy::Readback })
    }

    /// The bytes of a file in order, several reads ahead; fewer if it ends
    /// early.
    pub(super) fn chunks<'s>(
        &'s self,
        file: &'s File,
        range: std::ops::Range<u64>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, SftpError>> + Unpin + 's {
        let most = self.sftp.read_max();
        let step = self.pace.as_ref().map_or(most, |pace| pace.packet(most)) as u64;
        let mut next = range.start;
        let offsets = std::iter::from_fn(move || {
            (next < range.end).then(|| {
                let length = step.min(range.end - next);
                let offset = next;
                next += length;
                (offset, length as usize)
            })
        });
        let reads = offsets.map(move |(offset, length)| async move {
            // What was asked for cannot be held up any more.
            if let Some(pace) = &self.pace {
                pace.take(length).await;
            }
            whole(file, offset, length).await
        });
        Box::pin(futures_util::stream::iter(reads).buffered(IN_FLIGHT))
    }

    /// A new name in the directory of `target`, written down before anything
    /// gets it, so that it is removed whatever becomes of us.
    pub(super) fn part_beside(&self, target: &[u8], source: &[u8]) -> Result<Vec<u8>, Trouble> {
        let run_as = self.transfer.run_as.as_ref().filter(|_| !self.staged);
        self.part_for(target, source, run_as)
    }

    /// As [`part_beside`](Self::part_beside), for what will be this user's.
    pub(super) fn part_for(
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
    pub(super) async fn create_part(
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
    pub(super) fn settled(&self, path: &[u8]) {
        if let Some(open) = lock(&self.making).remove(path) {
            open.close();
        }
    }

    /// Removes a file in the making.
    pub(super) async fn discard(&self, path: &[u8]) {
        match self.sftp.remove(path).await {
            Ok(()) => self.settled(path),
            Err(error) if error.is_not_found() => self.settled(path),
            Err(_) => {}
        }
    }

    /// Removes everything that is still in the making. What cannot be removed
    /// now is removed by the next transfer; so is, unless it is resumed, what
    /// this one leaves to be resumed.
    pub(super) async fn clean_up(&self) {
        if self.transfer.resume {
            return;
        }
        let left: Vec<Vec<u8>> = lock(&self.making).keys().cloned().collect();
        let removals = left.iter().map(|path| self.discard(path));
        let _ = timeout(CLEAN_UP, futures_util::future::join_all(removals)).await;
    }

    /// Puts a file in the making in its place, in one step.
    pub(super) async fn rename(&self, part: &[u8], target: &[u8]) -> Result<(), Trouble> {
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

    /// Gives a file in the making the owner of the file that it replaces, where
    /// we may; says whether it has that owner now.
    pub(super) async fn keep_owner(
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
    pub(super) async fn set(&self, path: &[u8], wanted: &Attributes) -> Result<(), SftpError> {
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

    /// Makes a directory unless it is there.
    pub(super) async fn make_directory(&self, dir: &[u8], mode: u32) -> Result<(), Trouble> {
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
    pub(super) fn made(&self, dir: &[u8]) -> bool {
        lock(&self.directories).contains(dir)
    }

    /// Sorts out what killed transfers left: what can be gone on with is kept
    /// for that, everything else is removed.
    pub(super) async fn sweep(&self) {
        // Another user's are found again by the one who can remove them.
        let run_as = self.transfer.run_as.as_ref().filter(|_| !self.staged).map(user);
        for open in self.context.ledger.orphans(self.context.login) {
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
    pub(super) fn leftover(&self, target: &[u8], source: &[u8]) -> Option<Vec<u8>> {
        let open = self.left(Kind::Part, target, source)?;
        let path = open.entry().path.clone();
        lock(&self.making).insert(path.clone(), open);
        Some(path)
    }

    /// What an earlier transfer left of the same file.
    pub(super) fn left(&self, kind: Kind, target: &[u8], source: &[u8]) -> Option<Open> {
        let mut leftovers = lock(&self.leftovers);
        let same = |open: &Open| {
            let entry = open.entry();
            entry.kind == kind && entry.target == target && entry.source == source
        };
        let at = leftovers.iter().position(same)?;
        Some(leftovers.swap_remove(at))
    }

    /// The permissions that a new file gets for the bits it asks for.
    pub(super) async fn new_mode(&self, bits: u32, dir: &[u8]) -> Result<u32, Trouble> {
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

/// One stretch of a file; less only at its end.
async fn whole(file: &File, offset: u64, length: usize) -> Result<Bytes, SftpError> {
    let first = file.read_at(offset, length).await?;
    if first.len() == length || first.is_empty() {
        return Ok(first);
    }
    // Servers may give less than was asked for.
    let mut all = Vec::with_capacity(length);
    all.extend_from_slice(&first);
    while all.len() < length {
        let more = file.read_at(offset + all.len() as u64, length - all.len()).await?;
        if more.is_empty() {
            break;
        }
        all.extend_from_slice(&more);
    }
    Ok(all.into())
}

fn user(run_as: &RunAs) -> String {
    run_as.user.clone().unwrap_or_else(|| "root".into())
}

fn unsent(error: ChannelError) -> NotConnected {
    let unsent = !matches!(error, ChannelError::Lost { sent: true, .. });
    NotConnected { trouble: Trouble::lost(error.to_string()), unsent }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
