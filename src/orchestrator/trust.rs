//! Enrolling a host key: what the host shows, what is known of it, and the
//! line that makes it known.

use std::path::Path;
use std::time::{Instant, SystemTime};

use super::deed::target;
use super::{HostError, Orchestrator, RequestError, RunError};
use crate::audit::{ActionKind, AuditError, Record, ResultFacts};
use crate::ids::{RunId, VmId};
use crate::outcome::{HostResult, Phase, Status};
use crate::policy::ActionView;
use crate::run::{not_connected, tell};
use crate::ssh::known_hosts::{
    Accepted, HostKeyError, HostName, KeyId, LearnError, Learned, Offered, Pin, learn,
};
use crate::ssh::{host_key_name, host_key_pins};
use crate::transport::Endpoint;

/// A key that a host showed and proved to have.
#[derive(Clone, Debug)]
pub struct ShownKey {
    vm: VmId,
    endpoint: Endpoint,
    name: HostName,
    offered: Offered,
    verdict: Result<Accepted, HostKeyError>,
}

/// What speaks for trusting a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It has to be this key.
    Expected(Pin),
    /// A person compared it and said yes.
    Given,
    /// A person was asked and did not say yes.
    Refused,
}

/// Why a key was not made known. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be put on record, so it is not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Policy denies it.
    #[error("{}: {}", .0.vm, .0.failure.as_ref().map_or("denied", |failure| &failure.message))]
    Denied(Box<HostResult>),
    /// It is another key than the one that was expected.
    #[error("the key of {vm} is not trusted: it offers {offered}, expected is {expected}")]
    Fingerprint {
        /// The host.
        vm: VmId,
        /// The key that it offers.
        offered: KeyId,
        /// What was expected.
        expected: Pin,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Learn(LearnError),
    /// Nobody may trust this key before what is recorded was settled.
    #[error(transparent)]
    Refused(HostKeyError),
    /// The host is not in the inventory of this orchestrator.
    #[error("vm_id {0} not found in config")]
    Unknown(VmId),
    /// The person who was asked did not say yes.
    #[error("the key of {0} is not trusted, as you said")]
    Unwanted(VmId),
}

impl ShownKey {
    /// The host.
    pub fn vm(&self) -> &VmId {
        &self.vm
    }

    /// Whether it is the key with this fingerprint.
    pub fn is(&self, pin: &Pin) -> bool {
        pin.is_of(&self.offered)
    }

    /// The type and the fingerprint.
    pub fn id(&self) -> KeyId {
        self.offered.id()
    }

    /// The name under which it is, or would be, recorded.
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Whether it is trusted, as things stood when it was shown.
    pub fn verdict(&self) -> Result<&Accepted, &HostKeyError> {
        self.verdict.as_ref()
    }

    /// Why nobody may just trust it: a changed, revoked or unpinned key.
    pub fn obstacle(&self) -> Option<&HostKeyError> {
        self.verdict.as_ref().err().filter(|error| match error {
            HostKeyError::Certificate { .. }
            | HostKeyError::Unknown { .. }
            | HostKeyError::UnknownType { .. } => false,
            HostKeyError::Changed { .. }
            | HostKeyError::PinMismatch { .. }
            | HostKeyError::Revoked { .. } => true,
        })
    }
}

impl Orchestrator {
    /// The key that a host shows. Nobody logs in there, and no private key of
    /// ours is needed but for the hosts on the way. The connection is recorded.
    /// It is a step of [`trust`](Self::trust) and needs the same permission.
    ///
    /// # Errors
    /// The host may not be used or is not reached, or policy denies it.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection; the next process to open the
    /// audit log closes the open attempt.
    pub async fn host_key(&self, vm: &VmId) -> Result<ShownKey, RunError> {
        let host = self.inventory().require(vm).map_err(RequestError::from);
        let host = host.inspect_err(|error| self.refuse(ActionKind::Check, error))?;
        let endpoint = self.inner.access.outside(self.inventory(), host);
        let endpoint = endpoint.map_err(RunError::Unusable)?;
        let name = host_key_name(&endpoint)?;
        let pins = host_key_pins(&endpoint)?;
        let decision = self.may(host, ActionView::Admin);
        let deed = self.begin_check(RunId::new(), vm, Some(&endpoint), &decision).await;
        if !decision.allow {
            return Err(HostError(Box::new(self.deny(deed, vm, &decision).await)).into());
        }
        let deed = deed?;
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + self.config().ssh.connect_timeout;
        let scanned = self.inner.connector.scan(&endpoint, deadline).await;
        let mut result = HostResult::new(vm.clone(), String::new(), Status::Success);
        if let Err(error) = &scanned {
            not_connected(&mut result, error);
        }
        result.timing.connect = started.elapsed();
        let shown = scanned.as_ref().ok().map(|offered| offered.id().fingerprint);
        deed.end(|record| {
            tell(record, &result);
            note_key(record, shown);
        })
        .await?;
        let offered = scanned?;
        let verdict = self.known_hosts().decide(&name, &offered, SystemTime::now(), &pins);
        Ok(ShownKey { vm: vm.clone(), endpoint, name, offered, verdict })
    }

