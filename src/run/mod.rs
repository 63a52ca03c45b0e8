//! The engine: carries out a plan.
//!
//! One task per host owns all of that host's attempts; a dispatcher starts
//! them, numbers what they tell and adds up how they ended. Nothing is done on
//! a host before the audit log has its attempt on disk, and no host is
//! finished before its result is.

mod handle;
mod record;
mod script;
#[cfg(test)]
mod tests;
mod unit;
mod verdict;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use handle::RunHandle;
pub use record::Recorder;
pub(crate) use record::{audit_failure, tell};
pub(crate) use verdict::not_connected;

use crate::event::EventKind;
use crate::exec::Limits;
use crate::outcome::{HostResult, tally};
use crate::plan::Plan;
use crate::retry::RetryPolicy;
use crate::session::SessionManager;
use crate::transfer::Ledger;
use handle::{Emitter, Lost};
use unit::Unit;

/// How plans are carried out.
#[derive(Clone)]
pub struct Engine {
    sessions: Arc<SessionManager>,
    recorder: Recorder,
    ledger: Ledger,
}

/// The choices of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts at once.
    pub fanout: usize,
    /// The bounds of each attempt; `timeout` is replaced by the command's own
    /// if it has one.
    pub limits: Limits,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Whether output is told as it comes. If not, it is only collected.
    pub stream: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fanout: 32, limits: Limits::default(), retry: RetryPolicy::once(), stream: false }
    }
}

impl Engine {
    /// An engine over a pool of sessions.
    pub fn new(sessions: Arc<SessionManager>, recorder: Recorder, ledger: Ledger) -> Self {
        Self { sessions, recorder, ledger }
    }

    /// What records the engine's runs.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Starts a plan. The run goes on even if the handle is dropped; to stop
    /// it, cancel it.
    ///
    /// `token` is held until the run has ended.
    pub fn start(&self, plan: Plan, options: Options, token: TaskTrackerToken) -> RunHandle {
        let cancel = CancellationToken::new();
        let (emitter, events) = handle::channel(plan.run);
        let run = plan.run;
        let hosts = plan.hosts.iter().map(|host| host.vm.clone()).collect();
        let command = self.recorder.redact(&plan.action.display());
        let engine = self.clone();
        let cancelled = cancel.clone();
        let finished = tokio::spawn(async move {
            let _running = token;
            engine.dispatch(plan, options, emitter, cancelled).await
        });
        RunHandle::new(run, events, cancel, finished, Lost { hosts, command })
    }

    async fn dispatch(
        self,
        plan: Plan,
        options: Options,
        emitter: Emitter,
        cancel: CancellationToken,
    ) -> Vec<HostResult> {
        let plan = Arc::new(plan);
        let command = self.recorder.redact(&plan.action.display());
        emitter.emit(EventKind::RunStarted {
            hosts: plan.hosts.iter().map(|host| host.vm.clone()).collect(),
            command: command.clone(),
        });
        let gate = Arc::new(Semaphore::new(options.fanout.max(1)));
        let mut units = JoinSet::new();
        for index in 0..plan.hosts.len() {
            let unit = Unit {
                plan: Arc::clone(&plan),
                index,
                options: options.clone(),
                sessions: Arc::clone(&self.sessions),
                recorder: self.recorder.clone(),
                ledger: self.ledger.clone(),
                emitter: emitter.clone(),
                cancel: cancel.clone(),
                command: command.clone(),
            };
            let gate = Arc::clone(&gate);
            let cancel = cancel.clone();
            units.spawn(async move {
                let permit = tokio::select! {
                    permit = gate.acquire() => permit.ok(),
                    () = cancel.cancelled() => None,
                };
                let result = if permit.is_some() && !cancel.is_cancelled() {
                    unit.run().await
                } else {
                    unit.not_started()
                };
                (index, result)
            });
        }
        let mut results: Vec<Option<HostResult>> = plan.hosts.iter().map(|_| None).collect();
        while let Some(joined) = units.join_next().await {
            if let Ok((index, result)) = joined {
                emitter.emit(EventKind::HostFinished(Box::new(result.clone())));
                if let Some(slot) = results.get_mut(index) {
                    *slot = Some(result);
                }
            }
        }
        // A unit that ended without a result is a mistake of ours; its host
        // still gets exactly one outcome.
        let results: Vec<HostResult> = results
            .into_iter()
            .zip(&plan.hosts)
            .map(|(result, host)| {
                result.unwrap_or_else(|| {
                    let result = verdict::fault(host.vm.clone(), command.clone());
                    emitter.emit(EventKind::HostFinished(Box::new(result.clone())));
                    result
                })
            })
            .collect();
        emitter.emit(EventKind::RunFinished { summary: tally(&results) });
        results
    }
}
