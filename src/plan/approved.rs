//! A plan that was written down, looked at by others, and is now carried out.

use super::Plan;
use crate::policy::Decision;

/// What is proven of the plan file that a plan comes from. Only
/// [`Orchestrator::apply`](crate::Orchestrator::apply) makes one, after it has
/// checked everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    sha256: String,
    nonce: String,
    requester: String,
    approvers: Vec<Approver>,
}

/// Somebody who approved a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Who.
    pub principal: String,
    /// The fingerprint of the key that signed, `SHA256:…`.
    pub key: String,
}

impl Applied {
    pub(crate) fn new(
        sha256: String,
        nonce: String,
        requester: String,
        approvers: Vec<Approver>,
    ) -> Self {
        Self { sha256, nonce, requester, approvers }
    }

    /// The SHA-256 of the plan file's bytes, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What makes the plan file the only one of its kind.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The account that asked for it, as the file says.
    pub fn requester(&self) -> &str {
        &self.requester
    }

    /// Who approved it; nobody, where nothing required it.
    pub fn approvers(&self) -> &[Approver] {
        &self.approvers
    }
}

impl Plan {
    /// The plan file that it comes from.
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_deref()
    }

    /// Whether something of it must be approved first.
    pub fn needs_approval(&self) -> bool {
        self.hosts.iter().any(|host| host.decision.allow && host.decision.requires_approval)
    }

    /// Denies what needs an approval that this plan does not have. The engine
    /// does this to every plan.
    pub(crate) fn hold_unapproved(&mut self) {
        if self.applied().is_some_and(|applied| !applied.approvers.is_empty()) {
            return;
        }
        for host in self.hosts.iter_mut().filter(|host| host.decision.requires_approval) {
            if host.decision.allow {
                host.decision = Decision {
                    allow: false,
                    reason: Some("this needs an approval".into()),
                    hint: Some(HINT.into()),
                    ..host.decision.clone()
                };
            }
        }
    }
}

const HINT: &str = "write it down: orchestrator plan … --out FILE; have somebody else say yes: \
                    orchestrator approve FILE; then: orchestrator apply FILE";
