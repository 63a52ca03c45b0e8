//! Putting a host's key there for the first time.

use tokio_util::sync::CancellationToken;

use super::super::Orchestrator;
use super::remote::{Order, change};
use super::{KeyChange, KeyDone, Login, public_line};
use crate::ids::RunId;
use crate::inventory::Host;
use crate::keys::{Change, Edited};
use crate::outcome::{Effect, Failure, HostResult, Status};
use crate::policy::Decision;
use crate::ssh::key_file::PublicLine;
use crate::transport::Endpoint;

/// Adds the key over `login`, then logs in with it.
pub(super) async fn deploy(
    orchestrator: &Orchestrator,
    run: RunId,
    host: &Host,
    login: &Login,
    decision: &Decision,
    cancel: &CancellationToken,
) -> KeyChange {
    let mut outcome = KeyChange::new(&host.id);
    let (key, by, own) = match prepare(orchestrator, host, login).await {
        Ok(prepared) => prepared,
        Err(failure) => return outcome.failed(failure),
    };
    outcome.key = Some(key.fingerprint.clone());
    let vm = &host.id;
    let order = Order { run, vm, endpoint: &by, login, change: Change::Add, key: &key, decision };
    let edited = match change(orchestrator, &order, cancel).await {
        Ok(edited) => edited,
        Err(mut result) => {
            if result.status == Status::AuthFailed && matches!(login, Login::Own) {
                not_there_yet(&mut result);
            }
            return outcome.ended(*result);
        }
    };
    let mut result = orchestrator.reach(run, vm, Ok(own), decision, cancel).await;
    result.effect = Effect::Present;
    if !result.success() {
        does_not_log_in(&mut result);
        return outcome.ended(result);
    }
    outcome.done = Some(match edited {
        Edited::Present => KeyDone::AlreadyThere,
        _ => KeyDone::Deployed,
    });
    outcome.ended(result)
}

/// The key, and how the host is reached without and with it.
async fn prepare(
    orchestrator: &Orchestrator,
    host: &Host,
    login: &Login,
) -> Result<(PublicLine, Endpoint, Endpoint), Failure> {
    let (access, inventory) = (&orchestrator.inner.access, orchestrator.inventory());
    let path = access.key_path(host)?;
    let by = access.endpoint_with(inventory, host, login.identity(&path))?;
    let own = access.endpoint_with(inventory, host, Login::Own.identity(&path))?;
    Ok((public_line(orchestrator, &host.id, &path).await?, by, own))
}

fn not_there_yet(result: &mut HostResult) {
    if let Some(failure) = &mut result.failure {
        let next = "the key is not there yet: log in by one that is (-i FILE), by the agent \
                    (ssh.use_agent: true) or by a password (--ask-pass)";
        failure.hint = Some(next.into());
    }
}

/// The line is there, and sshd does not go by it.
pub(super) fn does_not_log_in(result: &mut HostResult) {
    if result.status != Status::AuthFailed {
        return;
    }
    if let Some(failure) = &mut result.failure {
        failure.message = format!(
            "the key is in ~/.ssh/authorized_keys, but does not log in: {}",
            failure.message
        );
        let next = "look at sshd's log there: its AuthorizedKeysFile may name another file, or \
                    home and ~/.ssh may be writable by others (StrictModes)";
        failure.hint = Some(next.into());
    }
}