    /// Makes a key known by a line in `file`, if there is consent and policy
    /// gives the permission `admin` for the host. Refusals are recorded, too. What this orchestrator knows stays as it was: a new
    /// one reads the file again.
    ///
    /// # Errors
    /// The key changed, is revoked or is not the pinned one, there is no
    /// consent, policy denies it, or the file cannot be written.
    ///
    /// # Cancel safety
    /// The line is written whole or not at all.
    pub async fn trust(
        &self,
        key: &ShownKey,
        file: &Path,
        consent: Consent,
    ) -> Result<Learned, TrustError> {
        let mut target = target(&key.vm, Some(&key.endpoint));
        target.hostkey = Some(key.id().fingerprint);
        let decision = match self.inventory().get(&key.vm) {
            Some(host) => self.may(host, ActionView::Admin),
            // It was another orchestrator that was shown this key.
            None => return Err(TrustError::Unknown(key.vm.clone())),
        };
        let deed = self.begin_trust(target, &decision).await;
        if !decision.allow {
            return Err(TrustError::Denied(Box::new(self.deny(deed, &key.vm, &decision).await)));
        }
        let deed = deed?;
        let started = Instant::now();
        let learned = enrol(key, file.to_owned(), consent).await;
        let mut facts = facts(learned.as_ref().err());
        facts.duration = started.elapsed();
        let at = match &learned {
            Ok(Learned::Added(at) | Learned::AlreadyThere(at)) => Some(at.to_string()),
            Err(_) => None,
        };
        deed.end(|record| {
            record.result = Some(facts);
            record.metadata.extend(at.map(|at| ("known_hosts".to_owned(), at)));
        })
        .await?;
        learned
    }
}

async fn enrol(
    key: &ShownKey,
    file: std::path::PathBuf,
    consent: Consent,
) -> Result<Learned, TrustError> {
    match consent {
        Consent::Expected(expected) if !expected.is_of(&key.offered) => {
            let (vm, offered) = (key.vm.clone(), key.id());
            return Err(TrustError::Fingerprint { vm, offered, expected });
        }
        Consent::Refused => return Err(TrustError::Unwanted(key.vm.clone())),
        Consent::Expected(_) | Consent::Given => {}
    }
    if let Some(obstacle) = key.obstacle() {
        return Err(TrustError::Refused(obstacle.clone()));
    }
    let (name, public) = (key.name.clone(), key.offered.public_key());
    // It waits for a lock and for the disk.
    let write = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || learn(&file, &name, &public))
    };
    match write.await {
        Ok(learned) => learned.map_err(TrustError::Learn),
        Err(error) => {
            let source = std::io::Error::other(error);
            Err(TrustError::Learn(LearnError::Io { file, source }))
        }
    }
}

fn facts(error: Option<&TrustError>) -> ResultFacts {
    let Some(error) = error else { return ResultFacts::new(Status::Success) };
    let (status, class) = match error {
        TrustError::Audit(_) => (Status::NotStarted, "audit_failed"),
        TrustError::Denied(_) | TrustError::Unknown(_) => (Status::PolicyDenied, "policy_denied"),
        TrustError::Fingerprint { .. } => (Status::HostKeyRejected, "fingerprint_mismatch"),
        TrustError::Learn(LearnError::Refused(_)) | TrustError::Refused(_) => {
            (Status::HostKeyRejected, "host_key_refused")
        }
        TrustError::Learn(_) => (Status::Failed, "known_hosts_unwritable"),
        TrustError::Unwanted(_) => (Status::Cancelled, "declined"),
    };
    let mut facts = ResultFacts::new(status);
    facts.phase = Some(Phase::HostKey);
    facts.error_class = Some(class.into());
    facts.message = Some(error.to_string());
    facts
}

fn note_key(record: &mut Record, fingerprint: Option<String>) {
    if let Some(target) = &mut record.target {
        target.hostkey = fingerprint;
    }
}
