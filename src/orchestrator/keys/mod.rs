//! Putting our keys on hosts, and replacing them there.

mod deploy;
mod remote;
mod rotate;

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::stream;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "cli")]
use super::access::{Access, Overrides};
use super::deed::target;
use super::{Orchestrator, RequestError, resolve};
use crate::audit::ActionKind;
#[cfg(feature = "cli")]
use crate::config::Config;
use crate::ids::{RunId, VmId};
use crate::inventory::{Host, Inventory};
use crate::keys::KeyFileError;
use crate::nodeset::Selection;
use crate::outcome::{Failure, HostResult, Phase, Status};
use crate::policy::{ActionView, Decision};
use crate::ssh::key_file::PublicLine;
use crate::ssh::keys::KeyError;

/// By what we log in to put a key on a host.
pub enum Login {
    /// The keys of the ssh-agent.
    Agent,
    /// This key, which is there already.
    Key(PathBuf),
    /// The host's own key: it may be there already.
    Own,
    /// A password, offered once to each host. It is neither stored nor recorded.
    Password(SecretString),
}

/// What became of the key of one host.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// How it ended, as for any other action.
    pub host: HostResult,
    /// What was done, if all of it was.
    pub done: Option<KeyDone>,
    /// The fingerprint of the key that shall log in from now on.
    pub key: Option<String>,
    /// The file under which the key before it is kept.
    pub backup: Option<PathBuf>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDone {
    /// The key was there, and logs in.
    AlreadyThere,
    /// The key was put there, and logs in.
    Deployed,
    /// A rotation that had been begun before was brought to its end.
    Finished,
    /// A new key is in place of the old one.
    Rotated,
}

impl KeyDone {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyThere => "already there",
            Self::Deployed => "deployed",
            Self::Finished => "finished",
            Self::Rotated => "rotated",
        }
    }
}

impl Orchestrator {
    /// Puts the key of each host into its `~/.ssh/authorized_keys`, and logs in
    /// with it; `max_parallel_commands` hosts at once. Each change and each login
    /// is recorded before and after. Policy asks for the permission `admin`
    /// ([`ActionView::Admin`]); a host that it denies is `policy_denied`.
    ///
    /// # Errors
    /// An unknown name, a host that may not be used, or no host at all. That
    /// hosts failed is no error here.
    ///
    /// # Cancel safety
    /// Cancel the token instead: a dropped future leaves attempts on record
    /// without a result, which the next process to open the log closes.
    pub async fn deploy_keys(
        &self,
        hosts: &Selection,
        login: &Login,
        cancel: &CancellationToken,
    ) -> Result<Vec<KeyChange>, RequestError> {
        self.for_each_key(hosts, cancel, async |run, host, decision| {
            deploy::deploy(self, run, host, login, decision, cancel).await
        })
        .await
    }

    /// Replaces the key of each host: makes a new one, adds it over the old,
    /// logs in with it, puts it in the old one's place here and removes the old
    /// one there. A rotation that failed can be asked for again and goes on
    /// where it stopped; at every moment the key in its place logs in.
    ///
    /// # Errors
    /// As [`deploy_keys`](Self::deploy_keys).
    ///
    /// # Cancel safety
    /// As there.
    pub async fn rotate_keys(
        &self,
        hosts: &Selection,
        passphrase: Option<&SecretString>,
        cancel: &CancellationToken,
    ) -> Result<Vec<KeyChange>, RequestError> {
        self.for_each_key(hosts, cancel, async |run, host, decision| {
            rotate::rotate(self, run, host, passphrase, decision, cancel).await
        })
        .await
    }

    async fn for_each_key(
        &self,
        hosts: &Selection,
        cancel: &CancellationToken,
        change: impl AsyncFn(RunId, &Host, &Decision) -> KeyChange,
    ) -> Result<Vec<KeyChange>, RequestError> {
        let hosts = resolve(self.inventory(), hosts)
            .inspect_err(|error| self.refuse(ActionKind::Keys, error))?;
        if self.inner.closing.is_cancelled() {
            return Err(RequestError::Closing);
        }
        let _running = self.inner.running.token();
        let (run, change) = (RunId::new(), &change);
        let fanout = self.config().remote_execution.max_parallel_commands as usize;
        let hosts = hosts.iter().filter_map(|vm| self.inventory().get(vm));
        let changes = stream::iter(hosts).map(|host| async move {
            if cancel.is_cancelled() {
                return KeyChange::new(&host.id);
            }
            let decision = self.may(host, ActionView::Admin);
            if !decision.allow {
                let target = target(&host.id, None);
                let deed = self.begin_keys(run, target, &[], &decision).await;
                return KeyChange::new(&host.id).ended(self.deny(deed, &host.id, &decision).await);
            }
            change(run, host, &decision).await
        });
        Ok(changes.buffered(fanout.max(1)).collect().await)
    }
}

impl KeyChange {
    fn new(vm: &VmId) -> Self {
        let host = HostResult::new(vm.clone(), String::new(), Status::NotStarted);
        Self { host, done: None, key: None, backup: None }
    }

    fn failed(mut self, failure: Failure) -> Self {
        self.host.status = Status::Failed;
        self.host.failure = Some(failure);
        self
    }

    /// How a step of it ended: nothing more is done.
    fn ended(mut self, result: HostResult) -> Self {
        self.host = result;
        self
    }
}

/// Where the key of a host is, or would be.
#[cfg(feature = "cli")]
pub(crate) fn key_path(config: &Config, host: &Host) -> Result<PathBuf, Failure> {
    Access::new(&config.remote_execution, false, Overrides::default()).key_path(host)
}

/// The other hosts whose key is the same file.
pub(crate) fn sharing<'a>(inventory: &'a Inventory, host: &Host) -> Vec<&'a VmId> {
    let Some(path) = &host.identity_file else { return Vec::new() };
    let same = |other: &&Host| other.id != host.id && other.identity_file.as_ref() == Some(path);
    inventory.iter().filter(same).map(|other| &other.id).collect()
}

fn config_failure(code: &'static str, message: String, hint: String) -> Failure {
    Failure { code, phase: Phase::Config, message, hint: Some(hint), retryable: false }
}

fn file_failure(error: &KeyFileError) -> Failure {
    config_failure("key_file", error.to_string(), error.hint())
}

/// The public half of the key of a host.
async fn public_line(
    orchestrator: &Orchestrator,
    vm: &VmId,
    path: &Path,
) -> Result<PublicLine, Failure> {
    if path.symlink_metadata().is_err() {
        let message = format!("there is no key {}", path.display());
        let hint = format!("make it: orchestrator keys generate {vm}");
        return Err(config_failure("key_not_found", message, hint));
    }
    let (connector, path) = (orchestrator.inner.connector.clone(), path.to_owned());
    let read = blocking(move || Ok(connector.public_line(&path)?)).await;
    read.map_err(|error| file_failure(&error))
}

/// Waits for the disk, and for a person who is asked for a passphrase.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyFileError> + Send + 'static,
) -> Result<T, KeyFileError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let (path, cause) = (String::new(), error.to_string());
        Err(KeyError::Io { path, cause }.into())
    })
}
