//! Output that comes late: after the command ended, or while it is being ended.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::remote::Stream;

/// How much may still come after the command ended: what sshd and the network
/// hold by then. More is written by a process that was left behind.
const BACKLOG_MAX: usize = 16 * 1024 * 1024;

/// How many times the grace a process that was left behind may go on writing.
/// What the command itself left in the host's buffers arrives sooner.
const GRACES_MAX: u32 = 15;

/// How long the host is waited for after the command ended. Only waiting for
/// the host counts: a consumer may take its time.
pub(super) struct Drain {
    grace: Duration,
    deadline: Option<Instant>,
    waited: Duration,
    waited_in_all: Duration,
    bytes: usize,
}

impl Drain {
    pub(super) fn new(grace: Duration, deadline: Option<Instant>) -> Self {
        Self { grace, deadline, waited: Duration::ZERO, waited_in_all: Duration::ZERO, bytes: 0 }
    }

    pub(super) fn left(&self) -> Duration {
        self.grace.saturating_sub(self.waited)
    }

    /// Takes into account what came after waiting since `asked`. As long as
    /// output comes it is not held up, but not for longer than the command had.
    pub(super) fn is_over(&mut self, asked: Instant, bytes: usize) -> bool {
        let waited = asked.elapsed();
        self.waited += waited;
        self.waited_in_all += waited;
        self.bytes += bytes;
        if bytes > 0 && self.deadline.is_none_or(|deadline| Instant::now() < deadline) {
            self.waited = self.waited.min(self.grace * 3 / 4);
        }
        self.waited >= self.grace
            || self.waited_in_all >= self.grace * GRACES_MAX
            || self.bytes > BACKLOG_MAX
    }
}

/// Output that came while nobody could take it.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) output: Vec<(Stream, Bytes)>,
    bytes: usize,
    /// Whether anybody will take it.
    awaited: bool,
    /// Whether there was more than is kept.
    pub(super) cut: bool,
}

impl Backlog {
    /// Holds nothing that nobody will take.
    pub(super) fn new(awaited: bool) -> Self {
        Self { awaited, ..Self::default() }
    }

    pub(super) fn push(&mut self, output: Option<(Stream, Bytes)>) {
        let Some((stream, bytes)) = output.filter(|_| self.awaited) else { return };
        self.bytes += bytes.len();
        if self.bytes > BACKLOG_MAX {
            self.cut = true;
        } else {
            self.output.push((stream, bytes));
        }
    }
}
