//! Whether somebody else said yes.

use jiff::Timestamp;

use super::{NAMESPACE, PlanFile};
use crate::plan::Approver;
use crate::policy::{Approvers, Policy};
use crate::ssh::signature::{
    AllowedSigners, AllowedSignersError, NotAllowed, SignatureError, verify,
};

/// Why a signature approves nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    /// Whoever applies the plan made it possible.
    #[error("{0} approved it and applies it: that takes two people")]
    Applier(String),
    /// The file that says whose signatures count cannot be used.
    #[error(transparent)]
    AllowedSigners(#[from] AllowedSignersError),
    /// The key does not count.
    #[error(transparent)]
    Key(#[from] NotAllowed),
    /// A rule needs a signature, and there is none.
    #[error("the policy wants it approved, and there is no signature")]
    Missing,
    /// No policy says whose signatures count.
    #[error("there is a signature, and no policy says under approvals whose signatures count")]
    Nobody,
    /// The file names somebody for whom its account does not stand.
    #[error("the plan says that {user} stands for somebody else than the policy does")]
    Requester {
        /// The account.
        user: String,
    },
    /// Whoever asked said yes.
    #[error("{0} asked for it and approved it: somebody else has to approve it")]
    Requested(String),
    /// The signature is none of these bytes.
    #[error("the signature does not count: {0}")]
    Signature(#[from] SignatureError),
    /// Nobody knows who that is.
    #[error("the account {user} {did}, and operators in {file} does not say for whom it stands")]
    Unmapped {
        /// The account.
        user: String,
        /// What it did.
        did: &'static str,
        /// The policy.
        file: String,
    },
}

impl NotApproved {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Applier(_) | Self::Requested(_) => "approval_by_self",
            Self::AllowedSigners(_) | Self::Nobody => "approval_unconfigured",
            Self::Key(_) => "approval_not_allowed",
            Self::Missing => "approval_required",
            Self::Signature(_) => "approval_invalid",
            Self::Requester { .. } | Self::Unmapped { .. } => "approval_unmapped",
        }
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Applier(_) => "have the requester, or a third person, apply it",
            Self::AllowedSigners(_) => "repair the file that approvals.allowed_signers names",
            Self::Key(_) | Self::Requested(_) => {
                "have somebody approve it whose key is in allowed_signers and who did not ask for it"
            }
            Self::Missing => "have somebody else run: orchestrator approve FILE",
            Self::Nobody => "name allowed_signers under approvals in the policy",
            Self::Requester { .. } => "make a new plan",
            Self::Signature(_) => "compare the digest with the approver's, and have it signed anew",
            Self::Unmapped { .. } => "map the account under operators in the policy",
        }
    }
}

/// Who approved a plan. Every signature that is given must count, and by each
/// policy file that says whose do. Blocks: reads allowed_signers.
///
/// The plan's word on who asked for it is nobody's but its author's. So the
/// approver must also be another person than `applier`, the account that carries
/// it out here: whatever the file says, two people took part.
pub(crate) fn judge(
    file: &PlanFile,
    signatures: &[Vec<u8>],
    policy: &Policy,
    applier: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Approver>, NotApproved> {
    if signatures.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for approvers in policy.approvers() {
        let one = by(approvers, file, signatures, applier, now)?;
        found.extend(one.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
    }
    if found.is_empty() { Err(NotApproved::Nobody) } else { Ok(found) }
}

fn by(
    approvers: Approvers<'_>,
    file: &PlanFile,
    signatures: &[Vec<u8>],
    applier: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Approver>, NotApproved> {
    let principal = |user: Option<&str>, did| {
        let user = user.unwrap_or("nobody known");
        approvers.principal(user).ok_or_else(|| NotApproved::Unmapped {
            user: user.to_owned(),
            did,
            file: approvers.file().to_owned(),
        })
    };
    let asked = &file.document().requester;
    let requester = principal(asked.os_user.as_deref(), "asked for it")?;
    if asked.principal.as_deref().is_some_and(|said| said != requester) {
        return Err(NotApproved::Requester { user: file.requester().to_owned() });
    }
    let applier = principal(applier, "applies it")?;
    let allowed = AllowedSigners::load(approvers.allowed_signers())?;
    let mut found = Vec::new();
    for signature in signatures {
        let key = verify(signature, NAMESPACE, file.bytes())?;
        let names = allowed.principals(&key, NAMESPACE, now, approvers.principals())?;
        // A line with patterns may make a key that of several people.
        if names.contains(&requester) {
            return Err(NotApproved::Requested(requester.to_owned()));
        }
        if names.contains(&applier) {
            return Err(NotApproved::Applier(applier.to_owned()));
        }
        found.push(Approver { principal: names.join(","), key: key.fingerprint() });
    }
    Ok(found)
}
