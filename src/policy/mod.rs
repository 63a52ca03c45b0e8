//! Decisions: may this operator do this on this host?
//!
//! Deciding is pure: a request goes in, a decision with the name of its rule
//! comes out, and nothing is read or sent in between. What is decided on is
//! byte for byte what is sent.
//!
//! Once there is a policy file, what no rule of it allows is denied, and what
//! one rule denies no other allows.

mod approvers;
mod constraints;
mod decide;
mod decision;
mod escapes;
mod file;
mod interactive;
mod lint;
mod machine;
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
use crate::yaml::{Diagnostic, Location, Owner};
use machine::Machine;
use rules::Rules;

pub(crate) use pattern::Pattern;

pub use approvers::Approvers;
pub use constraints::{
    Constraints, Instances, Limits, Rate, Sandbox, SandboxBase, Scope, WhenExceeded,
};
pub use decision::{Decision, Token, TokenKind};
pub use file::{Breaker, PolicyError};
pub use lint::{Finding, Severity, lint};
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
    /// One file, and where it can be read again.
    File(Arc<Rules>, Option<Arc<Path>>),
    /// The machine's, if there is one.
    Machine(Option<Arc<Machine>>),
    /// What cannot be used, why, and where it can be read again.
    Unusable(Arc<str>, Source),
}

/// Where a policy comes from.
#[derive(Clone)]
enum Source {
    Code,
    File(Arc<Path>),
    Machine,
}

impl Policy {
    /// Allows everything but what the built-in rules deny: a host that the
    /// inventory does not allow, and a command that needs a terminal.
    pub fn allow_all() -> Self {
        Self(Kind::AllowAll)
    }

    /// Denies everything, and says why: for a policy that cannot be used.
    pub fn unusable(why: impl Into<Arc<str>>) -> Self {
        Self(Kind::Unusable(why.into(), Source::Code))
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

    /// The policy of this machine, `/etc/orchestrator/policy.yml`, which applies
    /// to every run of the program and of
    /// [`Orchestrator::from_config_file`](crate::Orchestrator::from_config_file).
    /// Without that file it allows everything; if the file is there and cannot be
    /// used, it denies everything and says why.
    ///
    /// A program that builds its orchestrator by itself decides by its own code
    /// whether this applies: `Policy::all_of([Policy::machine(), own])`.
    pub fn machine() -> Self {
        Self::machine_in(Path::new(machine::DIRECTORY))
    }

    fn machine_in(dir: &Path) -> Self {
        Self(match machine::load(dir) {
            Ok(machine) => Kind::Machine(machine.map(Arc::new)),
            Err(error) => Kind::Unusable(error.summary().into(), Source::Machine),
        })
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// The file is missing, unreadable, empty, wrong, writable or replaceable by
    /// others, or belongs to somebody else. Then nothing is to be allowed:
    /// [`unusable`](Self::unusable) does that.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let path = path.as_ref();
        let rules = file::load(path, Owner::Us)?;
        machine::refuse_log(&rules)?;
        Ok(Self(Kind::File(Arc::new(rules), Some(path.into()))))
    }

    /// Reads a file as it would be read if it were the machine's policy, whoever
    /// owns it and wherever it is.
    ///
    /// # Errors
    /// It could not be used there.
    pub fn load_for_machine(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let machine = machine::candidate(path.as_ref())?;
        Ok(Self(Kind::Machine(Some(Arc::new(machine)))))
    }

    /// As [`load`](Self::load) for the hosts of an inventory, with a policy that
    /// denies everything in place of one that cannot be used.
    pub(crate) fn load_or_deny(path: &Path, inventory: &Inventory) -> Self {
        let loaded = Self::load(path).and_then(|policy| {
            policy.check_hosts(inventory)?;
            Ok(policy)
        });
        loaded.unwrap_or_else(|error| {
            Self(Kind::Unusable(error.summary().into(), Source::File(path.into())))
        })
    }

    /// Reads a policy from a text; `name` stands for the file in places.
    ///
    /// # Errors
    /// Something in the text is wrong.
    pub fn from_yaml_str(text: &str, name: &str) -> Result<Self, PolicyError> {
        let rules = file::read(name, text).map_err(PolicyError::Invalid)?;
        machine::refuse_log(&rules)?;
        Ok(Self::of(rules))
    }

    fn of(rules: Rules) -> Self {
        Self(Kind::File(Arc::new(rules), None))
    }

    /// Reads the files again that this comes from. What comes from no file stays
    /// as it is.
    ///
    /// # Errors
    /// One of them cannot be used; a policy of the machine that was there is
    /// gone.
    pub fn reload(&self) -> Result<Self, PolicyError> {
        match &self.0 {
            Kind::AllOf(policies) => {
                let all: Result<Vec<Self>, _> = policies.iter().map(Self::reload).collect();
                Ok(Self(Kind::AllOf(all?)))
            }
            Kind::File(_, Some(path)) | Kind::Unusable(_, Source::File(path)) => Self::load(path),
            Kind::Machine(_) | Kind::Unusable(_, Source::Machine) => {
                let machine = machine::load(Path::new(machine::DIRECTORY))?;
                if machine.is_none() && matches!(self.0, Kind::Machine(Some(_))) {
                    return Err(PolicyError::Missing(machine::path()));
                }
                Ok(Self(Kind::Machine(machine.map(Arc::new))))
            }
            _ => Ok(self.clone()),
        }
    }

    /// Refuses a policy that names groups, tags or hosts which the inventory
    /// does not have: a typing error there could allow what it should deny. The
    /// machine's policy speaks of the machine's own inventory, and was held
    /// against that when it was read.
    ///
    /// # Errors
    /// Each such place.
    pub fn check_hosts(&self, inventory: &Inventory) -> Result<(), PolicyError> {
        let problems: Vec<_> =
            self.ordinary_files().flat_map(|rules| unknown_hosts(rules, inventory)).collect();
        if problems.is_empty() { Ok(()) } else { Err(PolicyError::Invalid(problems)) }
    }

    /// The SHA-256 of the policy file, in hexadecimal; of several files, joined
    /// by `+`.
    pub fn sha256(&self) -> Option<String> {
        let digests: Vec<&str> = self.files().map(|rules| rules.sha256.as_str()).collect();
        (!digests.is_empty()).then(|| digests.join("+"))
    }

    /// Whether this and another one come from files of the same content.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.content() == other.content()
    }

