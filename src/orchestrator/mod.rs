//! The facade: a configured orchestrator, and what can be asked of it.

mod access;
mod approve;
pub mod blocking;
mod builder;
mod check;
mod deed;
mod doctor;
mod error;
mod keys;
mod labels;
mod request;
mod trust;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::audit::AuditLog;
use crate::config::Config;
use crate::ids::VmId;
#[cfg(feature = "cli")]
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::nodeset::{HostPattern, Selection};
use crate::outcome::HostResult;
use crate::policy::Policy;
use crate::remote::{Command, Script, Transfer};
use crate::run::Engine;
use crate::session::SessionManager;
use crate::ssh::SshConnector;
use crate::ssh::known_hosts::KnownHosts;
use crate::store::Keeper;
use crate::transport::Endpoint;

pub use access::Overrides;
pub use approve::SignedPlan;
pub use builder::{Builder, NeedsAudit, NeedsKnownHosts, NeedsPolicy, Ready};
#[cfg(feature = "cli")]
pub(crate) use builder::{
    adjustments, open_audit, policy_or_none, read_passphrase, record_as_machine,
};
pub use check::Checks;
pub use error::{BuildError, HostError, RequestError, RunError};
pub use keys::{KeyChange, KeyDone, Login};
#[cfg(feature = "cli")]
pub(crate) use keys::{key_path, sharing};
pub(crate) use request::resolve;
pub use request::{Application, ApplyError, On, PlanError, Report, Request};
pub use trust::{Consent, ShownKey, TrustError};
pub use watch::{PolicyChange, PolicyNotReplaced, PolicyWatch};

use access::Access;

/// How a host would be reached, without an orchestrator.
#[cfg(feature = "cli")]
pub(crate) fn endpoint(
    config: &Config,
    host: &Host,
    overrides: Overrides,
) -> Result<Endpoint, crate::outcome::Failure> {
    let access = Access::new(&config.remote_execution, config.ssh.use_agent, overrides);
    access.endpoint(&config.inventory, host)
}

/// Runs commands on the hosts of one configuration.
///
/// Cheap to clone; clones share connections. Dropping the last one closes
/// them.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    policy: Arc<RwLock<Policy>>,
    access: Access,
    engine: Engine,
    connector: Arc<SshConnector>,
    sessions: Arc<SessionManager>,
    known_hosts: Arc<KnownHosts>,
    audit: Option<AuditLog>,
    keeper: Option<Keeper>,
    cwd: Option<std::path::PathBuf>,
    operator: String,
    metadata: BTreeMap<String, String>,
    os_user: Option<String>,
    closing: tokio_util::sync::CancellationToken,
    running: tokio_util::task::TaskTracker,
}

impl Orchestrator {
    /// Begins with a configuration. Three decisions are owed before
    /// [`Builder::build`] exists: which host keys are known, which policy
    /// decides, and where actions are recorded.
    pub fn builder(config: Config) -> Builder<NeedsKnownHosts> {
        Builder::new(config)
    }

    /// Makes the three decisions as the configuration file says: its
    /// known_hosts files, its audit log, and its policy; without one, nothing
    /// is denied but what the allowed VMs deny. The machine's policy
    /// ([`Policy::machine`]) applies whatever the file says, and so does the log
    /// that it names. A policy that cannot be used denies everything.
    ///
    /// # Errors
    /// The file, a known_hosts file or the audit log cannot be used.
    pub fn from_config_file(path: impl AsRef<std::path::Path>) -> Result<Self, BuildError> {
        let mut config = Config::load(path)?;
        builder::record_as_machine(&mut config);
        let known_hosts = KnownHosts::load(&config.ssh.known_hosts)?;
        let audit = builder::open_audit(&config)?;
        let policy = builder::policy_or_none(&config);
        Self::builder(config).known_hosts(known_hosts).policy(policy).audit(audit).build()
    }

    /// Runs a shell string on one host, as
    /// `self.on(vm).command(Command::shell(command)).run()` does.
    ///
    /// A command that ends non-zero is a result, not an error.
    ///
    /// # Errors
    /// The host is not in the inventory or not allowed, or the command did not
    /// run to its end there.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the command; it ends by itself or by
    /// its timeout, and is recorded.
    pub async fn execute_command(&self, vm: &str, command: &str) -> Result<HostResult, RunError> {
        let report = self.on(vm.parse()?).command(Command::shell(command)).run().await?;
        report.into_single()
    }

