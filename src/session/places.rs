//! How many connections there can be at once: each is a socket, and a process
//! may have only so many files open. Who finds no place waits for one; that our
//! own files are used up is no failure of a host.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::transport::{
    ByteStream, Channel, ChannelError, Connection, ConnectionFacts, ExecRequest,
};

/// The places of a process: as many as it may have, fewer after the system had
/// no file left, and one more with each connection that was made since.
pub(super) struct Places {
    free: Arc<Semaphore>,
    now: Mutex<usize>,
    most: usize,
    wanted: AtomicUsize,
}

/// The right to one more socket.
pub(super) struct Place(Option<OwnedSemaphorePermit>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(most)),
            now: Mutex::new(most),
            most,
            wanted: AtomicUsize::new(0),
        }
    }

    /// A place, as soon as there is one. Before it waits it calls `make_room`.
    ///
    /// # Cancel safety
    /// Nothing is taken when the future is dropped.
    pub(super) async fn take(&self, make_room: impl FnOnce()) -> Place {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Place(Some(place));
        }
        let _wanted = Wanted::one_more(&self.wanted);
        make_room();
        Place(Arc::clone(&self.free).acquire_owned().await.ok())
    }

    /// Gives up the place and all that are free: there are fewer files than was
    /// thought. One stays, or nobody would ever get one.
    pub(super) fn lower(&self, place: Place) {
        let mut now = self.lock();
        *now -= self.free.forget_permits(self.free.available_permits());
        if *now > 1
            && let Some(permit) = place.0
        {
            *now -= 1;
            permit.forget();
        }
    }

    /// The connection that was made, in its place for as long as it lives.
    pub(super) fn keep(
        &self,
        place: Place,
        connection: Arc<dyn Connection>,
    ) -> Arc<dyn Connection> {
        let mut now = self.lock();
        if *now < self.most {
            *now += 1;
            self.free.add_permits(1);
        }
        drop(now);
        Arc::new(Placed { connection, _place: place })
    }

    /// Whether somebody waits for a place.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) > 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn one_more(wanted: &'a AtomicUsize) -> Self {
        wanted.fetch_add(1, Ordering::SeqCst);
        Self(wanted)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that gives its place back when it is dropped.
struct Placed {
    // Dropped in this order.
    connection: Arc<dyn Connection>,
    _place: Place,
}

impl Connection for Placed {
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Channel, ChannelError>> {
        self.connection.exec(request)
    }

    fn subsystem<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Channel, ChannelError>> {
        self.connection.subsystem(name)
    }

    fn open_stream<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn ByteStream>, ChannelError>> {
        self.connection.open_stream(address, port)
    }

    fn facts(&self) -> &ConnectionFacts {
        self.connection.facts()
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        self.connection.closed()
    }

    fn close_reason(&self) -> Option<String> {
        self.connection.close_reason()
    }

    fn abort(&self) {
        self.connection.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(places: &Places) -> Option<Place> {
        places.take(|| ()).now_or_never()
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let places = Places::new(2);
        let (one, two) = (taken(&places).unwrap(), taken(&places).unwrap());
        assert!(taken(&places).is_none());
        drop(one);
        assert!(taken(&places).is_some());
        drop(two);
    }

    #[test]
    fn who_finds_no_file_lowers_them_to_those_in_use_but_one_stays() {
        let places = Places::new(100);
        let (one, two) = (taken(&places).unwrap(), taken(&places).unwrap());
        places.lower(two);
        assert!(taken(&places).is_none());
        places.lower(one);
        let last = taken(&places).unwrap();
        assert!(taken(&places).is_none());
        places.lower(last);
        assert!(taken(&places).is_some());
    }

    #[test]
    fn who_waits_makes_room_first() {
        let places = Places::new(1);
        let mut first = taken(&places);
        let mut second = Box::pin(places.take(|| drop(first.take())));
        assert!((&mut second).now_or_never().is_some());
        drop(second);
        assert!(!places.are_wanted());
    }
}
