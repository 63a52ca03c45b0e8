//! Moving files to a host and from it, each of them whole or not at all.
//!
//! A file is written beside its target under another name, proven by its
//! SHA-256 on the host, and renamed over the target in one step.

mod ledger;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use ledger::Ledger;

use crate::event::Progress;
use crate::ids::{RunId, VmId};
use crate::outcome::{Effect, Failure, Phase, Status, Transferred};
use crate::remote::Transfer;
use crate::retry::Sent;
use crate::transport::Connection;

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
    /// Who logs in where: `user@address:port`.
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
    let _ = (transfer, context);
    Report {
        status: Status::Failed,
        effect: Effect::Absent,
        failure: Some(Failure {
            code: "internal_error",
            phase: Phase::Transfer,
            message: "not there yet".into(),
            hint: None,
            retryable: false,
        }),
        transferred: Transferred::default(),
        sent: Sent::No,
        unsent: false,
        run_time: Duration::ZERO,
    }
}
