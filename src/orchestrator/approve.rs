//! Putting it on record that somebody approves a plan.

use jiff::Timestamp;

use super::request::expires_max;
use super::{ApplyError, Orchestrator, Overrides};
use crate::approval::{NAMESPACE, NotApproved, NotPlannable, PlanFile};
use crate::audit::{ApproverFacts, Event};
use crate::inventory::Jump;
use crate::ssh::signature::{AllowedSigners, SignerKey, verify};

/// A signature that was made.
#[derive(Debug)]
pub struct SignedPlan {
    /// The fingerprint of the key that signed.
    pub key: String,
    /// For whom it stands by the policies here; or why applying the plan here
    /// would not take it.
    pub counts: Result<Vec<String>, NotApproved>,
}

impl Orchestrator {
    /// Whether there is any use in approving a plan now.
    ///
    /// # Errors
    /// It has expired, or is good for too long.
    pub fn approvable(&self, file: &PlanFile) -> Result<(), ApplyError> {
        Ok(file.dated(Timestamp::now(), expires_max(&self.policy()))?)
    }

    /// Puts it on record that a plan file was approved by this detached signature
    /// (SSHSIG, in PEM). Whether it counts is decided where the plan is applied.
    /// Blocks until the record is durable.
    ///
    /// # Errors
    /// The plan has expired, the signature is none of it, or it cannot be put on
    /// record.
    pub fn approve(&self, file: &PlanFile, pem: &[u8]) -> Result<SignedPlan, ApplyError> {
        self.approvable(file)?;
        let key = verify(pem, NAMESPACE, file.bytes()).map_err(NotApproved::from)?;
        let counts = self.may_approve(&key);
        let mut facts = file.noted();
        facts.approvers = vec![ApproverFacts {
            principal: counts.as_ref().ok().map(|names| names.join(",")),
            key: key.fingerprint(),
        }];
        let recorder = self.inner.engine.recorder();
        recorder.plan_file(Event::PlanApproved, &self.inner.operator, facts)?;
        Ok(SignedPlan { key: key.fingerprint(), counts })
    }

    /// For whom a key stands that may approve plans by every policy here.
    ///
    /// # Errors
    /// Why it may not.
    pub fn may_approve(&self, key: &SignerKey) -> Result<Vec<String>, NotApproved> {
        let mut names = Vec::new();
        let policy = self.policy();
        for approvers in policy.approvers() {
            let allowed = AllowedSigners::load(approvers.allowed_signers())?;
            let known = approvers.principals();
            let found = allowed.principals(key, NAMESPACE, Timestamp::now(), known)?;
            names.extend(found.into_iter().map(str::to_owned));
        }
        names.dedup();
        if names.is_empty() { Err(NotApproved::Nobody) } else { Ok(names) }
    }
}

impl Overrides {
    /// What a plan sets in place of the inventory. Our own key is not part of a
    /// plan.
    ///
    /// # Errors
    /// Its jump hosts cannot be read.
    pub fn of_plan(file: &PlanFile) -> Result<Self, ApplyError> {
        let way = &file.document().way;
        let jumps = way.proxy_jump.as_deref().map(Jump::parse_chain).transpose();
        let jumps = jumps.map_err(|error| NotPlannable::Unwritable(error.to_string()))?;
        let (user, port) = (way.user.clone(), way.port);
        Ok(Self { user, port, identity_file: None, proxy_jump: jumps })
    }
}
