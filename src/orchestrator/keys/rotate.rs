//! Replacing a host's key.
//!
//! What was done is told by the files: see [`crate::keys::Stage`]. Until the
//! swap the old key logs in and is in its place, after it the new one.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::super::Orchestrator;
use super::deploy::does_not_log_in;
use super::remote::{Order, change};
use super::{
    KeyChange, KeyDone, Login, blocking, config_failure, file_failure, public_line, sharing,
};
use crate::ids::{RunId, VmId};
use crate::inventory::Host;
use crate::keys::{Change, Edited, Pair, Rotation, Stage};
use crate::outcome::{Effect, Failure, HostResult};
use crate::policy::Decision;
use crate::ssh::key_file::PublicLine;
use crate::transport::Endpoint;

/// One host's rotation.
struct Rotating<'a> {
    orchestrator: &'a Orchestrator,
    run: RunId,
    host: &'a Host,
    files: Rotation,
    decision: &'a Decision,
    cancel: &'a CancellationToken,
}

/// Why it stopped, and where.
struct Stopped {
    step: &'static str,
    result: Box<HostResult>,
}

pub(super) async fn rotate(
    orchestrator: &Orchestrator,
    run: RunId,
    host: &Host,
    passphrase: Option<&SecretString>,
    decision: &Decision,
    cancel: &CancellationToken,
) -> KeyChange {
    let mut outcome = KeyChange::new(&host.id);
    let files = match rotation(orchestrator, host) {
        Ok(files) => files,
        Err(failure) => return outcome.failed(failure),
    };
    let rotating = Rotating { orchestrator, run, host, files, decision, cancel };
    match rotating.all(passphrase, &mut outcome).await {
        Ok((done, result)) => {
            outcome.done = Some(done);
            outcome.ended(result)
        }
        Err(Stopped { step, mut result }) => {
            if let Some(failure) = &mut result.failure {
                failure.message = format!("stopped at step {step}: {}", failure.message);
            }
            outcome.ended(*result)
        }
    }
}

/// The files of a host's rotation, unless they are not its own.
fn rotation(orchestrator: &Orchestrator, host: &Host) -> Result<Rotation, Failure> {
    let current = orchestrator.inner.access.key_path(host)?;
    let others = sharing(orchestrator.inventory(), host);
    if !others.is_empty() {
        let others: Vec<&str> = others.into_iter().map(VmId::as_str).collect();
        let (path, others) = (current.display(), others.join(", "));
        let message = format!("{path} is also the key of {others}, which would be locked out");
        let hint = "give each VM a key of its own: take identity_file out, then keys generate \
                    and keys deploy";
        return Err(config_failure("key_shared", message, hint.into()));
    }
    let target = match host.identity_file {
        Some(_) => current.clone(),
        // The name tells the type, and the new key is an Ed25519 one.
        None => current.with_file_name(format!("id_ed25519_{}", host.id)),
    };
    Ok(Rotation::new(current, target))
}

