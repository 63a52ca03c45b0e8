//! Connections kept for the next command.
//!
//! A [`Session`] is a claim on a connection, given back when it is dropped.
//! Claims on one connection stay below sshd's `MaxSessions`, so that a slot is
//! always left for a kill; handshakes with one server at once stay below its
//! `MaxStartups`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::transport::{
    ConnectError, ConnectErrorKind, ConnectPhase, Connection, Connector, Endpoint,
};

/// How long a connection may stay unused.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Commands at once on one connection; sshd's own limit is 10.
    pub channels_max: usize,
    /// Handshakes at once with one server.
    pub handshakes_max: usize,
    /// Connections that are kept although nobody uses them.
    pub idle_max: usize,
    /// From name resolution to the end of authentication.
    pub connect_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            channels_max: 8,
            handshakes_max: 8,
            idle_max: 10,
            connect_timeout: Duration::from_secs(15),
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
    gates: Mutex<HashMap<(String, u16), Arc<Semaphore>>>,
    making: Mutex<HashMap<Endpoint, Arc<Making>>>,
}

/// A shared connection that is being made: others wait for it instead of
/// making their own, and share its failure.
#[derive(Default)]
struct Making {
    attempts: AtomicU64,
    failure: tokio::sync::Mutex<Option<ConnectError>>,
}

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
    idle_max: usize,
    fresh: bool,
}

impl SessionManager {
    /// An empty pool.
    pub fn new(connector: Arc<dyn Connector>, bounds: Bounds) -> Self {
        Self {
            connector,
            bounds,
            pool: Arc::default(),
            gates: Mutex::default(),
            making: Mutex::default(),
        }
    }

    /// A session with the endpoint, on a kept connection if there is one.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn claim(&self, endpoint: &Endpoint, r#use: Use) -> Result<Session, ConnectError> {
        if let Some(session) = self.reuse(endpoint, r#use) {
            return Ok(session);
        }
        if r#use == Use::Exclusive {
            return self.fresh(endpoint, r#use).await;
        }
        let making = Arc::clone(lock(&self.making).entry(endpoint.clone()).or_default());
        let before = making.attempts.load(Ordering::SeqCst);
        let mut failure = making.failure.lock().await;
        if let Some(session) = self.reuse(endpoint, r#use) {
            return Ok(session);
        }
        if making.attempts.load(Ordering::SeqCst) > before
            && let Some(failure) = &*failure
        {
            return Err(failure.clone());
        }
        let result = self.fresh(endpoint, r#use).await;
        *failure = result.as_ref().err().cloned();
        making.attempts.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// A session on a new connection.
    async fn fresh(&self, endpoint: &Endpoint, r#use: Use) -> Result<Session, ConnectError> {
        let connection = self.connect(endpoint).await?;
        self.pool.lock().entry(endpoint.clone()).or_default().push(Pooled {
            connection: Arc::clone(&connection),
            claims: 1,
            exclusive: r#use == Use::Exclusive,
            idle_since: Instant::now(),
        });
        Ok(self.session(endpoint, connection, true))
    }

    /// A connection outside the pool, closed when it is dropped.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Arc<dyn Connection>, ConnectError> {
        let _turn = self.turn(endpoint).await;
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
        timeout_at(patience, self.connector.connect(endpoint, deadline))
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// Waits until one more handshake with the server is no burden to it. The
    /// turn is to be given back when the server has let us in, because that is
    /// what MaxStartups counts.
    ///
    /// # Cancel safety
    /// Nothing is left behind when the future is dropped.
    pub async fn turn(&self, endpoint: &Endpoint) -> Option<OwnedSemaphorePermit> {
        self.gate(endpoint).acquire_owned().await.ok()
    }

    fn gate(&self, endpoint: &Endpoint) -> Arc<Semaphore> {
        // Behind a jump host it is the jump host's sshd that sees us first.
        let mut first = endpoint;
        while let crate::transport::Route::Via(jump) = &first.route {
            first = jump;
        }
        let key = (first.address.clone(), first.port);
        let gate = || Arc::new(Semaphore::new(self.bounds.handshakes_max));
        Arc::clone(lock(&self.gates).entry(key).or_insert_with(gate))
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
            idle_max: self.bounds.idle_max,
            fresh,
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
        self.pool.give_back(&self.endpoint, &self.connection, self.idle_max);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Vec<Pooled>>> {
        lock(&self.0)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
