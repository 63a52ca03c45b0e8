//! Decisions: may this operator do this on this host?
//!
//! Deciding is pure: a request goes in, a decision with the name of its rule
//! comes out, and nothing is read or sent in between. What is decided on is
//! byte for byte what is sent.
//!
//! Once there is a policy file, what no rule of it allows is denied, and what
//! one rule denies no other allows.

mod constraints;
mod decide;
mod decision;
mod escapes;
mod file;
mod interactive;
mod pattern;
mod request;
mod rules;
mod shell;
mod validate;
mod variables;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::inventory::Inventory;
use crate::nodeset::ResolveError;
use rules::Rules;

pub(crate) use pattern::Pattern;

pub use constraints::{
    Constraints, Instances, Limits, Rate, Sandbox, SandboxBase, Scope, WhenExceeded,
};
pub use decision::{Decision, Token, TokenKind};
pub use file::{Breaker, PolicyError};
pub use request::{ActionView, HostView, Request};
pub use validate::{InvalidInput, sanitize_path, validate_arguments, validate_path};

/// The rule that allows what no other rule denies.
const ALLOW_ALL: &str = "allow-all";
/// The rule that confines everything to the hosts which the inventory allows.
const ALLOWED_VMS: &str = "builtin/allowed-vms";
/// The rule against commands that would wait for a terminal.
const INTERACTIVE: &str = "builtin/interactive";
/// The rule that denies everything where the policy cannot be used.
const UNUSABLE: &str = "builtin/policy-unusable";

/// The rules of a run. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Kind);

#[derive(Clone)]
enum Kind {
    /// There is no policy beyond the built-in rules.
    AllowAll,
    /// All of them must allow.
    AllOf(Vec<Policy>),
    /// One file.
    File(Arc<Rules>),
    /// A file that cannot be used, and why.
    Unusable(Arc<str>),
}

impl Policy {
    /// Allows everything but what the built-in rules deny: a host that the
    /// inventory does not allow, and a command that needs a terminal.
    pub fn allow_all() -> Self {
        Self(Kind::AllowAll)
    }

    /// Denies everything, and says why: for a policy that cannot be used.
    pub fn unusable(why: impl Into<Arc<str>>) -> Self {
        Self(Kind::Unusable(why.into()))
    }

    /// Allows what every one of them allows, within the bounds of all; without
    /// any it is [`allow_all`](Self::allow_all).
    pub fn all_of(policies: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for policy in policies {
            match policy.0 {
                Kind::AllowAll => {}
                Kind::AllOf(policies) => all.extend(policies),
                _ => all.push(policy),
            }
        }
        match all.len() {
            0 => Self::allow_all(),
            1 => all.swap_remove(0),
            _ => Self(Kind::AllOf(all)),
        }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// The file is missing, unreadable, empty, wrong, writable by others or
    /// belongs to somebody else. Then nothing is to be allowed:
    /// [`unusable`](Self::unusable) does that.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        file::load(path.as_ref(), file::NOT_ENFORCED).map(Self::of)
    }

    /// Reads a policy from a text; `name` stands for the file in places.
    ///
    /// # Errors
    /// Something in the text is wrong.
    pub fn from_yaml_str(text: &str, name: &str) -> Result<Self, PolicyError> {
        let rules = file::read(name, text, file::NOT_ENFORCED);
        rules.map(Self::of).map_err(PolicyError::Invalid)
    }

    fn of(rules: Rules) -> Self {
        Self(Kind::File(Arc::new(rules)))
    }

    /// Refuses a policy that names groups, tags or hosts which the inventory
    /// does not have: a typing error there could allow what it should deny.
    ///
    /// # Errors
    /// Each such place.
    pub fn check_hosts(&self, inventory: &Inventory) -> Result<(), PolicyError> {
        let targets = inventory.targets_if_allowed();
        let mut problems = Vec::new();
        for selector in self.files().flat_map(|rules| rules.selectors()) {
            match selector.pattern.resolve(&targets) {
                // Naming nobody is no mistake by itself.
                Ok(_) | Err(ResolveError::Empty { .. }) => {}
                Err(error) => {
                    problems.push(selector.at.with_message(format!("hosts: {error}")));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(PolicyError::Invalid(problems)) }
    }

    /// The SHA-256 of the policy file, in hexadecimal; of several files, joined
    /// by `+`.
    pub fn sha256(&self) -> Option<String> {
        let digests: Vec<&str> = self.files().map(|rules| rules.sha256.as_str()).collect();
        (!digests.is_empty()).then(|| digests.join("+"))
    }

    /// What the files hold, in a line each.
    pub fn summary(&self) -> Vec<String> {
        self.files().map(Rules::summary).collect()
    }

    /// When hosts are left alone, as each file has it.
    pub fn breakers(&self) -> impl Iterator<Item = Breaker> {
        self.files().filter_map(|rules| rules.breaker)
    }

    /// Decides a request.
    ///
    /// It depends on nothing but the policy and the request. The built-in rules
    /// come first, then the roles, then the rules; whatever is denied by one of
    /// them is denied.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        if !request.host.allowed {
            let reason = format!("vm_id {} not in allowed list", request.host.id);
            let hint = "add it to remote_execution.allowed_vm_ids in the configuration";
            let decision = Decision::deny(ALLOWED_VMS, reason, hint.into());
            return Decision { policy_sha256: self.sha256(), ..decision };
        }
        let finding = interactive::find(request);
        if let Some(finding) = finding.as_ref().filter(|_| !request.allow_interactive) {
            let hint = format!("{}; to run it anyway: --allow-interactive", finding.hint);
            let decision = Decision::deny(INTERACTIVE, finding.to_string(), hint);
            return Decision { policy_sha256: self.sha256(), ..decision };
        }
        let mut decision = self.by_rules(request);
        if let Some(finding) = finding.filter(|_| decision.allow) {
            decision.notes.push(format!("{INTERACTIVE} (overridden): {finding}"));
        }
        decision
    }

    fn by_rules(&self, request: &Request<'_>) -> Decision {
        match &self.0 {
            Kind::AllowAll => Decision::allow(ALLOW_ALL),
            Kind::File(rules) => decide::decide(rules, request),
            Kind::Unusable(why) => {
                let hint = "repair it: `orchestrator policy check FILE` says what is wrong";
                Decision::deny(UNUSABLE, why.to_string(), hint.into())
            }
            Kind::AllOf(policies) => {
                let mut all: Option<Decision> = None;
                for policy in policies {
                    let decision = policy.by_rules(request);
                    if !decision.allow {
                        return decision;
                    }
                    all = Some(match all {
                        Some(all) => all.and(decision),
                        None => decision,
                    });
                }
                let decision = all.unwrap_or_else(|| Decision::allow(ALLOW_ALL));
                decide::refuse_lost_path(decision)
            }
        }
    }

    /// Every file of it.
    fn files(&self) -> Box<dyn Iterator<Item = &Rules> + '_> {
        match &self.0 {
            Kind::AllowAll | Kind::Unusable(_) => Box::new(std::iter::empty()),
            Kind::File(rules) => Box::new(std::iter::once(&**rules)),
            Kind::AllOf(policies) => Box::new(policies.iter().flat_map(Self::files)),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::AllowAll => f.write_str("Policy(allow-all)"),
            Kind::AllOf(policies) => f.debug_tuple("Policy::all_of").field(policies).finish(),
            Kind::File(rules) => write!(f, "Policy({}, {})", rules.file.file(), rules.sha256),
            Kind::Unusable(why) => write!(f, "Policy(unusable: {why})"),
        }
    }
}
