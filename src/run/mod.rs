//! The engine: carries out a plan.
//!
//! One task per host owns all of that host's attempts; a dispatcher starts
//! them, numbers what they tell and adds up how they ended. Nothing is done on
//! a host before the audit log has its attempt on disk, and no host is
//! finished before its result is.

mod admission;
mod commands;
mod counters;
mod dispatch;
mod gate;
mod halt;
mod handle;
mod record;
mod schedule;
mod script;
mod slots;
#[cfg(test)]
mod tests;
mod unit;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use counters::Counters;
pub use gate::{Gate, InvalidGate};
pub use handle::{Output, OutputStream, RunHandle};
pub use record::Recorder;
pub(crate) use record::{audit_failure, decision_facts, tell};
pub use schedule::{InvalidShare, Schedule, Share};
pub(crate) use verdict::{connect_code, denied, not_connected};

use crate::event::Observer;
use crate::exec::Limits;
use crate::hook::Hooks;
use crate::plan::Plan;
use crate::remote::{OutputDir, Spool};
use crate::retry::RetryPolicy;
use crate::session::SessionManager;
use crate::transfer::Ledger;
use dispatch::Dispatch;
use halt::Halt;
use handle::Lost;

/// How plans are carried out.
#[derive(Clone)]
pub struct Engine {
    sessions: Arc<SessionManager>,
    recorder: Recorder,
    ledger: Ledger,
    counters: Counters,
    hooks: Hooks,
}

/// The choices of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts at once. One that takes long to connect to does not count until
    /// it is connected, unless failures stop the run or this is 1.
    pub fanout: usize,
    /// The bounds of each attempt; `timeout` is replaced by the command's own
    /// if it has one.
    pub limits: Limits,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Whether output is told as it comes. If not, it is only collected.
    pub stream: bool,
    /// Where output is kept that memory should not hold.
    pub spool: Spool,
    /// Files that get the output beside.
    pub files: OutputFiles,
    /// In which steps, and how far.
    pub rollout: Rollout,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fanout: 32,
            limits: Limits::default(),
            retry: RetryPolicy::once(),
            stream: false,
            spool: Spool::default(),
            files: OutputFiles::default(),
            rollout: Rollout::default(),
        }
    }
}

/// Where each host's output is written to a file of its own. The default is
/// nowhere.
#[derive(Clone, Debug, Default)]
pub struct OutputFiles {
    /// For standard output.
    pub stdout: Option<OutputDir>,
    /// For standard error.
    pub stderr: Option<OutputDir>,
    /// How many bytes a file may have.
    pub max: u64,
}

/// In which steps a run goes through its hosts, and what stops it on its way.
/// The default is one step that nothing stops.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// Which hosts go together.
    pub schedule: Schedule,
    /// How long to wait between two batches.
    pub wait: Duration,
    /// What each batch must pass before the next begins, all of it.
    pub gates: Vec<Gate>,
    /// How many of all hosts may fail. When more have, nothing more is begun
    /// and what runs is ended on its host. Whatever is not a success is a
    /// failure, an unreachable host too.
    pub max_fail: Option<Share>,
    /// How long the whole run may take. What runs then is ended on its host,
    /// and this takes its own time. Zero is no limit.
    pub deadline: Option<Duration>,
}

impl Engine {
    /// An engine over a pool of sessions. What rules count holds within this
    /// process, unless there are [other counters](Self::counting_by).
    pub fn new(sessions: Arc<SessionManager>, recorder: Recorder, ledger: Ledger) -> Self {
        let (counters, hooks) = (Counters::default(), Hooks::default());
        Self { sessions, recorder, ledger, counters, hooks }
    }

    /// Counts by these what rules count.
    pub fn counting_by(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }

    /// Asks these before anything is done on a host.
    pub(crate) fn with_hooks(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    /// What records the engine's runs.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Starts a plan. The run goes on even if the handle is dropped; to stop
    /// it, cancel it.
    ///
    /// `token` is held until the run has ended. `observer` is told every event,
    /// those of one host in order.
    pub fn start(
        &self,
        mut plan: Plan,
        options: Options,
        token: TaskTrackerToken,
        observer: Option<Arc<dyn Observer>>,
    ) -> RunHandle {
        plan.hold_unapproved();
        let cancel = CancellationToken::new();
        let (emitter, events) = handle::channel(plan.run, observer);
        let run = plan.run;
        let hosts = plan.hosts.iter().map(|host| host.vm.clone()).collect();
        let command = self.recorder.redact(&plan.action.display());
        let engine = self.clone();
        let cancelled = cancel.clone();
        let finished = tokio::spawn(async move {
            let _running = token;
            let halt = Halt::new(&cancelled);
            Dispatch::new(engine, plan, options, emitter, halt).run().await
        });
        RunHandle::new(run, events, cancel, finished, Lost { hosts, command })
    }
}
