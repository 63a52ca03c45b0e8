//! A policy file, read and compiled: what decisions are made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::approvers::Approvals;
use super::constraints::{Instances, Limits, Rate, Sandbox};
use super::decision::RuleId;
use super::file::Breaker;
use super::pattern::{PathPattern, Pattern};
use super::request::HostView;
use super::variables::Names;
use crate::nodeset::HostPattern;
use crate::yaml::{Diagnostic, Location};

/// All rules of a file.
#[derive(Debug)]
pub(super) struct Rules {
    /// The file, as a place of its own.
    pub(super) file: Location,
    /// The SHA-256 of the file, in hexadecimal.
    pub(super) sha256: String,
    /// What the file calls itself.
    pub(super) name: Option<String>,
    pub(super) global: Global,
    pub(super) binaries: Vec<Binary>,
    pub(super) scripts: Vec<ScriptRule>,
    pub(super) uploads: Vec<TransferRule>,
    pub(super) downloads: Vec<TransferRule>,
    /// `None`: everybody has every permission, within the rules.
    pub(super) roles: Option<Vec<Role>>,
    /// What accounts of this machine stand for.
    pub(super) operators: BTreeMap<String, Operator>,
    pub(super) breaker: Option<Breaker>,
    pub(super) approvals: Option<Approvals>,
    /// Where everything must be recorded; only the machine's policy says that.
    pub(super) log: Option<Log>,
}

/// Where everything must be recorded.
#[derive(Debug)]
pub(super) struct Log {
    /// The file, if it is named.
    pub(super) path: Option<PathBuf>,
    /// The place of its name.
    pub(super) at: Diagnostic,
}

/// What holds for every rule.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) allowed_env: Vec<Names>,
    pub(super) denied_env: Vec<Names>,
    /// The place of `denied_env`.
    pub(super) denied_env_at: Option<Location>,
    pub(super) limits: Limits,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) rate: Option<Rate>,
    /// Where bare program names are looked for; without it they are denied.
    pub(super) path: Option<Vec<String>>,
    /// Whether anybody may have a script run in which a scan finds something.
    pub(super) allow_threat: bool,
}

/// What rules for programs and scripts have in common.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) id: RuleId,
    /// A rule that is not enabled denies.
    pub(super) enabled: bool,
    pub(super) hosts: Hosts,
    /// `None` is any argument.
    pub(super) allowed_args: Option<Vec<ArgRule>>,
    pub(super) denied_args: Vec<ArgRule>,
    pub(super) allowed_env: Vec<Names>,
    pub(super) denied_env: Vec<Names>,
    /// `None` is any directory.
    pub(super) allowed_workdirs: Option<Vec<String>>,
    /// Whom it may be run as by sudo.
    pub(super) run_as: Vec<String>,
    pub(super) limits: Limits,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) rate: Option<Rate>,
    pub(super) instances: Option<Instances>,
    pub(super) require_approval: bool,
}

/// A program.
#[derive(Debug)]
pub(super) struct Binary {
    /// Its path; several where the rule names it by its name alone.
    pub(super) paths: Vec<String>,
    /// Whether it, being a shell, may be given any text.
    pub(super) shell: bool,
    /// Whether it may be given a stdin, which no rule sees.
    pub(super) stdin: bool,
    pub(super) terms: Terms,
}

/// A script, by its content.
#[derive(Debug)]
pub(super) struct ScriptRule {
    pub(super) sha256: String,
    /// What may be asked to read it; empty if only what its first line says.
    pub(super) interpreter: Vec<String>,
    pub(super) terms: Terms,
}

/// Files that may, or may not, be moved.
#[derive(Debug)]
pub(super) struct TransferRule {
    pub(super) id: RuleId,
    pub(super) deny: bool,
    pub(super) paths: Vec<PathPattern>,
    pub(super) hosts: Hosts,
    pub(super) run_as: Vec<String>,
    pub(super) require_approval: bool,
}

/// What a word may, or may not, be.
#[derive(Debug)]
pub(super) struct ArgRule {
    pub(super) pattern: Pattern,
    /// Its place among the arguments, from 0; `None` is any.
    pub(super) position: Option<usize>,
    /// Whether there must be such a word.
    pub(super) required: bool,
    pub(super) description: Option<String>,
    pub(super) at: Location,
}

