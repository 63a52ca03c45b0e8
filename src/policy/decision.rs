//! What policy answers.

use std::sync::Arc;

use super::constraints::Constraints;
use crate::yaml::Location;

/// The answer to a [`Request`](super::Request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may happen.
    pub allow: bool,
    /// The rule that decided, such as `binaries[3]/git`; `builtin/…` stands in
    /// no file.
    pub rule: String,
    /// Where that rule stands; the file itself where none of its rules spoke.
    pub place: Option<Location>,
    /// The role by which the operator may do such a thing, where there are
    /// roles.
    pub role: Option<String>,
    /// Why it was denied, in one sentence without the host's name. It repeats
    /// no argument: that might be a secret.
    pub reason: Option<String>,
    /// What to do instead.
    pub hint: Option<String>,
    /// What was at fault, as it was typed. For the eyes of whoever typed it.
    pub token: Option<Token>,
    /// What else the audit log must tell, such as an overridden rule.
    pub notes: Vec<String>,
    /// Within which bounds it may happen.
    pub constraints: Constraints,
    /// Whether somebody else must have approved exactly this.
    pub requires_approval: bool,
    /// The SHA-256 of the file that decided, in hexadecimal; those of several
    /// files that allow it are joined by `+`.
    pub policy_sha256: Option<String>,
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Which one. Words count from 0, which is the program; a byte from the
    /// beginning of the shell string; variables and paths from 0 as given.
    pub index: usize,
    /// The part itself.
    pub text: String,
}

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Text of a shell string, from this byte on.
    Byte,
    /// A path of a transfer, a working directory.
    Path,
    /// The name of a variable.
    Variable,
    /// A program or one of its arguments.
    Word,
}

impl Token {
    pub(super) fn new(kind: TokenKind, index: usize, text: impl Into<String>) -> Self {
        Self { kind, index, text: text.into() }
    }

    pub(super) fn word(index: usize, text: impl Into<String>) -> Self {
        Self::new(TokenKind::Word, index, text)
    }
}

impl Decision {
    pub(super) fn allow(rule: impl Into<String>) -> Self {
        Self {
            allow: true,
            rule: rule.into(),
            place: None,
            role: None,
            reason: None,
            hint: None,
            token: None,
            notes: Vec::new(),
            constraints: Constraints::default(),
            requires_approval: false,
            policy_sha256: None,
        }
    }

    pub(crate) fn deny(rule: impl Into<String>, reason: String, hint: String) -> Self {
        let allow = Self::allow(rule);
        Self { allow: false, reason: Some(reason), hint: Some(hint), ..allow }
    }

    /// This and the answer to another part of the same request, both of which
    /// allow it.
    pub(crate) fn with(mut self, other: Self) -> Self {
        for rule in std::iter::once(other.rule).chain(other.notes) {
            if self.rule != rule && !self.notes.contains(&rule) {
                self.notes.push(rule);
            }
        }
        self.constraints = self.constraints.and(other.constraints);
        self.requires_approval |= other.requires_approval;
        self
    }

    /// This and another policy's answer, both of which allow it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.rule = format!("{} + {}", self.rule, other.rule);
        self.place = self.place.or(other.place);
        self.role = self.role.or(other.role);
        self.constraints = self.constraints.and(other.constraints);
        self.requires_approval |= other.requires_approval;
        let digests = [self.policy_sha256, other.policy_sha256].into_iter().flatten();
        self.policy_sha256 = digests.reduce(|one, other| format!("{one}+{other}"));
        self
    }
}

/// The name of a rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleId {
    pub(super) name: Arc<str>,
    pub(super) place: Location,
}
