//! Writing to a disk without waiting for it in the task that must read.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// How much is written at once, if that much is there.
pub(super) const CHUNK: usize = 128 * 1024;

/// How much may wait where nobody can wait for the disk: while a command is
/// ended. Beyond that the disk is given up.
const WAITING_MAX: usize = 4 << 20;

/// How long the disk may take for a chunk.
const PATIENCE: Duration = Duration::from_secs(10);

const TOO_SLOW: &str = "the disk is too slow";

/// Something that bytes can be written to, one chunk after the other. Writing
/// may block.
pub(super) trait Place: Clone + Send + 'static {
    /// What is to be known of a chunk that was written.
    type Done: Send + 'static;

    fn write(&self, bytes: &[u8]) -> io::Result<Self::Done>;
}

/// Writes chunks on the blocking pool, one at a time and in order.
#[derive(Debug)]
pub(super) struct Pen<P: Place> {
    place: P,
    at_least: usize,
    waiting: Vec<u8>,
    job: Option<JoinHandle<Job<P::Done>>>,
    done: Vec<P::Done>,
    trouble: Option<String>,
}

/// A chunk, and what came of it.
type Job<D> = (Vec<u8>, io::Result<D>);

/// What a pen has done when it is put away.
pub(super) struct Written<D> {
    pub(super) done: Vec<D>,
    /// What was not written, as far as it is still known.
    pub(super) left: Vec<u8>,
    /// Why not.
    pub(super) trouble: Option<String>,
}

impl<P: Place> Pen<P> {
    /// Writes when at least so many bytes wait, or at the end.
    pub(super) fn new(place: P, at_least: usize) -> Self {
        let (waiting, done) = (Vec::new(), Vec::new());
        Self { place, at_least, waiting, job: None, done, trouble: None }
    }

    /// Takes the next bytes, and never waits. After trouble they only wait.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        self.look();
        if self.job.is_some() && self.waiting.len() > WAITING_MAX {
            self.give_up(TOO_SLOW.into());
        }
        if self.waiting.len() >= self.at_least {
            self.start();
        }
    }

    /// Whether the disk has to be waited for.
    pub(super) fn is_full(&mut self) -> bool {
        self.look();
        self.job.is_some() && self.waiting.len() >= CHUNK
    }

    /// Waits until it is not full, for 10 s at most: then the disk is given up.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn room(&mut self) {
        while self.is_full() {
            self.wait().await;
            if self.waiting.len() >= self.at_least {
                self.start();
            }
        }
    }

    /// Why nothing more is written, if so.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Writes what waits, and ends.
    pub(super) async fn close(mut self) -> Written<P::Done> {
        self.wait().await;
        while !self.waiting.is_empty() && self.trouble.is_none() {
            self.start();
            self.wait().await;
        }
        self.into_written()
    }

    /// What there is now. What is being written counts as lost.
    pub(super) fn into_written(self) -> Written<P::Done> {
        Written { done: self.done, left: self.waiting, trouble: self.trouble }
    }

    /// Begins to write what waits, be it nothing.
    pub(super) fn start(&mut self) {
        if self.job.is_some() || self.trouble.is_some() {
            return;
        }
        let (place, chunk) = (self.place.clone(), std::mem::take(&mut self.waiting));
        self.job = Some(spawn_blocking(move || {
            let done = place.write(&chunk);
            (chunk, done)
        }));
    }

    async fn wait(&mut self) {
        let Some(job) = &mut self.job else { return };
        match timeout(PATIENCE, job).await {
            Ok(ended) => self.ended(ended.map_err(|error| error.to_string())),
            Err(_) => self.give_up(TOO_SLOW.into()),
        }
    }

    fn look(&mut self) {
        let Some(job) = self.job.as_mut().filter(|job| job.is_finished()) else { return };
        if let Some(ended) = job.now_or_never() {
            self.ended(ended.map_err(|error| error.to_string()));
        }
    }

    fn ended(&mut self, ended: Result<Job<P::Done>, String>) {
        self.job = None;
        match ended {
            Ok((_, Ok(done))) => self.done.push(done),
            Ok((mut chunk, Err(error))) => {
                chunk.append(&mut self.waiting);
                self.waiting = chunk;
                self.give_up(error.to_string());
            }
            Err(error) => self.give_up(error),
        }
    }

    fn give_up(&mut self, why: String) {
        self.job = None;
        self.trouble.get_or_insert(why);
    }
}
