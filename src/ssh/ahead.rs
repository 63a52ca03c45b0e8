//! A channel that is opened before it is needed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

/// The one channel that waits for its use, if more uses are expected.
pub(super) struct Ahead<T>(Mutex<State<T>>);

struct State<T> {
    expected: bool,
    opening: Option<JoinHandle<T>>,
}

impl<T> Default for Ahead<T> {
    fn default() -> Self {
        Self(Mutex::new(State { expected: false, opening: None }))
    }
}

impl<T> Ahead<T> {
    /// Says whether there will be a use for one. If not, one that is there is
    /// dropped.
    pub(super) fn expect(&self, more: bool) {
        let mut state = self.lock();
        state.expected = more;
        if !more {
            state.opening = None;
        }
    }

    /// Takes what was opened, or is being opened.
    pub(super) fn take(&self) -> Option<JoinHandle<T>> {
        self.lock().opening.take()
    }

    /// Opens one, if there will be a use for it.
    pub(super) fn fill(&self, open: impl FnOnce() -> JoinHandle<T>) {
        let mut state = self.lock();
        if state.expected && state.opening.is_none() {
            state.opening = Some(open());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
