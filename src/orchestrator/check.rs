//! Whether hosts can be reached, found out by reaching them.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{On, Orchestrator, RequestError, resolve};
use crate::audit::ActionKind;
use crate::ids::{RunId, VmId};
use crate::nodeset::NodeSet;
use crate::outcome::{Failure, HostResult, Status, Timing};
use crate::policy::{ActionView, Decision};
use crate::run::{audit_failure, not_connected, tell};
use crate::transport::Endpoint;

/// Checks under way. They go on, and are recorded, if this is dropped.
pub struct Checks {
    run: RunId,
    hosts: NodeSet,
    results: mpsc::UnboundedReceiver<HostResult>,
    cancel: CancellationToken,
}

impl On {
    /// Connects to each host, verifies and authenticates, runs nothing there
    /// and disconnects; `max_parallel_commands` hosts at once. Each check is
    /// recorded before and after. Policy asks for any permission on the host
    /// ([`ActionView::Check`]).
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An unknown name, a host that may not be used, or no host at all.
    pub fn check(self) -> Result<Checks, RequestError> {
        let orchestrator = self.orchestrator();
        let hosts = resolve(orchestrator.inventory(), self.hosts())
            .inspect_err(|error| orchestrator.refuse(ActionKind::Check, error))?;
        if orchestrator.inner.closing.is_cancelled() {
            return Err(RequestError::Closing);
        }
        let (run, cancel) = (RunId::new(), CancellationToken::new());
        let fanout = orchestrator.config().remote_execution.max_parallel_commands as usize;
        let gate = Arc::new(Semaphore::new(fanout.max(1)));
        let (sender, results) = mpsc::unbounded_channel();
        for vm in hosts.iter() {
            let (gate, sender, vm) = (Arc::clone(&gate), sender.clone(), vm.clone());
            let (orchestrator, cancel) = (orchestrator.clone(), cancel.clone());
            let running = orchestrator.inner.running.token();
            tokio::spawn(async move {
                let _running = running;
                let turn = tokio::select! {
                    turn = gate.acquire() => turn.ok(),
                    () = cancel.cancelled() => None,
                };
                let result = match turn {
                    Some(_turn) => orchestrator.check_host(run, &vm, &cancel).await,
                    None => HostResult::new(vm, String::new(), Status::NotStarted),
                };
                // Nobody may be listening any more; the record is made.
                let _ = sender.send(result);
            });
        }
        Ok(Checks { run, hosts, results, cancel })
    }
}

impl Checks {
    /// What the records of all these checks have in common.
    pub fn id(&self) -> RunId {
        self.run
    }

    /// The hosts, in the order of the request.
    pub fn hosts(&self) -> &NodeSet {
        &self.hosts
    }

    /// The next result, in the order in which they come; `None` after the last.
    ///
    /// # Cancel safety
    /// No result is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<HostResult> {
        self.results.recv().await
    }

    /// Ends the checks early: those under way are cancelled, those to come are
    /// not started.
    pub fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl Orchestrator {
    async fn check_host(&self, run: RunId, vm: &VmId, cancel: &CancellationToken) -> HostResult {
        match self.inventory().get(vm) {
            Some(host) => {
                let endpoint = self.inner.access.endpoint(self.inventory(), host);
                let decision = self.may(host, ActionView::Check);
                self.reach(run, vm, endpoint, &decision, cancel).await
            }
            None => HostResult::new(vm.clone(), String::new(), Status::Unreachable),
        }
    }

    /// Connects anew, and no more; on record.
    pub(super) async fn reach(
        &self,
        run: RunId,
        vm: &VmId,
        endpoint: Result<Endpoint, Failure>,
        decision: &Decision,
        cancel: &CancellationToken,
    ) -> HostResult {
        let started = Instant::now();
        let mut result = HostResult::new(vm.clone(), String::new(), Status::Unreachable);
        let deed = self.begin_check(run, vm, endpoint.as_ref().ok(), decision).await;
        if !decision.allow {
            return self.deny(deed, vm, decision).await;
        }
        let deed = match deed {
            Ok(deed) => deed,
            Err(error) => {
                result.status = Status::NotStarted;
                result.failure = Some(audit_failure(&error));
                return result;
            }
        };
        match &endpoint {
            Err(failure) => {
                result.status = Status::AuthFailed;
                result.failure = Some(failure.clone());
            }
            Ok(endpoint) => {
                result.attempts = 1;
                let connected = tokio::select! {
                    connected = self.inner.sessions.connect(endpoint) => Some(connected),
                    () = cancel.cancelled() => None,
                };
                match connected {
                    None => result.status = Status::Cancelled,
                    Some(Err(error)) => not_connected(&mut result, &error),
                    Some(Ok(connection)) => {
                        let facts = connection.facts().clone();
                        result.status = Status::Success;
                        result.timing = Timing {
                            connect: facts.connect_time,
                            auth: facts.auth_time,
                            ..Timing::default()
                        };
                        result.ssh = Some(facts);
                    }
                }
            }
        }
        result.elapsed = started.elapsed();
        result.finished_at = Timestamp::now();
        if let Err(error) = deed.end(|record| tell(record, &result)).await {
            result.failure = Some(audit_failure(&error));
        }
        result
    }
}
