//! The expression as written, read but not yet resolved.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::name::Name;
use super::problem::{Fault, PatternError, Place, Problem};
use super::scan::{Operator, Piece, scan};
use super::source::{PastResult, Source};
use crate::ids::VmId;

/// The most names that one expression may stand for.
///
/// Beyond it an expression is a typing error, and is refused before any memory
/// is spent on it.
pub const EXPANSION_MAX: u64 = 1_000_000;

/// The most globs that one piece may stand for: each is compared with every host.
const GLOBS_MAX: u64 = 1_000;

/// An expression that names hosts, as written.
///
/// Terms are ids with ranges (`vm01`, `vm[01-20,33]`, `rack[1-2]-n[0-8/2]`),
/// `all`, groups (`@web`), tags (`tag=prod`), globs (`web*`, `db?`), lists
/// (`@file:PATH`, `-`) and results of earlier runs (`@failed`,
/// `@unreachable:RUN`). `,` unites, `!` takes away, `&` keeps what is in both,
/// `^` what is in one of them; they count alike and work from left to right.
/// Blanks between two terms unite them.
///
/// It is known to be well formed and to stand for at most [`EXPANSION_MAX`]
/// names; whether the hosts exist is decided by [`resolve`](Self::resolve).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Arc<str>,
    pub(super) origin: Option<Arc<str>>,
    pub(super) terms: Vec<Term>,
}

/// An operator and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) operator: Operator,
    pub(super) text: String,
    /// Position of its first character in the expression, from 1.
    pub(super) at: usize,
    pub(super) kind: TermKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TermKind {
    /// Every host.
    All,
    /// Hosts by a part of their id.
    Globs(Name),
    /// Groups by name.
    Groups(Name),
    /// The lines of a list that was read.
    List(Vec<HostPattern>),
    /// Hosts by id.
    Names(Name),
    /// Hosts that an earlier run gave.
    Past(Vec<VmId>),
    /// Hosts by a word of theirs.
    Tags(Name),
    /// A list or a result that has not been read yet.
    Unread(Source),
}

impl HostPattern {
    /// Reads an expression that does not stand on the command line; errors say
    /// that it comes from `origin`.
    ///
    /// # Errors
    /// A piece of it cannot be read.
    pub fn from_origin(text: &str, origin: impl Into<Arc<str>>) -> Result<Self, PatternError> {
        Self::read(text, Some(origin.into()))
    }

    /// Whether the pattern is the id of one host and nothing else: no range, no
    /// operator, not `all`.
    pub fn is_single_literal(&self) -> bool {
        match self.terms.as_slice() {
            [Term { kind: TermKind::Names(name), .. }] => name.is_literal(),
            _ => false,
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The groups that it names.
    pub(crate) fn groups(&self) -> impl Iterator<Item = String> {
        let names = self.terms.iter().filter_map(|term| match &term.kind {
            TermKind::Groups(name) => Some(name),
            _ => None,
        });
        names.flat_map(Name::expand)
    }

    /// The ids that it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let names = self.terms.iter().filter_map(|term| match &term.kind {
            TermKind::Names(name) => Some(name),
            _ => None,
        });
        names.flat_map(Name::expand)
    }

    /// Refuses what no group may have: what it names must not depend on what is
    /// typed or read.
    pub(crate) fn refuse_outside(&self) -> Result<(), PatternError> {
        let unread = |term: &&Term| matches!(term.kind, TermKind::Unread(_));
        match self.terms.iter().find(unread) {
            Some(term) => Err(self.error(Problem::NotInAGroup, term)),
            None => Ok(()),
        }
    }

    fn read(text: &str, origin: Option<Arc<str>>) -> Result<Self, PatternError> {
        let whole: Arc<str> = text.into();
        match read_terms(text) {
            Ok(terms) => Ok(Self { text: whole, origin, terms }),
            Err(fault) => Err(fault.of(whole, origin)),
        }
    }

    /// How many names it stands for at most, lists included.
    pub(super) fn count(&self) -> u128 {
        self.terms.iter().fold(0, |sum: u128, term| sum.saturating_add(term.count()))
    }

    pub(super) fn place(&self, term: &Term) -> Box<Place> {
        Box::new(Place {
            piece: term.text.clone(),
            at: term.at,
            pattern: self.text.clone(),
            origin: self.origin.clone(),
        })
    }

    pub(super) fn error(&self, problem: Problem, term: &Term) -> PatternError {
        PatternError { problem, place: self.place(term) }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::read(text, None)
    }
}

/// Shows the pattern as it was written.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn read_terms(text: &str) -> Result<Vec<Term>, Fault> {
    let mut terms = Vec::new();
    let mut count: u128 = 0;
    for piece in scan(text)? {
        let term = Term::read(&piece)?;
        count = count.saturating_add(term.count());
        term.refuse_above(EXPANSION_MAX, count)?;
        terms.push(term);
    }
    Ok(terms)
}

impl Term {
    fn read(piece: &Piece<'_>) -> Result<Self, Fault> {
        let &Piece { operator, text, at, .. } = piece;
        let kind = TermKind::read(text, at)?;
        let term = Self { operator, text: text.to_owned(), at, kind };
        if let TermKind::Globs(name) = &term.kind {
            term.refuse_above(GLOBS_MAX, name.count())?;
        }
        Ok(term)
    }

    pub(super) fn count(&self) -> u128 {
        match &self.kind {
            TermKind::All | TermKind::Unread(_) => 0,
            TermKind::Globs(name)
            | TermKind::Groups(name)
            | TermKind::Names(name)
            | TermKind::Tags(name) => name.count(),
            TermKind::List(lines) => {
                lines.iter().fold(0, |sum: u128, line| sum.saturating_add(line.count()))
            }
            TermKind::Past(ids) => ids.len() as u128,
        }
    }

    fn refuse_above(&self, limit: u64, count: u128) -> Result<(), Fault> {
        if count > u128::from(limit) {
            return Err(Fault::new(Problem::TooMany { count, limit }, &self.text, self.at));
        }
        Ok(())
    }
}

impl TermKind {
    fn read(text: &str, at: usize) -> Result<Self, Fault> {
        let fault = |problem| Err(Fault::new(problem, text, at));
        if let Some(path) = text.strip_prefix("@file:") {
            return match path {
                "" => fault(Problem::NoPath),
                path => Ok(Self::Unread(Source::File(path.into()))),
            };
        }
        match text {
            // `@*` is what ClusterShell has for it.
            "all" | "@*" => return Ok(Self::All),
            "-" => return Ok(Self::Unread(Source::Stdin)),
            "@" | "tag=" => return fault(Problem::NoName),
            _ => {}
        }
        if let Some(name) = text.strip_prefix('@') {
            if let Some((result, run)) = PastResult::read(name) {
                return match run {
                    Some("") => fault(Problem::NoName),
                    run => Ok(Self::Unread(Source::Result(result, run.map(str::to_owned)))),
                };
            }
            let name = Name::parse(name, at + 1)?;
            return if name.is_id() { Ok(Self::Groups(name)) } else { fault(Problem::InvalidId) };
        }
        if let Some(tag) = text.strip_prefix("tag=") {
            return Ok(Self::Tags(Name::parse(tag, at + 4)?));
        }
        let name = Name::parse(text, at)?;
        if name.is_id() {
            Ok(Self::Names(name))
        } else if text.contains(['*', '?']) && name.is_glob() {
            Ok(Self::Globs(name))
        } else if text.contains('=') {
            fault(Problem::NotATag)
        } else {
            fault(Problem::InvalidId)
        }
    }
}
