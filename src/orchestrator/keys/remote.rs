//! One change of a host's `authorized_keys`, between its two records.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::Orchestrator;
use super::super::deed::target;
use super::Login;
use crate::exec::Mark;
use crate::ids::{RunId, VmId};
use crate::keys::{self, Change, EditError, Edited};
use crate::outcome::{Effect, Failure, HostResult, Phase, Status, Timing};
use crate::policy::Decision;
use crate::run::{audit_failure, not_connected, tell};
use crate::ssh::key_file::PublicLine;
use crate::transport::{ConnectError, Connection, Endpoint, Identity};

/// What is to be changed, where.
pub(super) struct Order<'a> {
    pub(super) run: RunId,
    pub(super) vm: &'a VmId,
    pub(super) endpoint: &'a Endpoint,
    pub(super) login: &'a Login,
    pub(super) change: Change,
    pub(super) key: &'a PublicLine,
    /// What policy said of it, which is yes.
    pub(super) decision: &'a Decision,
}

impl Login {
    /// What proves us, where it is a key.
    pub(super) fn identity(&self, own: &Path) -> Identity {
        match self {
            Self::Agent => Identity { key_file: None, agent: true },
            Self::Key(path) => Identity { key_file: Some(path.clone()), agent: false },
            Self::Own => Identity { key_file: Some(own.to_owned()), agent: false },
            Self::Password(_) => Identity::default(),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Key(_) | Self::Own => "key",
            Self::Password(_) => "password",
        }
    }
}

/// Makes the change on a connection of its own.
///
/// # Errors
/// It was not made, not known to be made, or not recorded: as a result.
pub(super) async fn change(
    orchestrator: &Orchestrator,
    order: &Order<'_>,
    cancel: &CancellationToken,
) -> Result<Edited, Box<HostResult>> {
    let facts = [
        ("change", order.change.as_str()),
        ("key", &order.key.fingerprint),
        ("method", order.login.method()),
    ];
    let mut result = HostResult::new(order.vm.clone(), String::new(), Status::NotStarted);
    let target = target(order.vm, Some(order.endpoint));
    let deed = match orchestrator.begin_keys(order.run, target, &facts, order.decision).await {
        Ok(deed) => deed,
        Err(error) => {
            result.failure = Some(audit_failure(&error));
            return Err(Box::new(result));
        }
    };
    let connected = tokio::select! {
        connected = connect(orchestrator, order) => Some(connected),
        () = cancel.cancelled() => None,
    };
    let edited = match connected {
        Some(Ok(connection)) => edit(&*connection, order, &mut result, cancel).await,
        Some(Err(error)) => {
            not_connected(&mut result, &error);
            None
        }
        None => {
            result.status = Status::Cancelled;
            None
        }
    };
    let recorded = deed.end(|record| {
        tell(record, &result);
        let did = edited.map(|edited| ("did".to_owned(), edited.as_str().to_owned()));
        record.metadata.extend(did);
    });
    if let Err(error) = recorded.await {
        result.failure = Some(audit_failure(&error));
        return Err(Box::new(result));
    }
    edited.ok_or_else(|| Box::new(result))
}

async fn edit(
    connection: &dyn Connection,
    order: &Order<'_>,
    result: &mut HostResult,
    cancel: &CancellationToken,
) -> Option<Edited> {
    let facts = connection.facts();
    let (connect, auth) = (facts.connect_time, facts.auth_time);
    result.ssh = Some(facts.clone());
    let started = Instant::now();
    let edited = match Mark::new(order.run, order.vm, 1) {
        Ok(mark) => keys::edit(connection, &mark, order.change, order.key, cancel).await,
        Err(error) => Err(no_mark(error.to_string())),
    };
    result.timing = Timing { connect, auth, run: started.elapsed() };
    match edited {
        Ok(edited) => {
            (result.status, result.effect) = (Status::Success, Effect::Present);
            Some(edited)
        }
        Err(error) => {
            (result.status, result.effect) = (error.status, error.effect);
            result.failure = Some(error.failure);
            None
        }
    }
}

async fn connect(
    orchestrator: &Orchestrator,
    order: &Order<'_>,
) -> Result<Arc<dyn Connection>, ConnectError> {
    let inner = &orchestrator.inner;
    let Login::Password(password) = order.login else {
        return inner.sessions.connect(order.endpoint).await;
    };
    // Not by way of the pool, which would keep a connection that a password
    // opened for others to use.
    let deadline = Instant::now() + orchestrator.config().ssh.connect_timeout;
    inner.connector.connect_with_password(order.endpoint, password, deadline).await
}

fn no_mark(message: String) -> EditError {
    let failure = Failure {
        code: "internal_error",
        phase: Phase::Config,
        message,
        hint: None,
        retryable: false,
    };
    EditError { status: Status::Failed, effect: Effect::Absent, failure }
}
