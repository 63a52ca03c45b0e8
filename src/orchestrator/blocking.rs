//! The same without an async runtime, for plain automation jobs.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{BuildError, Report, RequestError, RunError};
use crate::event::Event;
use crate::ids::RunId;
use crate::nodeset::HostPattern;
use crate::outcome::HostResult;
use crate::remote::{Action, Command, CommandList, Script, Transfer};
use crate::run::{self, Output};

/// An orchestrator whose methods wait.
///
/// Must not be used inside an async runtime.
#[derive(Clone)]
pub struct Orchestrator {
    runtime: Arc<Runtime>,
    inner: super::Orchestrator,
}

impl Orchestrator {
    /// As [`from_config_file`](super::Orchestrator::from_config_file).
    ///
    /// # Errors
    /// As there, or the system gives no threads.
    pub fn from_config_file(path: impl AsRef<Path>) -> Result<Self, BuildError> {
        Self::new(super::Orchestrator::from_config_file(path)?)
    }

    /// Wraps an orchestrator.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(inner: super::Orchestrator) -> Result<Self, BuildError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(BuildError::Runtime)?;
        Ok(Self { runtime: Arc::new(runtime), inner })
    }

    /// As [`execute_command`](super::Orchestrator::execute_command).
    ///
    /// # Errors
    /// As there.
    pub fn execute_command(&self, vm: &str, command: &str) -> Result<HostResult, RunError> {
        self.runtime.block_on(self.inner.execute_command(vm, command))
    }

    /// As [`execute_script`](super::Orchestrator::execute_script).
    ///
    /// # Errors
    /// As there.
    pub fn execute_script(&self, vm: &str, script: Script) -> Result<HostResult, RunError> {
        self.runtime.block_on(self.inner.execute_script(vm, script))
    }

    /// As [`upload`](super::Orchestrator::upload).
    ///
    /// # Errors
    /// As there.
    pub fn upload(
        &self,
        vm: &str,
        local: impl AsRef<Path>,
        remote: impl AsRef<OsStr>,
    ) -> Result<HostResult, RunError> {
        self.runtime.block_on(self.inner.upload(vm, local, remote))
    }

    /// As [`download`](super::Orchestrator::download).
    ///
    /// # Errors
    /// As there.
    pub fn download(
        &self,
        vm: &str,
        remote: impl AsRef<OsStr>,
        local: impl AsRef<Path>,
    ) -> Result<HostResult, RunError> {
        self.runtime.block_on(self.inner.download(vm, remote, local))
    }

    /// Names the hosts of a request.
    pub fn on(&self, hosts: HostPattern) -> On {
        On { runtime: Arc::clone(&self.runtime), inner: self.inner.on(hosts) }
    }

    /// As [`shutdown`](super::Orchestrator::shutdown).
    pub fn shutdown(&self) {
        self.runtime.block_on(self.inner.shutdown());
    }
}

/// Some hosts, before it is said what is to be done there.
pub struct On {
    runtime: Arc<Runtime>,
    inner: super::On,
}

impl On {
    /// Excludes, limits and picks, on the one of the async facade.
    pub fn with(mut self, set: impl FnOnce(super::On) -> super::On) -> Self {
        self.inner = set(self.inner);
        self
    }

    /// Asks for a command.
    pub fn command(self, command: Command) -> Request {
        self.action(command)
    }

    /// As [`commands`](super::On::commands).
    pub fn commands(self, commands: impl Into<CommandList>) -> Request {
        self.action(commands.into())
    }

    /// Asks for a script.
    pub fn script(self, script: Script) -> Request {
        self.action(script)
    }

    /// Asks for files to be moved.
    pub fn transfer(self, transfer: Transfer) -> Request {
        self.action(transfer)
    }

    /// Asks for an action.
    pub fn action(self, action: impl Into<Action>) -> Request {
        Request { runtime: self.runtime, inner: self.inner.action(action) }
    }
}

/// An action for some hosts.
pub struct Request {
    runtime: Arc<Runtime>,
    inner: super::Request,
}

impl Request {
    /// Sets what one request can set, on the request of the async facade.
    pub fn with(mut self, set: impl FnOnce(super::Request) -> super::Request) -> Self {
        self.inner = set(self.inner);
        self
    }

    /// Begins, and gives what follows and stops the run, which goes on meanwhile.
    ///
    /// # Errors
    /// As [`start`](super::Request::start).
    pub fn start(self) -> Result<RunHandle, RequestError> {
        let _entered = self.runtime.enter();
        let inner = self.inner.start()?;
        Ok(RunHandle { runtime: Arc::clone(&self.runtime), inner })
    }

    /// Runs it and waits for the end.
    ///
    /// # Errors
    /// As [`run`](super::Request::run).
    pub fn run(self) -> Result<Report, RequestError> {
        self.runtime.block_on(self.inner.run())
    }
}

/// A run in progress; iterating over it gives its events.
pub struct RunHandle {
    runtime: Arc<Runtime>,
    inner: run::RunHandle,
}

impl RunHandle {
    /// As [`id`](run::RunHandle::id).
    pub fn id(&self) -> RunId {
        self.inner.id()
    }

    /// As [`is_finished`](run::RunHandle::is_finished).
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// As [`cancel`](run::RunHandle::cancel).
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// As [`output`](run::RunHandle::output), waiting for each.
    pub fn output(&mut self) -> impl Iterator<Item = Output> {
        self.filter_map(Output::of)
    }

    /// As [`wait`](run::RunHandle::wait).
    pub fn wait(self) -> Vec<HostResult> {
        self.runtime.block_on(self.inner.wait())
    }
}

impl Iterator for RunHandle {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.runtime.block_on(self.inner.next_event())
    }
}
