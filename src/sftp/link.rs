//! What was asked and not yet answered. The tasks that write and read, and
//! everybody who asks, meet here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Bounds;
use super::error::SftpError;
use super::reply::{Answer, Expect, Reply, parse};
use super::wire::{Fields, Packet, Request, Violation, kind};

/// One session's book of debts.
pub(super) struct Link {
    state: Mutex<State>,
    queue: mpsc::Sender<Packet>,
    requests: Arc<Semaphore>,
    handles: Arc<Semaphore>,
    /// Cancelled when the session ended, or nobody has it any more.
    pub(super) over: CancellationToken,
}

#[derive(Default)]
struct State {
    owed: HashMap<u32, Debt>,
    next_id: u32,
    ended: Option<SftpError>,
}

/// An answer that is owed. It is here until it came, even if nobody waits for
/// it any more; so long the request counts.
struct Debt {
    expect: Expect,
    creditor: oneshot::Sender<Answer>,
    permits: Permits,
}

#[derive(Default)]
struct Permits {
    _request: Option<OwnedSemaphorePermit>,
    handle: Option<OwnedSemaphorePermit>,
}

impl Link {
    /// A link, and the queue of what is to be written. The queue never fills:
    /// whoever puts something in holds a permit of one of two kinds.
    pub(super) fn new(bounds: &Bounds) -> (Arc<Self>, mpsc::Receiver<Packet>) {
        let (requests_max, handles_max) = (bounds.requests_max.max(1), bounds.handles_max.max(1));
        let (queue, packets) = mpsc::channel(requests_max + handles_max + 1);
        let link = Self {
            state: Mutex::default(),
            queue,
            requests: Arc::new(Semaphore::new(requests_max)),
            handles: Arc::new(Semaphore::new(handles_max)),
            over: CancellationToken::new(),
        };
        (Arc::new(link), packets)
    }

    /// Queues the first packet of the session, which has no id.
    pub(super) fn greet(&self, packet: Packet) {
        let _ = self.queue.try_send(packet);
    }

    /// Allows no more than this many handles. For the start of a session, while
    /// none is open.
    pub(super) fn limit_handles(&self, max: usize) {
        let surplus = self.handles.available_permits().saturating_sub(max.max(1));
        self.handles.forget_permits(surplus);
    }

    /// Sends a request when there is room for it, and waits for the answer.
    pub(super) async fn call(self: &Arc<Self>, request: Request) -> Answer {
        let request_permit = self.permit(&self.requests).await?;
        let permits = Permits { _request: Some(request_permit), handle: None };
        self.submit(request, permits).wait(self).await
    }

    /// As [`Self::call`], for a request that opens a handle.
    pub(super) async fn open(self: &Arc<Self>, request: Request) -> Result<OpenHandle, SftpError> {
        let handle = Some(self.permit(&self.handles).await?);
        let _request = Some(self.permit(&self.requests).await?);
        match self.submit(request, Permits { _request, handle }).wait(self).await? {
            Reply::Handle(handle) => Ok(handle),
            _ => Err(self.unexpected()),
        }
    }

    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, SftpError> {
        Arc::clone(of).acquire_owned().await.map_err(|_| self.ended())
    }

    fn submit(&self, request: Request, permits: Permits) -> Waiting {
        let (creditor, answer) = oneshot::channel();
        let mut state = self.state();
        if state.ended.is_none() {
            let mut id = state.next_id;
            while state.owed.contains_key(&id) {
                id = id.wrapping_add(1);
            }
            state.next_id = id.wrapping_add(1);
            state.owed.insert(id, Debt { expect: request.expect, creditor, permits });
            if self.queue.try_send(request.into_packet(id)).is_err() {
                // The writer is gone, and the end is about to be told.
                state.owed.remove(&id);
            }
        }
        Waiting(answer)
    }

    /// Takes a packet from the server. One that breaks the protocol ends the
    /// session.
    pub(super) fn deliver(self: &Arc<Self>, packet: Bytes) {
        let mut fields = Fields::new(packet);
        let (kind, debt) = match self.settle(&mut fields) {
            Ok(settled) => settled,
            Err(violation) => return self.violated(violation),
        };
        let Debt { expect, creditor, permits } = debt;
        let Permits { _request, handle: permit } = permits;
        let link = Arc::clone(self);
        let open = |handle| OpenHandle { handle, owned: permit.map(|permit| (link, permit)) };
        let answer = parse(kind, fields, expect, open).unwrap_or_else(|violation| {
            self.violated(violation);
            Err(self.ended())
        });
        // Whoever asked may be gone. A handle is closed then by being dropped.
        let _ = creditor.send(answer);
    }

    /// The type of the reply, and what was owed under its id.
    fn settle(&self, fields: &mut Fields) -> Result<(u8, Debt), Violation> {
        let (kind, id) = (fields.u8()?, fields.u32()?);
        let debt = self.state().owed.remove(&id);
        Ok((kind, debt.ok_or("a reply to nothing that was asked")?))
    }

    pub(super) fn violated(&self, violation: Violation) {
        self.end(SftpError::Protocol(violation));
    }

    /// Ends the session, unless it has ended already: everybody who waits, or
    /// asks later, gets this error.
    pub(super) fn end(&self, error: SftpError) {
        let mut state = self.state();
        let error = state.ended.get_or_insert(error).clone();
        let owed = std::mem::take(&mut state.owed);
        drop(state);
        self.requests.close();
        self.handles.close();
        self.over.cancel();
        for debt in owed.into_values() {
            let _ = debt.creditor.send(Err(error.clone()));
        }
    }

    /// Whether the server owes anything.
    pub(super) fn is_owed(&self) -> bool {
        !self.state().owed.is_empty()
    }

    pub(super) fn ended(&self) -> SftpError {
        let lost = || SftpError::Lost { reason: "it was closed".into() };
        self.state().ended.clone().unwrap_or_else(lost)
    }

    /// For an answer of a type that [`parse`] lets nobody see.
    pub(super) fn unexpected(&self) -> SftpError {
        self.violated("a reply of the wrong type".into());
        self.ended()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving end of a debt.
struct Waiting(oneshot::Receiver<Answer>);

impl Waiting {
    async fn wait(self, link: &Link) -> Answer {
        match self.0.await {
            Ok(answer) => answer,
            Err(_) => Err(link.ended()),
        }
    }
}

/// A handle that is open on the server, closed when it is dropped. It counts
/// until the server has confirmed that.
pub(super) struct OpenHandle {
    pub(super) handle: Bytes,
    owned: Option<(Arc<Link>, OwnedSemaphorePermit)>,
}

impl OpenHandle {
    /// Closes it and waits for what the server says to that.
    ///
    /// # Cancel safety
    /// It is closed even if the future is dropped.
    pub(super) async fn close(mut self) -> Result<(), SftpError> {
        let Some((link, waiting)) = self.submit_close() else { return Ok(()) };
        waiting.wait(&link).await.map(drop)
    }

    fn submit_close(&mut self) -> Option<(Arc<Link>, Waiting)> {
        let (link, permit) = self.owned.take()?;
        let request = Request::new(kind::CLOSE, Expect::Status).string(&self.handle);
        let waiting = link.submit(request, Permits { _request: None, handle: Some(permit) });
        Some((link, waiting))
    }

    #[cfg(test)]
    pub(super) fn detached(handle: Bytes) -> Self {
        Self { handle, owned: None }
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        self.submit_close();
    }
}

impl fmt::Debug for OpenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHandle").finish_non_exhaustive()
    }
}