impl ArgRule {
    /// Whether it speaks of this position.
    pub(super) fn speaks_of(&self, position: usize) -> bool {
        self.position.is_none_or(|own| own == position)
    }

    /// It, in words.
    pub(super) fn described(&self) -> String {
        let pattern = format!("`{}`", self.pattern.as_str());
        let place = self.position.map(|at| format!(" at position {at}")).unwrap_or_default();
        match &self.description {
            Some(text) => format!("{pattern}{place} ({text})"),
            None => format!("{pattern}{place}"),
        }
    }
}

/// On which hosts a rule holds; `None` is all.
#[derive(Debug, Default)]
pub(super) struct Hosts(pub(super) Option<HostSelector>);

/// A target expression and where it stands.
#[derive(Debug)]
pub(super) struct HostSelector {
    pub(super) pattern: HostPattern,
    pub(super) at: Diagnostic,
}

impl Hosts {
    pub(super) fn include(&self, host: &HostView<'_>) -> bool {
        self.0.as_ref().is_none_or(|selector| selector.pattern.includes(host))
    }
}

/// A kind of thing that one may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Admin,
    Download,
    Exec,
    Kill,
    Schedule,
    Script,
    Shell,
    Sudo,
    Upload,
}

impl Permission {
    pub(super) const CHOICES: [(&'static str, Self); 9] = [
        ("admin", Self::Admin),
        ("download", Self::Download),
        ("exec", Self::Exec),
        ("kill", Self::Kill),
        ("schedule", Self::Schedule),
        ("script", Self::Script),
        ("shell", Self::Shell),
        ("sudo", Self::Sudo),
        ("upload", Self::Upload),
    ];

    pub(super) fn as_str(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

/// Permissions on hosts, and who has them.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) place: Location,
    pub(super) permissions: Vec<Permission>,
    /// These nobody in the role has there, whatever other roles say.
    pub(super) denied: Vec<Permission>,
    pub(super) hosts: Hosts,
    /// Principals; `*` is everybody.
    pub(super) members: Vec<String>,
}

/// What an account of this machine stands for.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) principal: String,
    pub(super) roles: Vec<String>,
}

impl Rules {
    /// What an account stands for. One that is not mapped stands for itself,
    /// unless its name is what another one stands for.
    pub(super) fn principal<'a>(&'a self, os_user: &'a str) -> Option<&'a str> {
        if let Some(operator) = self.operators.get(os_user) {
            return Some(&operator.principal);
        }
        let taken = self.operators.values().any(|operator| operator.principal == os_user);
        (!taken).then_some(os_user)
    }

    /// Whether any rule requires an approval.
    pub(super) fn wants_approval(&self) -> bool {
        let transfers = self.uploads.iter().chain(&self.downloads);
        let binaries = self.binaries.iter().map(|rule| &rule.terms);
        let scripts = self.scripts.iter().map(|rule| &rule.terms);
        binaries.chain(scripts).any(|terms| terms.require_approval)
            || transfers.into_iter().any(|rule| rule.require_approval)
    }

    /// What the file holds, in one line.
    pub(super) fn summary(&self) -> String {
        let count = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        let mut parts = vec![
            count(self.binaries.len(), "program"),
            count(self.scripts.len(), "script"),
            count(self.uploads.len(), "upload"),
            count(self.downloads.len(), "download"),
        ];
        parts.push(match &self.roles {
            Some(roles) => count(roles.len(), "role"),
            None => "no roles: everybody may do what the rules allow".to_owned(),
        });
        let name = self.name.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{name}{}", parts.join(", "))
    }

    /// Every selector in the file.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &HostSelector> {
        let binaries = self.binaries.iter().map(|rule| &rule.terms.hosts);
        let scripts = self.scripts.iter().map(|rule| &rule.terms.hosts);
        let transfers = self.uploads.iter().chain(&self.downloads).map(|rule| &rule.hosts);
        let roles = self.roles.iter().flatten().map(|role| &role.hosts);
        let all = binaries.chain(scripts).chain(transfers).chain(roles);
        all.filter_map(|hosts| hosts.0.as_ref())
    }
}
