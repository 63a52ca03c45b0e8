//! The one thread that writes: it takes what is queued and commits it together.
//! It waits for more only with results that may wait, and only for a moment.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::AuditError;
use super::batch::Batch;
use super::log::Receipt;
use super::record::{Body, Kind};
use super::store::Store;

/// How long a result that may wait does, while there are attempts without one.
const GATHER: Duration = Duration::from_millis(10);
/// The most records between two checkpoints.
const CHECKPOINT_RECORDS: u64 = 1000;

/// Told what became of a request.
pub(super) type Ack<T> = Box<dyn FnOnce(Result<T, AuditError>) + Send>;

/// What the thread is asked to do.
pub(super) enum Message {
    /// Make a record durable.
    Append(Body, Ack<Receipt>),
    /// Sign the end and stop.
    Close(Ack<()>),
}

/// Runs until it is told to close or nobody is left who could tell it.
pub(super) fn run(store: Store, checkpoint_age: Duration, queue: &Receiver<Message>) {
    let mut writer = Writer { store, state: State::Open, checkpoint_age, unsigned_since: None };
    writer.note_unsigned();
    let close = writer.serve(queue);
    let closed = writer.finish();
    if let Some(ack) = close {
        ack(closed);
    }
}

struct Writer {
    store: Store,
    state: State,
    /// The longest a record waits for its checkpoint.
    checkpoint_age: Duration,
    /// When the oldest record without checkpoint was written.
    unsigned_since: Option<Instant>,
}

/// How far the log has failed. There is no way back.
enum State {
    Open,
    /// The disk is full: only results are written, into the space kept back.
    ResultsOnly(AuditError),
    /// Nothing is written any more.
    Failed(AuditError),
}

impl Writer {
    fn serve(&mut self, queue: &Receiver<Message>) -> Option<Ack<()>> {
        loop {
            let mut batch = Batch::default();
            match self.receive(queue) {
                Ok(message) => {
                    batch.take(message, queue);
                    batch.gather(queue, self.store.unanswered(), GATHER);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            self.commit(batch.records);
            if batch.close.is_some() {
                return batch.close;
            }
            self.checkpoint_if_due();
        }
    }

    /// Waits for a message, no longer than until a checkpoint is due.
    fn receive(&self, queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.unsigned_since {
            Some(since) => queue.recv_timeout(self.checkpoint_age.saturating_sub(since.elapsed())),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn commit(&mut self, batch: Vec<(Body, Ack<Receipt>)>) {
        let (batch, refused): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|(body, _)| self.state.refusal(body.kind).is_none());
        for (body, ack) in refused {
            if let Some(cause) = self.state.refusal(body.kind) {
                let keep = body.kind == Kind::Result;
                ack(Err(if keep { self.store.spool(&body, cause) } else { cause }));
            }
        }
        if batch.is_empty() {
            return;
        }
        let (bodies, acks): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match self.store.commit(&bodies) {
            Ok(receipts) => {
                self.note_unsigned();
                for (receipt, ack) in receipts.into_iter().zip(acks) {
                    ack(Ok(receipt));
                }
            }
            // The state has moved on, so this ends: what it now refuses is
            // answered, what it still takes is tried once more.
            Err(error) => {
                self.fail(error);
                self.commit(bodies.into_iter().zip(acks).collect());
            }
        }
    }

    fn fail(&mut self, error: AuditError) {
        let out_of_space = matches!(error, AuditError::Full { .. } | AuditError::ReserveGone(_));
        self.state = match std::mem::replace(&mut self.state, State::Open) {
            State::Open if out_of_space => {
                self.store.release_reserve();
                State::ResultsOnly(error)
            }
            State::Open => State::Failed(error),
            State::ResultsOnly(first) | State::Failed(first) => State::Failed(first),
        };
        self.unsigned_since = None;
    }

    fn note_unsigned(&mut self) {
        if self.store.unsigned() > 0 && matches!(self.state, State::Open) {
            self.unsigned_since.get_or_insert_with(Instant::now);
        }
    }

    fn checkpoint_if_due(&mut self) {
        let Some(since) = self.unsigned_since else { return };
        if self.store.unsigned() >= CHECKPOINT_RECORDS || since.elapsed() >= self.checkpoint_age {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        match self.store.checkpoint() {
            Ok(()) => self.unsigned_since = None,
            Err(error) => self.fail(error),
        }
    }

    fn finish(&mut self) -> Result<(), AuditError> {
        if self.unsigned_since.is_some() {
            self.checkpoint();
        }
        match &self.state {
            State::Open => Ok(()),
            State::ResultsOnly(error) | State::Failed(error) => Err(error.clone()),
        }
    }
}

impl State {
    /// Why a record of this kind is not written; `None` when it is.
    fn refusal(&self, kind: Kind) -> Option<AuditError> {
        match self {
            Self::Open => None,
            Self::ResultsOnly(_) if kind == Kind::Result => None,
            Self::ResultsOnly(error) | Self::Failed(error) => Some(error.clone()),
        }
    }
}
