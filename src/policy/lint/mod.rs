//! What in a policy is legal, and dangerous or useless all the same.
//!
//! Each rule is a line of a table: a name, how bad it is, what to do, and the
//! function that finds it. A rule that finds nothing proves nothing.

mod arguments;
mod grants;
mod programs;
mod transfers;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::file::{self, PolicyError};
use super::rules::{Binary, Rules};
use crate::yaml::{Location, Owner};

/// Something that a policy says and should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub place: Location,
    /// The part of the policy that it is about: `binaries[3]/git`.
    pub subject: String,
    /// What is wrong with it, in a sentence.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It says less than it seems to.
    Low,
    /// It allows more, or less, than was probably meant.
    Medium,
    /// It allows what makes the rest of the policy worthless.
    High,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A rule of this table.
struct Check {
    name: &'static str,
    severity: Severity,
    hint: &'static str,
    find: fn(&Rules) -> Vec<Found>,
}

/// Where a rule found something, and what.
struct Found {
    subject: String,
    place: Location,
    reason: String,
}

/// The rule of everything for which a policy is refused.
const UNUSABLE: &str = "unusable";

/// Looks through a policy file: what it says wrong, in the order of the file.
/// For a file that could not be used, that comes first among the findings, with
/// what can be said of the rest.
///
/// # Errors
/// The file cannot be read or trusted, or is no YAML.
pub fn lint(path: impl AsRef<Path>) -> Result<Vec<Finding>, PolicyError> {
    let path = path.as_ref();
    lint_text(&path.display().to_string(), &file::read_text(path, Owner::Us)?)
}

fn lint_text(name: &str, text: &str) -> Result<Vec<Finding>, PolicyError> {
    let (rules, problems) = file::read_with_problems(name, text).map_err(PolicyError::Invalid)?;
    let unusable = problems.into_iter().map(|problem| Finding {
        rule: UNUSABLE,
        severity: Severity::High,
        place: problem.location().clone(),
        subject: "policy".into(),
        reason: problem.message().to_owned(),
        hint: "the policy is refused as it is, and everything denied: correct this first".into(),
    });
    let checks = [arguments::CHECKS, grants::CHECKS, programs::CHECKS, transfers::CHECKS];
    let found = checks.into_iter().flatten().flat_map(|check| {
        (check.find)(&rules).into_iter().map(|found| Finding {
            rule: check.name,
            severity: check.severity,
            place: found.place,
            subject: found.subject,
            reason: found.reason,
            hint: check.hint.into(),
        })
    });
    let mut all: Vec<Finding> = unusable.chain(found).collect();
    all.sort_by_key(|finding| (finding.place.line(), finding.place.column()));
    Ok(all)
}

impl Found {
    fn of(binary: &Binary, reason: impl Into<String>) -> Self {
        let id = &binary.terms.id;
        Self { subject: id.name.to_string(), place: id.place.clone(), reason: reason.into() }
    }

    fn at(self, place: &Location) -> Self {
        Self { place: place.clone(), ..self }
    }
}

/// The rules for programs that are switched on.
fn enabled(rules: &Rules) -> impl Iterator<Item = &Binary> {
    rules.binaries.iter().filter(|binary| binary.terms.enabled)
}

/// The last part of a rule's path.
fn name(binary: &Binary) -> &str {
    binary.paths.first().map_or("", |path| file::basename(path))
}
