//! The examination of one host, from the inventory to its disks.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connecting::{NOT_REACHED, connecting, unreachable};
use super::patient::Patient;
use super::{Finding, Stage};
use crate::ids::{RunId, VmId};
use crate::inventory::Os;
use crate::outcome::{Failure, HostResult, Status, Timing};
use crate::run::not_connected;
use crate::session::SessionManager;
use crate::ssh::SshConnector;
use crate::transport::{Endpoint, Route};

/// How long all that is asked after the login may take together.
const ASKING_MAX: Duration = Duration::from_secs(20);

/// Who examines, and whom.
pub struct Visit<'a> {
    /// Makes the connection.
    pub connector: &'a SshConnector,
    /// Knows how many handshakes a server bears at once.
    pub sessions: &'a SessionManager,
    /// On whose behalf.
    pub run: RunId,
    /// The host.
    pub vm: &'a VmId,
    /// Its operating system.
    pub os: Os,
    /// The way to it, or why there is none.
    pub endpoint: Result<&'a Endpoint, &'a Failure>,
    /// Why there is no key to log in with, if there is none.
    pub keyless: Option<&'a Failure>,
    /// From name resolution to the end of authentication.
    pub connect_timeout: Duration,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
}

/// What came of it.
pub struct Examined {
    /// One finding for each stage, in their order.
    pub findings: Vec<Finding>,
    /// How reaching the host ended.
    pub login: HostResult,
}

/// Asks a host everything. Takes `connect_timeout` and 30 s more at most, but for
/// a person who unlocks a key.
///
/// # Cancel safety
/// If the future is dropped a question may go on on the host for a while; it
/// changes nothing. Cancelling the token ends the questions too.
pub async fn examine(visit: &Visit<'_>) -> Examined {
    let mut login = HostResult::new(visit.vm.clone(), String::new(), Status::Unreachable);
    let endpoint = match visit.endpoint {
        Ok(endpoint) => endpoint,
        Err(failure) => {
            login.status = Status::AuthFailed;
            login.failure = Some(failure.clone());
            return Examined { findings: unreachable(failure), login };
        }
    };
    let mut findings = vec![inventory(visit, endpoint)];
    let probing = async {
        let _turn = visit.sessions.turn(endpoint).await;
        visit.connector.probe(endpoint, visit.connect_timeout).await
    };
    let probed = tokio::select! {
        probed = probing => Some(probed),
        () = visit.cancel.cancelled() => None,
    };
    login.attempts = 1;
    let connection = match probed {
        None => {
            login.status = Status::Cancelled;
            None
        }
        Some(Err(error)) => {
            not_connected(&mut login, &error);
            let note = login.failure.as_ref().map_or("", |failure| failure.code);
            findings[0] = Finding::fail(Stage::Inventory, note, error.message, error.hint);
            None
        }
        Some(Ok((probe, result))) => {
            if let Err(error) = &result {
                not_connected(&mut login, error);
            }
            let mut error = result.as_ref().err().cloned();
            if let (Some(error), Some(keyless)) = (&mut error, visit.keyless)
                && probe.exchanged.is_some()
            {
                error.message.clone_from(&keyless.message);
                error.hint.clone_from(&keyless.hint);
                login.failure = Some(keyless.clone());
            }
            let note = login.failure.as_ref().map_or("", |failure| failure.code);
            findings.extend(connecting(&probe, endpoint, error.as_ref().map(|it| (it, note))));
            result.ok()
        }
    };
    if let Some(connection) = &connection {
        let facts = connection.facts().clone();
        login.status = Status::Success;
        login.timing =
            Timing { connect: facts.connect_time, auth: facts.auth_time, ..Timing::default() };
        login.ssh = Some(facts);
        let until = Instant::now() + ASKING_MAX;
        let patient = Patient { visit, endpoint, connection: &**connection, until };
        patient.ask_everything(&mut findings).await;
    }
    let why = if visit.cancel.is_cancelled() { "interrupted" } else { NOT_REACHED };
    let missing = Stage::ALL.into_iter().skip(findings.len());
    findings.extend(missing.map(|stage| Finding::skipped(stage, why)).collect::<Vec<_>>());
    Examined { findings, login }
}

fn inventory(visit: &Visit<'_>, endpoint: &Endpoint) -> Finding {
    let mut text = format!("{}@{}, {}", endpoint.user, endpoint.authority(), visit.os);
    let mut route = &endpoint.route;
    while let Route::Via(jump) = route {
        text += &format!(", through {}", jump.label);
        route = &jump.route;
    }
    Finding::ok(Stage::Inventory, text)
}
