//! The one connection to a host that its commands share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exec::{Limits, Mark, Output, Report, ShellSession, Taken};
use crate::outcome::{HostResult, Timing};
use crate::remote::Action;
use crate::run::record::Nth;
use crate::run::slots::Slot;
use crate::run::unit::{CONNECT_SOON, Unit};
use crate::session::{Session, Use};
use crate::transport::{ConnectError, Connection, ConnectionFacts, Endpoint};

/// A connection, made for the first command and made anew only for one that was
/// not sent, or may be sent twice.
pub(super) struct Line<'a> {
    unit: &'a Unit,
    endpoint: &'a Endpoint,
    slot: &'a Slot,
    /// Whether they run one after another, each in a channel of its own.
    in_turn: bool,
    held: tokio::sync::Mutex<Held>,
    shell: tokio::sync::Mutex<Option<ShellSession<'a>>>,
    shell_ended: AtomicBool,
    /// How many commands are at work.
    busy: AtomicUsize,
    facts: Mutex<Facts>,
}

struct Held {
    session: Option<Session>,
    /// Whether it is known to be alive.
    proven: bool,
    /// Whether a command was sent on it.
    used: bool,
    r#use: Use,
}

/// What a host's result says beside those of its commands.
#[derive(Default)]
struct Facts {
    ssh: Option<ConnectionFacts>,
    timing: Timing,
    refused_host_key: Option<String>,
}

/// A command at work, until it is dropped.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl<'a> Line<'a> {
    pub(super) fn new(
        unit: &'a Unit,
        endpoint: &'a Endpoint,
        slot: &'a Slot,
        several: bool,
    ) -> Self {
        let in_turn = !several
            && matches!(&unit.plan.action, Action::Commands(list)
                if list.commands().len() > 1 && !list.shell_session);
        // Whoever uses many channels leaves none to others, and one who streams
        // may stop reading.
        let alone = several || unit.options.stream;
        let r#use = if alone { Use::Exclusive } else { Use::Shared };
        Self {
            unit,
            endpoint,
            slot,
            in_turn,
            held: tokio::sync::Mutex::new(Held {
                session: None,
                proven: false,
                used: false,
                r#use,
            }),
            shell: tokio::sync::Mutex::default(),
            shell_ended: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            facts: Mutex::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// Says that a command is at work.
    pub(super) fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(&self.busy)
    }

    /// Whether others are at work beside the one that asks.
    pub(super) fn is_shared(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 1
    }

    /// The connection; `result` is told what it is, and how long it took when it
    /// is new.
    pub(super) async fn connection(
        &self,
        result: &mut HostResult,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let mut held = self.held.lock().await;
        if let Some(session) = held.session.as_ref().filter(|it| it.connection().is_open()) {
            self.unit.connected(session, result);
            result.timing = Timing::default();
            return Ok(Arc::clone(session.connection()));
        }
        held.session = None;
        let claim = self.unit.claim(self.endpoint, held.r#use);
        let session = self.slot.lend(CONNECT_SOON, claim).await?;
        self.slot.take_back(&self.unit.cancel).await;
        self.unit.connected(&session, result);
        let connection = Arc::clone(session.connection());
        connection.expect_more(self.in_turn);
        // One that was kept may be dead, and nobody knows yet.
        held.proven = session.is_fresh();
        held.used = false;
        held.session = Some(session);
        drop(held);
        let mut facts = self.lock();
        facts.ssh.clone_from(&result.ssh);
        facts.timing = result.timing;
        Ok(connection)
    }

    /// Notes that a command was sent on the connection.
    pub(super) async fn prove(&self) {
        let mut held = self.held.lock().await;
        (held.proven, held.used) = (true, true);
    }

    /// Whether a command was sent on the connection before.
    pub(super) async fn is_used(&self) -> bool {
        self.held.lock().await.used
    }

    /// Lets go of a connection on which nothing could be sent; whether another
    /// one may serve at once, as this one had been kept since long before.
    pub(super) async fn give_up(&self, connection: &Arc<dyn Connection>) -> bool {
        let mut held = self.held.lock().await;
        let same = |session: &Session| Arc::ptr_eq(session.connection(), connection);
        let Some(session) = held.session.take_if(|session| same(session)) else { return true };
        if held.proven {
            return false;
        }
        if connection.is_open() && held.r#use == Use::Shared {
            // Others are at work on it.
            held.r#use = Use::Exclusive;
        } else {
            session.connection().abort();
        }
        true
    }

    /// Runs a command in the shell that they share, which is started for the
    /// first one.
    pub(super) async fn in_shell(
        &self,
        connection: &Arc<dyn Connection>,
        nth: Nth<'_>,
        number: u32,
    ) -> Report {
        // The shell is all commands' own, and so is what it is held to.
        let together = &self.unit.host().decision.constraints;
        let command = self.unit.on_host(nth.command, together);
        let limits = self.unit.limits(nth.command);
        let mut shell = self.shell.lock().await;
        let shell = match &mut *shell {
            Some(shell) if !shell.is_over() => shell,
            shell => {
                let unit = self.unit;
                let mark = match Mark::new(unit.plan.run, &unit.host().vm, number) {
                    Ok(mark) => mark,
                    Err(error) => return Report::unsent(error.to_string()),
                };
                let (connection, again) = (Arc::clone(connection), unit.again(self.endpoint));
                let cancel = &unit.cancel;
                let bounds = unit.bounds(None);
                let held = (&command, &bounds);
                shell.insert(ShellSession::new(connection, held, mark, limits, again, cancel))
            }
        };
        let Output { stdout, stderr, .. } = self.unit.output(None, Some(nth.index));
        let taken = Taken { sink: self.unit.sink(Some(nth.index)), stdout, stderr };
        let bounds = self.unit.bounds(Some(nth.index));
        let report = shell.run((&command, &bounds), limits, taken).await;
        self.shell_ended.store(shell.is_over(), Ordering::SeqCst);
        report
    }

    /// Whether the shell has ended.
    pub(super) fn session_ended(&self) -> bool {
        self.shell_ended.load(Ordering::SeqCst)
    }

    /// Lets the shell end, and says that nothing more will follow.
    pub(super) async fn end(&self, limits: Limits) {
        if let Some(session) = &self.held.lock().await.session {
            session.connection().expect_more(false);
        }
        if let Some(shell) = self.shell.lock().await.take() {
            shell.end(limits).await;
        }
    }

    /// Keeps what a result says of a host that was not reached.
    pub(super) fn note(&self, result: &HostResult) {
        self.lock().refused_host_key.clone_from(&result.refused_host_key);
    }

    /// Writes into the host's result what connection there was.
    pub(super) fn facts(&self, host: &mut HostResult) {
        let facts = std::mem::take(&mut *self.lock());
        host.ssh = facts.ssh;
        host.timing = facts.timing;
        host.refused_host_key = facts.refused_host_key;
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
