//! What one rule says of a request, before it becomes a decision.

use super::super::constraints::Constraints;
use super::super::decision::{Decision, RuleId, Token};
use super::super::rules::Rules;
use crate::yaml::Location;

/// What a rule allows.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) rule: String,
    pub(super) place: Location,
    pub(super) constraints: Constraints,
    pub(super) requires_approval: bool,
}

/// Why it is denied, and by whom.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) rule: String,
    pub(super) place: Location,
    pub(super) reason: String,
    pub(super) hint: String,
    pub(super) token: Option<Box<Token>>,
    /// Whether a rule forbids it, rather than none allowing it: then nothing
    /// else can allow it.
    pub(super) explicit: bool,
    /// How far a rule agreed, to tell of the one that agreed most.
    pub(super) stage: u8,
}

pub(super) type Verdict = Result<Allowed, Denied>;

impl Allowed {
    /// Both at once.
    pub(super) fn and(mut self, other: Self) -> Self {
        if self.rule != other.rule {
            self.rule = format!("{}, {}", self.rule, other.rule);
        }
        self.constraints = self.constraints.and(other.constraints);
        self.requires_approval |= other.requires_approval;
        self
    }
}

/// Several things at once, all of which must be allowed; `None` if there is
/// none. What a rule forbids is told before what none allows.
pub(super) fn together(verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    let mut all: Option<Verdict> = None;
    for verdict in verdicts {
        all = Some(match (all, verdict) {
            (_, Err(denied)) if denied.explicit => return Some(Err(denied)),
            (None, verdict) => verdict,
            (Some(Ok(all)), Ok(allowed)) => Ok(all.and(allowed)),
            (Some(Ok(_)), Err(denied)) => Err(denied),
            (Some(Err(denied)), _) => Err(denied),
        });
    }
    all
}

/// What one of several rules is to allow; otherwise the denial of the one that
/// agreed most, the first of equals, or nothing where there is no rule.
pub(super) fn any(verdicts: impl Iterator<Item = Verdict>) -> Result<Allowed, Option<Denied>> {
    let mut nearest: Option<Denied> = None;
    for verdict in verdicts {
        match verdict {
            Ok(allowed) => return Ok(allowed),
            Err(denied) => {
                let better = nearest.as_ref().is_none_or(|other| denied.stage > other.stage);
                nearest = if better { Some(denied) } else { nearest };
            }
        }
    }
    Err(nearest)
}

impl Denied {
    /// No rule allows it.
    pub(super) fn by_default(
        rules: &Rules,
        rule: &str,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.to_owned(),
            place: rules.file.clone(),
            reason: reason.into(),
            hint: hint.into(),
            token: None,
            explicit: false,
            stage: 0,
        }
    }

    /// A rule that was looked at does not allow it.
    pub(super) fn by_rule(id: &RuleId, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            rule: id.name.to_string(),
            place: id.place.clone(),
            reason: reason.into(),
            hint: hint.into(),
            token: None,
            explicit: false,
            stage: 0,
        }
    }

    pub(super) fn token(self, token: Token) -> Self {
        Self { token: Some(Box::new(token)), ..self }
    }

    pub(super) fn at(self, place: &Location) -> Self {
        Self { place: place.clone(), ..self }
    }

    pub(super) fn explicit(self) -> Self {
        Self { explicit: true, ..self }
    }

    pub(super) fn stage(self, stage: u8) -> Self {
        Self { stage, ..self }
    }

    pub(super) fn decision(self) -> Decision {
        let decision = Decision::deny(self.rule, self.reason, self.hint);
        Decision { place: Some(self.place), token: self.token.map(|token| *token), ..decision }
    }
}