    /// Sends a script to one host, runs it there and removes it, as
    /// `self.on(vm).script(script).run()` does.
    ///
    /// A script that ends non-zero is a result, not an error.
    ///
    /// # Errors
    /// As [`execute_command`](Self::execute_command), or the script cannot be
    /// read here.
    ///
    /// # Cancel safety
    /// As [`execute_command`](Self::execute_command).
    pub async fn execute_script(&self, vm: &str, script: Script) -> Result<HostResult, RunError> {
        let report = self.on(vm.parse()?).script(script).run().await?;
        report.into_single()
    }

    /// Puts a local file at a path of one host, whole or not at all, as
    /// `self.on(vm).transfer(Transfer::upload(local, remote)).run()` does.
    ///
    /// # Errors
    /// The host is not in the inventory or not allowed, or the file is not in
    /// place there.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the transfer.
    pub async fn upload(
        &self,
        vm: &str,
        local: impl AsRef<Path>,
        remote: impl AsRef<OsStr>,
    ) -> Result<HostResult, RunError> {
        self.move_files(vm, Transfer::upload(local, remote)).await
    }

    /// Puts a file of one host at a local path, whole or not at all, as
    /// `self.on(vm).transfer(Transfer::download(remote, local)).run()` does.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    ///
    /// # Cancel safety
    /// As [`upload`](Self::upload).
    pub async fn download(
        &self,
        vm: &str,
        remote: impl AsRef<OsStr>,
        local: impl AsRef<Path>,
    ) -> Result<HostResult, RunError> {
        self.move_files(vm, Transfer::download(remote, local)).await
    }

    async fn move_files(&self, vm: &str, transfer: Transfer) -> Result<HostResult, RunError> {
        let report = self.on(vm.parse()?).transfer(transfer).run().await?;
        report.into_single()
    }

    /// Names the hosts of a request. Lists and earlier results in the pattern
    /// must have been read ([`HostPattern::settle`]).
    pub fn on(&self, hosts: HostPattern) -> On {
        self.select(hosts.into())
    }

    /// As [`on`](Self::on), with what is already excluded, limited and picked.
    pub fn select(&self, hosts: Selection) -> On {
        On::new(self.clone(), hosts)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The policy that decides the next request.
    pub fn policy(&self) -> Policy {
        self.inner.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The hosts and groups.
    pub fn inventory(&self) -> &Inventory {
        &self.inner.config.inventory
    }

    /// The audit log, unless there is none.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.inner.audit.as_ref()
    }

    /// The host keys that are known.
    pub fn known_hosts(&self) -> &KnownHosts {
        &self.inner.known_hosts
    }

    /// How a host is reached.
    ///
    /// # Errors
    /// It is not in the inventory, or its key cannot be found.
    pub fn endpoint(&self, vm: &VmId) -> Result<Endpoint, RunError> {
        let host = self.inventory().require(vm)?;
        self.inner.access.endpoint(self.inventory(), host).map_err(RunError::Unusable)
    }

    /// Why a run is not remembered, or not all of it. Complete after
    /// [`shutdown`](Self::shutdown); never a reason to fail.
    pub fn not_remembered(&self) -> Option<String> {
        self.inner.keeper.as_ref()?.trouble()
    }

    /// Refuses new requests and waits until those under way have ended, the
    /// audit log is complete and, for a few seconds at most, the runs are
    /// written down.
    ///
    /// # Cancel safety
    /// New requests stay refused when the future is dropped.
    pub async fn shutdown(&self) {
        self.inner.closing.cancel();
        self.inner.running.close();
        self.inner.running.wait().await;
        if let Some(audit) = &self.inner.audit {
            // The log says itself why it failed, if it did; every result was
            // already told.
            let _ = audit.close().await;
        }
        if self.inner.keeper.is_some() {
            let inner = Arc::clone(&self.inner);
            let close = move || inner.keeper.as_ref().map(Keeper::close);
            let _ = tokio::task::spawn_blocking(close).await;
        }
    }
}
