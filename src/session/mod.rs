//! Connections kept for the next command.
//!
//! A [`Session`] is a claim on a connection, given back when it is dropped.
//! Claims on one connection stay below sshd's `MaxSessions`, so that a slot is
//! always left for a kill; handshakes with one server at once stay below its
//! `MaxStartups`. Targets behind a jump host share connections to it, and a
//! host that cannot be reached is left alone for a while.

mod breaker;
mod carriers;
mod making;
mod places;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use self::breaker::Breaker;
pub use self::breaker::Circuits;
use self::carriers::Carriers;
use self::making::Making;
use self::places::Places;
use crate::transport::{
    ConnectError, ConnectErrorKind, ConnectPhase, Connection, Connector, Endpoint, Route,
};

/// How long to wait when the system has no file left for a socket, and how
/// often: others may give some back, of this process or of another.
const NO_FILES_PAUSE: Duration = Duration::from_millis(100);
const NO_FILES_TRIES: usize = 600;

/// How long a connection may stay unused.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Commands at once on one connection; sshd's own limit is 10.
    pub channels_max: usize,
    /// Sessions at once on one host, over however many connections; who wants one
    /// more waits.
    pub sessions_max: usize,
    /// Handshakes at once with one server.
    pub handshakes_max: usize,
    /// Connections that are kept although nobody uses them.
    pub idle_max: usize,
    /// Sockets at once; who needs one more waits.
    pub sockets_max: usize,
    /// From name resolution to the end of authentication, for each server on
    /// the way.
    pub connect_timeout: Duration,
    /// When a host that cannot be reached is left alone.
    pub circuits: Circuits,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            channels_max: 8,
            sessions_max: 64,
            handshakes_max: 8,
            idle_max: 10,
            sockets_max: usize::MAX,
            connect_timeout: Duration::from_secs(15),
            circuits: Circuits::default(),
        }
    }
}

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Whoever claims may stop reading, which holds up the whole connection,
    /// so nobody else is on it.
    Exclusive,
    /// Whoever claims always reads.
    Shared,
}

/// Hands out sessions.
pub struct SessionManager {
    connector: Arc<dyn Connector>,
    bounds: Bounds,
    pool: Arc<Pool>,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    hosts: Mutex<HashMap<Endpoint, Arc<Semaphore>>>,
    making: Mutex<HashMap<Purpose, Arc<Making>>>,
    carriers: Carriers,
    breaker: Breaker,
    places: Arc<Places>,
}

/// An endpoint, and what for where that is told apart.
type Purpose = (Endpoint, Option<Arc<str>>);

#[derive(Default)]
struct Pool(Mutex<HashMap<Endpoint, Vec<Pooled>>>);

struct Pooled {
    connection: Arc<dyn Connection>,
    claims: usize,
    exclusive: bool,
    idle_since: Instant,
}

/// A claim on a connection.
pub struct Session {
    connection: Arc<dyn Connection>,
    endpoint: Endpoint,
    pool: Arc<Pool>,
    places: Arc<Places>,
    idle_max: usize,
    fresh: bool,
    /// Its place among those on the host.
    _turn: Option<OwnedSemaphorePermit>,
}

impl SessionManager {
    /// An empty pool.
    pub fn new(connector: Arc<dyn Connector>, bounds: Bounds) -> Self {
        Self {
            connector,
            bounds,
            pool: Arc::default(),
            gates: Mutex::default(),
            hosts: Mutex::default(),
            making: Mutex::default(),
            carriers: Carriers::default(),
            breaker: Breaker::new(bounds.circuits),
            places: Arc::new(Places::new(bounds.sockets_max)),
        }
    }

    /// How many commands may run at once on one connection.
    pub fn channels_max(&self) -> usize {
        self.bounds.channels_max.max(1)
    }

    /// A session with the endpoint, on a kept connection if there is one.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn claim(&self, endpoint: &Endpoint, r#use: Use) -> Result<Session, ConnectError> {
        self.claim_for(endpoint, r#use, None).await
    }

