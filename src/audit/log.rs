//! Writing the log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::AuditError;
use super::chain::LINE_MAX;
use super::record::{self, Body, Record};
use super::redaction::{Redact, Redactor};
use super::store::Store;
use super::writer::{self, Ack, Message};

/// What the writer adds to a line, at most: where, when, and the chain.
const ENVELOPE_MAX: usize = 1024;

/// How a log is written.
#[derive(Clone)]
pub struct Options {
    /// What is secret in a text.
    pub redact: Redact,
    /// A segment this long, in bytes, is finished (64 MiB).
    pub segment_bytes: u64,
    /// How long a record waits for a signature at most (1 s). A thousand
    /// records, and closing the log, bring one sooner.
    pub checkpoint_age: Duration,
    /// Open a log whose chain is broken: a new segment begins with a record
    /// of that. Verification keeps naming the broken place.
    pub accept_broken: bool,
    /// How long another process may hold the lock before the log fails (30 s).
    pub lock_wait: Duration,
}

impl Options {
    /// The usual sizes, and what is secret.
    pub fn new(redact: Redact) -> Self {
        Self {
            redact,
            segment_bytes: 64 << 20,
            checkpoint_age: Duration::from_secs(1),
            accept_broken: false,
            lock_wait: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_bytes", &self.segment_bytes)
            .field("checkpoint_age", &self.checkpoint_age)
            .field("accept_broken", &self.accept_broken)
            .field("lock_wait", &self.lock_wait)
            .finish_non_exhaustive()
    }
}

/// Proof that a record is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number in the log, from 1.
    pub seq: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// A log open for writing. Clones write to the same log; several processes
/// may have one log open.
///
/// Once writing fails the log has failed for good: every later record is
/// refused with the same error, and a new log must be opened. Results of
/// actions already begun are kept even then, where anything can be kept.
#[derive(Clone)]
pub struct AuditLog(Arc<Inner>);

struct Inner {
    path: PathBuf,
    redactor: Redactor,
    /// `None` once closed.
    queue: RwLock<Option<Sender<Message>>>,
}

impl AuditLog {
    /// Opens the log at `path`, made with its directory when it is not there.
    /// Blocks: it reads what is behind the last checkpoint, and repairs what a
    /// crash left.
    ///
    /// # Errors
    /// A broken chain, key files others can read, and whatever keeps a record
    /// from being written.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, AuditError> {
        let path = path.as_ref().to_owned();
        let store = Store::open(&path, &options)?;
        let checkpoint_age = options.checkpoint_age;
        let redactor = Redactor::new(options.redact, store.redaction_key());
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer::run(store, checkpoint_age, &receiver))
            .map_err(AuditError::io("start the writer of", &path))?;
        Ok(Self(Arc::new(Inner { path, redactor, queue: RwLock::new(Some(sender)) })))
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Records `record`; ready once it is durable.
    ///
    /// # Cancel safety
    /// The record is on its way when this returns, before the future is first
    /// polled: dropping the future loses only the receipt.
    pub fn append(
        &self,
        record: Record,
    ) -> impl Future<Output = Result<Receipt, AuditError>> + Send + use<> {
        self.append_among(false, record)
    }

    /// As [`append`](Self::append), of a result; with `others` to come it may wait
    /// a moment, so that they are made durable together.
    pub(crate) fn append_among(
        &self,
        others: bool,
        record: Record,
    ) -> impl Future<Output = Result<Receipt, AuditError>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.enqueue(others, record, Box::new(move |result| drop(sender.send(result))));
        let closed = AuditError::Closed(self.0.path.clone());
        async move { receiver.await.unwrap_or(Err(closed)) }
    }

    /// As [`append`](Self::append), for callers without a runtime.
    pub fn append_blocking(&self, record: Record) -> Result<Receipt, AuditError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.enqueue(false, record, Box::new(move |result| drop(sender.send(result))));
        receiver.recv().unwrap_or_else(|_| Err(AuditError::Closed(self.0.path.clone())))
    }

    /// Writes what is queued, signs the end of the log and closes it, for all
    /// clones. A program that ends without it loses nothing but that signature.
    ///
    /// # Errors
    /// Why the log failed, if it did, now or earlier.
    ///
    /// # Cancel safety
    /// The log closes even if the future is dropped.
    pub fn close(&self) -> impl Future<Output = Result<(), AuditError>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.request_close(Box::new(move |result| drop(sender.send(result))));
        let closed = AuditError::Closed(self.0.path.clone());
        async move { receiver.await.unwrap_or(Err(closed)) }
    }

    /// As [`close`](Self::close), for callers without a runtime.
    pub fn close_blocking(&self) -> Result<(), AuditError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.request_close(Box::new(move |result| drop(sender.send(result))));
        receiver.recv().unwrap_or_else(|_| Err(AuditError::Closed(self.0.path.clone())))
    }

    fn enqueue(&self, patient: bool, record: Record, ack: Ack<Receipt>) {
        let mut members = record::members(&record);
        self.0.redactor.apply(&mut members);
        let body = Body { patient, ..Body::new(record.event.kind(), members) };
        let (bytes, max) = (body.text.len(), LINE_MAX - ENVELOPE_MAX);
        if bytes > max {
            return ack(Err(AuditError::TooLong { bytes, max }));
        }
        let queue = self.0.queue.read().unwrap_or_else(PoisonError::into_inner);
        // A message that cannot be sent drops its ack, which tells the caller.
        if let Some(queue) = &*queue {
            let _ = queue.send(Message::Append(body, ack));
        }
    }

    fn request_close(&self, ack: Ack<()>) {
        let queue = self.0.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = queue {
            let _ = queue.send(Message::Close(ack));
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditLog").field(&self.0.path).finish()
    }
}
