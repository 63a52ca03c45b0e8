//! Who may approve plans, and for whom accounts stand while that is checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Policy;
use super::rules::Rules;

/// `approvals:` of a policy file.
#[derive(Debug)]
pub(super) struct Approvals {
    pub(super) allowed_signers: PathBuf,
    pub(super) expires_max: Duration,
    pub(super) spent_plans: Option<PathBuf>,
}

/// Who may approve plans by one policy file.
#[derive(Clone, Copy, Debug)]
pub struct Approvers<'a> {
    rules: &'a Rules,
    approvals: &'a Approvals,
}

impl Policy {
    /// Who may approve plans, by each of its files that says so.
    pub fn approvers(&self) -> impl Iterator<Item = Approvers<'_>> {
        self.files().filter_map(|rules| {
            let approvals = rules.approvals.as_ref()?;
            Some(Approvers { rules, approvals })
        })
    }
}

impl<'a> Approvers<'a> {
    /// The policy file.
    pub fn file(&self) -> &'a str {
        self.rules.file.file()
    }

    /// Whose signatures count: an allowed_signers file (ssh-keygen(1)).
    pub fn allowed_signers(&self) -> &'a Path {
        &self.approvals.allowed_signers
    }

    /// How long a plan may be good for.
    pub fn expires_max(&self) -> Duration {
        self.approvals.expires_max
    }

    /// The directory in which all accounts write down which plans were applied,
    /// if it is not each account's own.
    pub fn spent_plans(&self) -> Option<&'a Path> {
        self.approvals.spent_plans.as_deref()
    }

    /// Whom an account of this machine stands for. Unlike with roles, one that
    /// `operators` does not map stands for nobody: it could be a second account
    /// of somebody who is mapped.
    pub fn principal(&self, os_user: &str) -> Option<&'a str> {
        self.rules.operators.get(os_user).map(|operator| operator.principal.as_str())
    }

    /// Everybody for whom an account stands.
    pub fn principals(&self) -> impl Iterator<Item = &'a str> {
        self.rules.operators.values().map(|operator| operator.principal.as_str())
    }
}