    /// The same for a purpose, whatever that is, in case that failures to connect
    /// are [counted for each](Circuits::by_purpose).
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn claim_for(
        &self,
        endpoint: &Endpoint,
        r#use: Use,
        purpose: Option<&str>,
    ) -> Result<Session, ConnectError> {
        let host = {
            let places = || Arc::new(Semaphore::new(self.bounds.sessions_max.max(1)));
            Arc::clone(lock(&self.hosts).entry(endpoint.clone()).or_insert_with(places))
        };
        let turn = host.acquire_owned().await.ok();
        let purpose = purpose.filter(|_| self.bounds.circuits.by_purpose);
        let mut session = self.share(endpoint, r#use, purpose).await?;
        session._turn = turn;
        Ok(session)
    }

    async fn share(
        &self,
        endpoint: &Endpoint,
        r#use: Use,
        purpose: Option<&str>,
    ) -> Result<Session, ConnectError> {
        if let Some(session) = self.reuse(endpoint, r#use) {
            return Ok(session);
        }
        if r#use == Use::Exclusive {
            return self.fresh(endpoint, r#use, purpose).await;
        }
        let key = (endpoint.clone(), purpose.map(Arc::from));
        let making = Arc::clone(lock(&self.making).entry(key).or_default());
        let make = self.fresh(endpoint, r#use, purpose);
        making.share(|| self.reuse(endpoint, r#use), make).await
    }

    /// A session on a new connection.
    async fn fresh(
        &self,
        endpoint: &Endpoint,
        r#use: Use,
        purpose: Option<&str>,
    ) -> Result<Session, ConnectError> {
        let connection = self.connect_boxed(endpoint, purpose).await?;
        self.pool.lock().entry(endpoint.clone()).or_default().push(Pooled {
            connection: Arc::clone(&connection),
            claims: 1,
            exclusive: r#use == Use::Exclusive,
            idle_since: Instant::now(),
        });
        Ok(self.session(endpoint, connection, true))
    }

    /// A connection outside the pool, closed when it is dropped. Behind a jump
    /// host it shares the way there with others.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Arc<dyn Connection>, ConnectError> {
        self.connect_boxed(endpoint, None).await
    }

    /// Boxed, because a jump host may be behind another.
    fn connect_boxed<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        purpose: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        async move {
            let carrier = match &endpoint.route {
                Route::Direct => None,
                Route::Via(jump) => {
                    // A way there is nobody's alone.
                    let claimed = self.carriers.claim(jump, self.connect_boxed(jump, None)).await;
                    Some(claimed.map_err(|error| error.at_jump_host(jump))?)
                }
            };
            let gate = self.gate(way(endpoint));
            // The permit is given back when the server has let us in, because
            // that is what MaxStartups counts.
            let _permit = gate.acquire().await;
            let Some(carrier) = &carrier else {
                return self.connect_in_place(endpoint, purpose).await;
            };
            // Not before: who waits for a turn learns what became of the others.
            let ticket = self.breaker.admit(endpoint, purpose)?;
            let over = |end| self.connector.connect_over(carrier, endpoint, end);
            let result = self.within(endpoint, over).await;
            ticket.end(&result);
            result
        }
        .boxed()
    }

    /// Connects over a socket of its own, when there is a place for one. That the
    /// system has no file for it lowers how many there may be; it is tried again.
    async fn connect_in_place(
        &self,
        endpoint: &Endpoint,
        purpose: Option<&str>,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let mut tries = 0;
        loop {
            let place = self.places.take(|| self.pool.drop_idle()).await;
            let ticket = self.breaker.admit(endpoint, purpose)?;
            let result = self.within(endpoint, |end| self.connector.connect(endpoint, end)).await;
            ticket.end(&result);
            match result {
                Ok(connection) => return Ok(self.places.keep(place, connection)),
                Err(error) if error.kind != ConnectErrorKind::NoFiles => return Err(error),
                Err(error) if tries == NO_FILES_TRIES => return Err(error),
                Err(_) => {
                    tries += 1;
                    self.places.lower(place);
                    self.pool.drop_idle();
                    sleep(NO_FILES_PAUSE).await;
                }
            }
        }
    }

    /// A connection that shares nothing with any other, for when one of those
    /// does not serve. It is tried however often others have failed.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn connect_apart(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        // Behind a jump host it is the jump host's sshd that sees us first.
        let mut first = endpoint;
        while let Route::Via(jump) = &first.route {
            first = jump;
        }
        let gate = self.gate(way(first));
        let _permit = gate.acquire().await;
        self.within(endpoint, |end| self.connector.connect(endpoint, end)).await
    }

    async fn within<'a>(
        &'a self,
        endpoint: &Endpoint,
        connect: impl FnOnce(Instant) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>>,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let deadline = Instant::now() + self.bounds.connect_timeout;
        let late = || ConnectError {
            phase: ConnectPhase::Tcp,
            kind: ConnectErrorKind::Deadline,
            message: format!("no connection to {} in time", endpoint.authority()),
            hint: None,
            host_key: None,
        };
        // The connector keeps the deadline itself; this is the second lock on
        // the door, with time for a person to unlock a key.
        let patience = deadline + Duration::from_secs(600);
        timeout_at(patience, connect(deadline)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits until one more handshake with the server is no burden to it. The
    /// turn is to be given back when the server has let us in, because that is
    /// what MaxStartups counts.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn turn(&self, endpoint: &Endpoint) -> Option<OwnedSemaphorePermit> {
        self.gate(way(endpoint)).acquire_owned().await.ok()
    }

    fn gate(&self, way: String) -> Arc<Semaphore> {
        let gate = || Arc::new(Semaphore::new(self.bounds.handshakes_max));
        Arc::clone(lock(&self.gates).entry(way).or_insert_with(gate))
    }

    fn reuse(&self, endpoint: &Endpoint, r#use: Use) -> Option<Session> {
        let mut pool = self.pool.lock();
        let kept = pool.get_mut(endpoint)?;
        kept.retain(|pooled| pooled.connection.is_open() || pooled.claims > 0);
        let free = |pooled: &&mut Pooled| {
            pooled.connection.is_open()
                && match r#use {
                    Use::Exclusive => pooled.claims == 0,
                    Use::Shared => !pooled.exclusive && pooled.claims < self.bounds.channels_max,
                }
        };
        let pooled = kept.iter_mut().find(free)?;
        pooled.claims += 1;
        pooled.exclusive = r#use == Use::Exclusive;
        let connection = Arc::clone(&pooled.connection);
        drop(pool);
        Some(self.session(endpoint, connection, false))
    }

