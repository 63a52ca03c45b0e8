//! What happens in a run, in order. Whoever wants to know reads these; the
//! engine tells nobody anything else.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use crate::ids::{RunId, VmId};
use crate::outcome::{CommandResult, HostResult, Status};
use crate::remote::Stream;

/// An event with its place in the run.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. A run begins with `RunStarted` and ends with `RunFinished`;
/// in between each host has one `HostStarted`, any number of `Output`, `Progress`
/// and `CommandFinished`, and one `HostFinished`, in this order. A host that is denied has no `HostStarted`.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// Every host of a batch has finished. Told only where batches were asked
    /// for, after the batch's last `HostFinished`.
    BatchFinished {
        /// Which batch, from 1.
        index: usize,
        /// How many batches there are.
        of: usize,
        /// Its hosts, in order.
        hosts: Vec<VmId>,
        /// How many of them ended in each status; statuses with none are absent.
        summary: Vec<(Status, usize)>,
    },
    /// One of several commands has ended on a host, or will not be started; told
    /// once for each, before the host has finished. A host whose turn never came
    /// has none.
    CommandFinished {
        /// The host.
        vm: VmId,
        /// Which command, from 0.
        index: usize,
        /// How many commands there are.
        of: usize,
        /// What became of it.
        result: Box<CommandResult>,
    },
    /// The last event of a host.
    HostFinished(Box<HostResult>),
    /// A host's turn has come.
    HostStarted {
        /// The host.
        vm: VmId,
    },
    /// A host's command wrote something.
    Output {
        /// The host.
        vm: VmId,
        /// Which of several commands, from 0.
        index: Option<usize>,
        /// Where it wrote.
        stream: Stream,
        /// What it wrote.
        bytes: Chunk,
    },
    /// How far a transfer has come; told at most ten times a second.
    Progress {
        /// The host.
        vm: VmId,
        /// How far.
        progress: Progress,
    },
    /// The last event of a run.
    RunFinished {
        /// How many hosts ended in each status; statuses with none are absent.
        summary: Vec<(Status, usize)>,
        /// Why not everything was done, if the run was stopped.
        stopped: Option<Stopped>,
    },
    /// The first event of a run.
    RunStarted {
        /// The hosts, in order.
        hosts: Vec<VmId>,
        /// The command as it was given, or what else is done.
        command: String,
    },
}

/// Somebody who is told what happens beside whoever reads the events, and
/// before it is in their hands.
pub trait Observer: Send + Sync {
    /// Takes what happened. It is called where it happens: it must return at
    /// once, and keep no [`Chunk`], which would slow the host down.
    fn observe(&self, kind: &EventKind);
}

/// Why a run ended before everything was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stopped {
    /// What stopped it.
    pub reason: StopReason,
    /// The same in words: `3 of 40 failed (limit 2)`.
    pub message: String,
}

/// What stopped a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The operator or the program.
    Cancelled,
    /// The time for the whole run was over.
    Deadline,
    /// What a batch did kept the next one from starting.
    Gate,
    /// More hosts failed than may.
    MaxFail,
}

impl StopReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Cancelled, Self::Deadline, Self::Gate, Self::MaxFail];
}

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Bytes that have been moved, or need not be.
    pub bytes: u64,
    /// Bytes in all, as far as is known yet.
    pub bytes_total: u64,
    /// Files that are in place.
    pub files: u64,
    /// Files in all, as far as is known yet.
    pub files_total: u64,
}

/// Bytes of output. They count against the bound of their host until the last
/// clone is dropped, so that a slow reader slows the command down instead of
/// filling memory.
#[derive(Clone, Debug)]
pub struct Chunk {
    bytes: Bytes,
    _credit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes, credit: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, _credit: credit.map(Arc::new) }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
