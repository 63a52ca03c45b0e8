//! Following and stopping a run.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::verdict;
use crate::event::{Chunk, Event, EventKind, Observer};
use crate::ids::{RunId, VmId};
use crate::outcome::HostResult;
use crate::remote;

/// A run in progress: it is followed, cancelled and waited for.
///
/// It is a [`Stream`] of the run's events, and awaiting it is
/// [`wait`](Self::wait).
pub struct RunHandle {
    run: RunId,
    events: UnboundedReceiver<Event>,
    cancel: CancellationToken,
    finished: JoinHandle<Vec<HostResult>>,
    lost: Lost,
}

/// What is told of a run whose runtime was shut down under it. Nothing at all
/// would look like success.
pub(super) struct Lost {
    pub(super) hosts: Vec<VmId>,
    pub(super) command: String,
}

impl RunHandle {
    pub(super) fn new(
        run: RunId,
        events: UnboundedReceiver<Event>,
        cancel: CancellationToken,
        finished: JoinHandle<Vec<HostResult>>,
        lost: Lost,
    ) -> Self {
        Self { run, events, cancel, finished, lost }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.run
    }

    /// The next event; `None` after the last.
    ///
    /// Output events count against a bound per host until their bytes are
    /// dropped, so a consumer that keeps them slows the host down.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// What is written on the hosts, as it comes; other events are thrown away.
    /// The run must have been asked to [`stream`](crate::Request::stream).
    ///
    /// # Cancel safety
    /// No output is lost when the stream is dropped.
    pub fn output(&mut self) -> OutputStream<'_> {
        OutputStream { handle: self }
    }

    /// Whether the run has ended. Its events may still be waiting to be read.
    pub fn is_finished(&self) -> bool {
        self.finished.is_finished()
    }

    /// Stops the run, as [`canceller`](Self::canceller) does.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What stops the run: hosts that were not started are `not_started`,
    /// commands that run are killed on their hosts.
    pub fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for the end and gives the results in the plan's order. Events that
    /// were not read are thrown away.
    ///
    /// # Cancel safety
    /// The run goes on when the future is dropped.
    pub async fn wait(mut self) -> Vec<HostResult> {
        while self.events.recv().await.is_some() {}
        let Lost { hosts, command } = self.lost;
        let lost = |vm| verdict::fault(vm, command.clone());
        self.finished.await.unwrap_or_else(|_| hosts.into_iter().map(lost).collect())
    }
}

impl Stream for RunHandle {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }
}

impl IntoFuture for RunHandle {
    type Output = Vec<HostResult>;
    type IntoFuture = BoxFuture<'static, Vec<HostResult>>;

    fn into_future(self) -> Self::IntoFuture {
        self.wait().boxed()
    }
}

/// What is written on the hosts of a run, as it comes: see
/// [`RunHandle::output`].
pub struct OutputStream<'a> {
    handle: &'a mut RunHandle,
}

/// Something that was written on a host.
#[derive(Clone, Debug)]
pub struct Output {
    /// The host.
    pub vm: VmId,
    /// Which of several commands wrote it, from 0.
    pub index: Option<usize>,
    /// Where it wrote.
    pub stream: remote::Stream,
    /// What it wrote. As long as it is kept it counts against the bound of its
    /// host.
    pub bytes: Chunk,
}

impl Output {
    pub(crate) fn of(event: Event) -> Option<Self> {
        match event.kind {
            EventKind::Output { vm, index, stream, bytes } => {
                Some(Self { vm, index, stream, bytes })
            }
            _ => None,
        }
    }
}

impl Stream for OutputStream<'_> {
    type Item = Output;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Output>> {
        let events = &mut self.get_mut().handle.events;
        loop {
            match ready!(events.poll_recv(context)) {
                None => return Poll::Ready(None),
                Some(event) => {
                    if let Some(output) = Output::of(event) {
                        return Poll::Ready(Some(output));
                    }
                }
            }
        }
    }
}

/// Numbers events and hands them to whoever reads the run.
#[derive(Clone)]
pub(super) struct Emitter {
    run: RunId,
    next: Arc<Mutex<u64>>,
    sender: UnboundedSender<Event>,
    observer: Option<Arc<dyn Observer>>,
}

pub(super) fn channel(
    run: RunId,
    observer: Option<Arc<dyn Observer>>,
) -> (Emitter, UnboundedReceiver<Event>) {
    let (sender, receiver) = unbounded_channel();
    (Emitter { run, next: Arc::default(), sender, observer }, receiver)
}

impl Emitter {
    /// Tells an event. Output is bounded by its producer; the others are a few
    /// per host.
    pub(super) fn emit(&self, kind: EventKind) {
        if let Some(observer) = &self.observer {
            observer.observe(&kind);
        }
        // Sent under the lock, so that numbers and order agree.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Event { seq: *next, at: Timestamp::now(), run: self.run, kind };
        *next += 1;
        let _ = self.sender.send(event);
    }
}
