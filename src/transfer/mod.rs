//! Moving files to a host and from it, each of them whole or not at all.
//!
//! A file is written beside its target under another name, proven by its
//! SHA-256 on the host, and renamed over the target in one step.

mod batch;
pub mod digest;
mod download;
pub mod elevate;
mod follow;
mod host;
mod landing;
mod ledger;
mod listing;
mod local;
mod manifest;
mod meter;
mod mode;
mod pace;
mod part_name;
mod path;
mod present;
mod source;
pub mod staged;
mod target;
pub(crate) mod tool;
mod tools;
mod trouble;
mod upload;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use ledger::{Entry, Kind, Ledger, Open};

use crate::event::Progress;
use crate::ids::{RunId, VmId};
use crate::outcome::{Effect, Failure, Status, Transferred};
use crate::remote::{Direction, Transfer};
use crate::retry::Sent;
use crate::transport::Connection;
use host::{CLEAN_UP, Host};
pub(crate) use local::LocalError;
pub(crate) use manifest::manifest;
use source::Shelf;
use trouble::Trouble;

/// What a transfer needs to know beside what is to be moved.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// A connection that nobody else uses.
    pub connection: &'a Arc<dyn Connection>,
    /// The run it belongs to.
    pub run: RunId,
    /// The host.
    pub vm: &'a VmId,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Which host and who logs in there, as the ledger has it.
    pub login: &'a str,
    /// Where files in the making are written down.
    pub ledger: &'a Ledger,
    /// Whom to tell how far it has come.
    pub watcher: &'a dyn Watcher,
    /// What stops it.
    pub cancel: &'a CancellationToken,
}

/// Is told how far a transfer has come.
pub trait Watcher: Send + Sync {
    /// Takes the newest state; called at most ten times a second.
    fn progress(&self, progress: Progress);
}

/// What came of a transfer on one host.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// What may have changed, on the host or here.
    pub effect: Effect,
    /// Why it did not succeed: the first file that did not, or what kept all
    /// of them from it.
    pub failure: Option<Failure>,
    /// What became of each file.
    pub transferred: Transferred,
    /// Whether a file was put in place.
    pub sent: Sent,
    /// Whether it never began, so that another connection may serve.
    pub unsent: bool,
    /// How long it took.
    pub run_time: Duration,
}

/// Moves files. Never returns before everything it began is ended or given up.
///
/// # Cancel safety
/// If the future is dropped, files in the making stay on the host until the
/// next transfer to it; to stop a transfer, cancel the token.
pub async fn run(transfer: &Transfer, context: Context<'_>) -> Report {
    run_among(transfer, context, &Among::hosts(1)).await
}

/// What the hosts of one run have in common when they are sent the same files:
/// each file is read and hashed once, as far as they keep up with each other.
#[derive(Clone, Debug)]
pub struct Among(Arc<Shelf>);

impl Among {
    /// So many hosts.
    pub fn hosts(count: usize) -> Self {
        Self(Shelf::new(count))
    }
}

/// As [`run`], for one of the hosts of a run.
///
/// # Cancel safety
/// As [`run`].
pub async fn run_among(transfer: &Transfer, context: Context<'_>, among: &Among) -> Report {
    let started = Instant::now();
    let (held, mut released) = mpsc::channel(1);
    let connecting = within(transfer.timeout, context.cancel, async {
        Host::connect(transfer, context, Arc::clone(&among.0), held)
            .await
            .map_err(|refused| (refused.trouble, refused.unsent))
    });
    let host = match connecting.await {
        Ok(host) => host,
        Err((trouble, unsent)) => {
            return Report {
                status: trouble.status,
                effect: Effect::Absent,
                failure: Some(trouble.failure),
                transferred: Transferred::default(),
                sent: Sent::No,
                unsent,
                run_time: started.elapsed(),
            };
        }
    };
    let left = transfer.timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
    let moving = async {
        host.sweep().await;
        match transfer.direction {
            Direction::Download => download::run(&host).await,
            Direction::Upload => upload::run(&host).await,
        }
        .map_err(|trouble| (trouble, false))
    };
    let moved = within(left, context.cancel, moving).await;
    host.clean_up().await;
    let (unsure, touched, progress) = (host.is_unsure(), host.has_changed(), host.meter.now());
    let transferred = host.finish();
    // What is being written in this moment is removed by whoever writes it.
    let _ = tokio::time::timeout(CLEAN_UP, released.recv()).await;
    let ended = moved.err().map(|(mut trouble, _)| {
        if progress.files_total > 1 {
            let (files, all) = (progress.files, progress.files_total);
            trouble.failure.message += &format!("; {files} of {all} files are in place");
        }
        trouble
    });
    let mut report = report(transferred, ended, unsure, touched, transfer);
    report.run_time = started.elapsed();
    report
}

/// Lets work go on until its time is over or it is cancelled.
async fn within<T>(
    timeout: Option<Duration>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, (Trouble, bool)>>,
) -> Result<T, (Trouble, bool)> {
    let over = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err((Trouble::cancelled(), false)),
        () = over => Err((Trouble::timed_out(), false)),
        done = work => done,
    }
}

/// What all files together came to.
fn report(
    transferred: Transferred,
    mut ended: Option<Trouble>,
    unsure: bool,
    touched: bool,
    transfer: &Transfer,
) -> Report {
    // Whichever file's trouble was the first to be told.
    if let Some(trouble) = ended.as_mut().filter(|trouble| unsure && trouble.is_lost()) {
        trouble.status = Status::Unknown;
    }
    let effect = match transfer.direction {
        Direction::Download => Effect::Absent,
        Direction::Upload if touched => Effect::Present,
        Direction::Upload if unsure => Effect::Unknown,
        Direction::Upload => Effect::Absent,
    };
    let failed: Vec<&Failure> =
        transferred.files.iter().filter_map(|file| file.failure.as_ref()).collect();
    let (status, failure) = match (ended, failed.first()) {
        (Some(trouble), _) => (trouble.status, Some(trouble.failure)),
        (None, None) => (Status::Success, None),
        (None, Some(first)) => {
            let mismatch = failed.iter().find(|failure| failure.code == "checksum_mismatch");
            let status = if mismatch.is_some() { Status::ChecksumMismatch } else { Status::Failed };
            let mut failure = mismatch.copied().unwrap_or(*first).clone();
            if transferred.files.len() > 1 {
                let (count, all) = (failed.len(), transferred.files.len());
                failure.message = format!("{count} of {all} files failed: {}", failure.message);
            }
            (status, Some(failure))
        }
    };
    let sent = match effect {
        Effect::Absent => Sent::No,
        Effect::Present => Sent::Yes,
        Effect::Unknown => Sent::Unknown,
    };
    Report { status, effect, failure, transferred, sent, unsent: false, run_time: Duration::ZERO }
}

/// Does something that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalError> + Send + 'static,
) -> Result<T, Trouble> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Trouble::local),
        Err(_) => Err(Trouble::cancelled()),
    }
}