    fn session(
        &self,
        endpoint: &Endpoint,
        connection: Arc<dyn Connection>,
        fresh: bool,
    ) -> Session {
        Session {
            connection,
            endpoint: endpoint.clone(),
            pool: Arc::clone(&self.pool),
            places: Arc::clone(&self.places),
            idle_max: self.bounds.idle_max,
            fresh,
            _turn: None,
        }
    }
}

impl Session {
    /// The claimed connection.
    pub fn connection(&self) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// Whether the connection was made for this claim.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let idle_max = if self.places.are_wanted() { 0 } else { self.idle_max };
        self.pool.give_back(&self.endpoint, &self.connection, idle_max);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Vec<Pooled>>> {
        lock(&self.0)
    }

    /// Closes what nobody uses.
    fn drop_idle(&self) {
        let mut dropped = Vec::new();
        let mut pool = self.lock();
        for kept in pool.values_mut() {
            dropped.extend(kept.extract_if(.., |pooled| pooled.claims == 0));
        }
        pool.retain(|_, kept| !kept.is_empty());
        drop(pool);
        drop(dropped);
    }

    fn give_back(&self, endpoint: &Endpoint, connection: &Arc<dyn Connection>, idle_max: usize) {
        let now = Instant::now();
        let mut pool = self.lock();
        if let Some(kept) = pool.get_mut(endpoint)
            && let Some(pooled) =
                kept.iter_mut().find(|pooled| Arc::ptr_eq(&pooled.connection, connection))
        {
            pooled.claims -= 1;
            pooled.exclusive &= pooled.claims > 0;
            pooled.idle_since = now;
        }
        let mut dropped = Vec::new();
        let mut idle: Vec<Instant> = Vec::new();
        for kept in pool.values_mut() {
            dropped.extend(kept.extract_if(.., |pooled| {
                let dead = !pooled.connection.is_open();
                let stale = now.duration_since(pooled.idle_since) > IDLE_MAX;
                pooled.claims == 0 && (dead || stale)
            }));
            idle.extend(kept.iter().filter(|pooled| pooled.claims == 0).map(|p| p.idle_since));
        }
        if let Some(surplus) = idle.len().checked_sub(idle_max).filter(|&surplus| surplus > 0) {
            idle.sort_unstable();
            let newest_dropped = idle[surplus - 1];
            for kept in pool.values_mut() {
                dropped.extend(kept.extract_if(.., |pooled| {
                    pooled.claims == 0 && pooled.idle_since <= newest_dropped
                }));
            }
        }
        pool.retain(|_, kept| !kept.is_empty());
        drop(pool);
        // Closing a connection may run code of others; not under our lock.
        drop(dropped);
    }
}

/// Which server it is, whoever logs in there: the same address behind another
/// jump host is another one.
fn way(endpoint: &Endpoint) -> String {
    match &endpoint.route {
        Route::Direct => endpoint.authority(),
        Route::Via(jump) => format!("{} {}", way(jump), endpoint.authority()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::transport::{Identity, Trust};

    /// Finds no file so many times, and then nobody who lets it in.
    struct Poor(AtomicUsize);

    impl Connector for Poor {
        fn connect<'a>(
            &'a self,
            _: &'a Endpoint,
            _: Instant,
        ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
            let poor = |left: usize| left.checked_sub(1);
            let kind = match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, poor) {
                Ok(_) => ConnectErrorKind::NoFiles,
                Err(_) => ConnectErrorKind::Auth,
            };
            let message = String::new();
            let phase = ConnectPhase::Tcp;
            let error = ConnectError { phase, kind, message, hint: None, host_key: None };
            std::future::ready(Err(error)).boxed()
        }
    }

    fn endpoint(label: &str) -> Endpoint {
        Endpoint {
            label: label.into(),
            address: label.into(),
            port: 22,
            user: "ops".into(),
            identity: Identity::default(),
            trust: Trust::default(),
            route: Route::Direct,
            profile: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn that_we_have_no_file_left_is_no_failure_of_a_host() {
        let connector = Arc::new(Poor(AtomicUsize::new(NO_FILES_TRIES)));
        let sessions = SessionManager::new(connector, Bounds::default());
        let error = sessions.connect(&endpoint("one")).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth);
        // There is a place left for the next.
        let error = sessions.connect(&endpoint("two")).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_files_for_ever() {
        let connector = Arc::new(Poor(AtomicUsize::new(usize::MAX)));
        let sessions = SessionManager::new(connector, Bounds::default());
        let error = sessions.connect(&endpoint("one")).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::NoFiles);
    }
}
