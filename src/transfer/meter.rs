//! How far a transfer has come.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Watcher;
use crate::event::Progress;

/// The least time between two reports.
const INTERVAL: Duration = Duration::from_millis(100);

/// Counts what was moved and tells it now and then.
pub(super) struct Meter<'a> {
    watcher: &'a dyn Watcher,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    progress: Progress,
    told: Option<Instant>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(watcher: &'a dyn Watcher) -> Self {
        Self { watcher, state: Mutex::default() }
    }

    /// So much more is to be moved.
    pub(super) fn expect(&self, files: u64, bytes: u64) {
        self.change(|progress| {
            progress.files_total += files;
            progress.bytes_total = progress.bytes_total.saturating_add(bytes);
        });
    }

    /// Bytes were moved, or need not be.
    pub(super) fn moved(&self, bytes: u64) {
        self.change(|progress| progress.bytes = progress.bytes.saturating_add(bytes));
    }

    /// These bytes have to be moved once more.
    pub(super) fn again(&self, bytes: u64) {
        self.change(|progress| progress.bytes = progress.bytes.saturating_sub(bytes));
    }

    /// A file is in place.
    pub(super) fn placed(&self) {
        self.change(|progress| progress.files += 1);
    }

    /// How far it has come.
    pub(super) fn now(&self) -> Progress {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).progress
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.progress);
        let now = Instant::now();
        let complete = state.progress.files == state.progress.files_total;
        if complete || state.told.is_none_or(|told| now - told >= INTERVAL) {
            state.told = Some(now);
            self.watcher.progress(state.progress);
        }
    }
}