impl Rotating<'_> {
    async fn all(
        &self,
        passphrase: Option<&SecretString>,
        outcome: &mut KeyChange,
    ) -> Result<(KeyDone, HostResult), Stopped> {
        let stage =
            self.files.stage().map_err(|error| self.stop("generate", file_failure(&error)))?;
        let (done, old) = match stage {
            Stage::Swapped(old) => (KeyDone::Finished, old),
            Stage::Begun | Stage::Fresh => {
                let old = self.public_line("generate", self.files.current()).await?;
                if let Stage::Fresh = stage {
                    self.generate(passphrase).await?;
                }
                outcome.backup = self.introduce(&old).await?;
                (KeyDone::Rotated, old)
            }
        };
        let key = self.public_line("remove", self.files.target()).await?;
        outcome.key = Some(key.fingerprint.clone());
        let result = self.retire(&old, &key).await?;
        Ok((done, result))
    }

    async fn generate(&self, passphrase: Option<&SecretString>) -> Result<(), Stopped> {
        let (files, vm) = (self.files.clone(), self.host.id.clone());
        let passphrase = passphrase.map(|text| SecretString::from(text.expose_secret()));
        let made = blocking(move || {
            let path = files.new_key();
            let pair = Pair { vm: &vm, path: &path, passphrase: passphrase.as_ref() };
            files.begin(pair, Timestamp::now())
        });
        let key = made.await.map_err(|error| self.stop("generate", file_failure(&error)))?;
        self.orchestrator.inner.connector.hold(&self.files.new_key(), &key);
        Ok(())
    }

    /// The new key is added over the old, logs in, and takes its place here.
    async fn introduce(&self, old: &PublicLine) -> Result<Option<PathBuf>, Stopped> {
        let new_path = self.files.new_key();
        let new = self.public_line("add", &new_path).await?;
        let endpoint = self.endpoint("add", self.files.current())?;
        self.change("add", &endpoint, Change::Add, &new).await?;
        let endpoint = self.endpoint("test", &new_path)?;
        self.log_in("test", endpoint).await?;
        let (files, old) = (self.files.clone(), old.clone());
        let swapped = blocking(move || files.swap(&old, Timestamp::now())).await;
        let backup = swapped.map_err(|error| self.stop("swap", file_failure(&error)))?;
        self.orchestrator.inner.connector.key_moved(&new_path, self.files.target());
        Ok(backup)
    }

    /// The old key is removed over the one that is in its place now.
    async fn retire(&self, old: &PublicLine, key: &PublicLine) -> Result<HostResult, Stopped> {
        let endpoint = self.endpoint("remove", self.files.target())?;
        // Files that were put back by hand: this key is the only one there.
        if old.blob() != key.blob() {
            self.change("remove", &endpoint, Change::Remove, old).await?;
        }
        let result = self.log_in("remove", endpoint).await?;
        let files = self.files.clone();
        let ended = blocking(move || files.end()).await;
        ended.map_err(|error| self.stop("remove", file_failure(&error)))?;
        Ok(result)
    }

    async fn change(
        &self,
        step: &'static str,
        endpoint: &Endpoint,
        change_to: Change,
        key: &PublicLine,
    ) -> Result<Edited, Stopped> {
        let (run, vm, login) = (self.run, &self.host.id, &Login::Own);
        let decision = self.decision;
        let order = Order { run, vm, endpoint, login, change: change_to, key, decision };
        let changed = change(self.orchestrator, &order, self.cancel).await;
        changed.map_err(|result| Stopped { step, result })
    }

    async fn log_in(&self, step: &'static str, endpoint: Endpoint) -> Result<HostResult, Stopped> {
        let vm = &self.host.id;
        let reached =
            self.orchestrator.reach(self.run, vm, Ok(endpoint), self.decision, self.cancel);
        let mut result = reached.await;
        result.effect = Effect::Present;
        if !result.success() {
            does_not_log_in(&mut result);
            return Err(Stopped { step, result: Box::new(result) });
        }
        Ok(result)
    }

    fn endpoint(&self, step: &'static str, key: &Path) -> Result<Endpoint, Stopped> {
        let (access, inventory) = (&self.orchestrator.inner.access, self.orchestrator.inventory());
        let endpoint = access.endpoint_with(inventory, self.host, Login::Own.identity(key));
        endpoint.map_err(|failure| self.stop(step, failure))
    }

    async fn public_line(&self, step: &'static str, path: &Path) -> Result<PublicLine, Stopped> {
        let read = public_line(self.orchestrator, &self.host.id, path).await;
        read.map_err(|failure| self.stop(step, failure))
    }

    fn stop(&self, step: &'static str, failure: Failure) -> Stopped {
        let result = KeyChange::new(&self.host.id).failed(failure).host;
        Stopped { step, result: Box::new(result) }
    }
}