    fn content(&self) -> Vec<Option<&str>> {
        match &self.0 {
            Kind::AllowAll => Vec::new(),
            Kind::AllOf(policies) => policies.iter().flat_map(Self::content).collect(),
            Kind::File(rules, _) => vec![Some(&rules.sha256)],
            Kind::Machine(Some(machine)) => machine.content().to_vec(),
            Kind::Machine(None) | Kind::Unusable(..) => vec![None],
        }
    }

    /// What the files hold, in a line each.
    pub fn summary(&self) -> Vec<String> {
        self.files().map(Rules::summary).collect()
    }

    /// When hosts are left alone, as each file has it.
    pub fn breakers(&self) -> impl Iterator<Item = Breaker> {
        self.files().filter_map(|rules| rules.breaker)
    }

    /// Where the machine's policy has every action recorded, whatever the
    /// configuration says, and where that is written.
    pub fn log(&self) -> Option<(&Path, &Location)> {
        match &self.0 {
            Kind::AllOf(policies) => policies.iter().find_map(Self::log),
            Kind::Machine(Some(machine)) => {
                let log = machine.rules.log.as_ref()?;
                Some((log.path.as_deref()?, log.at.location()))
            }
            _ => None,
        }
    }

    /// Why everything is denied, of each policy that cannot be used.
    pub fn troubles(&self) -> Vec<&str> {
        match &self.0 {
            Kind::AllOf(policies) => policies.iter().flat_map(Self::troubles).collect(),
            Kind::Unusable(why, _) => vec![why],
            _ => Vec::new(),
        }
    }

    /// Each file and its SHA-256, in hexadecimal.
    pub fn sources(&self) -> Vec<(String, String)> {
        self.files().map(|rules| (rules.file.file().to_owned(), rules.sha256.clone())).collect()
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
            Kind::AllowAll | Kind::Machine(None) => Decision::allow(ALLOW_ALL),
            Kind::File(rules, _) => decide::decide(rules, request),
            Kind::Machine(Some(machine)) => machine.decide(request),
            Kind::Unusable(why, _) => {
                let hint = "repair it: `orchestrator policy check FILE` says what is wrong";
                Decision::deny(UNUSABLE, why.to_string(), hint.into())
            }
            Kind::AllOf(policies) => {
                let mut all: Option<Decision> = None;
                let absent = |policy: &&Self| matches!(policy.0, Kind::Machine(None));
                for policy in policies.iter().filter(|policy| !absent(policy)) {
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
            Kind::Machine(machine) => Box::new(machine.iter().map(|machine| &machine.rules)),
            Kind::AllOf(policies) => Box::new(policies.iter().flat_map(Self::files)),
            _ => self.ordinary_files(),
        }
    }

    /// Every file of it but the machine's.
    fn ordinary_files(&self) -> Box<dyn Iterator<Item = &Rules> + '_> {
        match &self.0 {
            Kind::AllowAll | Kind::Machine(_) | Kind::Unusable(..) => Box::new(std::iter::empty()),
            Kind::File(rules, _) => Box::new(std::iter::once(&**rules)),
            Kind::AllOf(policies) => Box::new(policies.iter().flat_map(Self::ordinary_files)),
        }
    }
}

/// What the selectors of a file name that an inventory does not have.
fn unknown_hosts(rules: &Rules, inventory: &Inventory) -> Vec<Diagnostic> {
    let targets = inventory.targets_if_allowed();
    let unknown =
        rules.selectors().filter_map(|selector| match selector.pattern.resolve(&targets) {
            // Naming nobody is no mistake by itself.
            Ok(_) | Err(ResolveError::Empty { .. }) => None,
            Err(error) => Some(selector.at.with_message(format!("hosts: {error}"))),
        });
    unknown.collect()
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = |rules: &Rules| format!("{}, {}", rules.file.file(), rules.sha256);
        match &self.0 {
            Kind::AllowAll => f.write_str("Policy(allow-all)"),
            Kind::AllOf(policies) => f.debug_tuple("Policy::all_of").field(policies).finish(),
            Kind::File(rules, _) => write!(f, "Policy({})", file(rules)),
            Kind::Machine(None) => f.write_str("Policy(machine: none)"),
            Kind::Machine(Some(machine)) => write!(f, "Policy(machine: {})", file(&machine.rules)),
            Kind::Unusable(why, _) => write!(f, "Policy(unusable: {why})"),
        }
    }
}
