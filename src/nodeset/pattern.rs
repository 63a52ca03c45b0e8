//! The expression as written, read but not yet resolved.

use std::fmt;
use std::str::FromStr;

use crate::ids::VmId;

use super::range::Range;

/// The most ids that one pattern may stand for.
///
/// It is the number of hosts an inventory may hold; beyond it a pattern is a
/// typing error, and is refused before any memory is spent on it.
pub const EXPANSION_MAX: u64 = 100_000;

/// An expression that names hosts, as written: `vm01`, `vm[01-20,33]`,
/// `rack[1-2]-n[1-3]`, `all`, and unions of these by comma.
///
/// It is known to be well formed and to stand for at most [`EXPANSION_MAX`]
/// ids; whether the hosts exist is decided by [`resolve`](Self::resolve).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: String,
    pub(super) terms: Vec<Term>,
}

/// What stands between two commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) text: String,
    /// Position of its first character in the pattern, from 1.
    pub(super) at: usize,
    pub(super) kind: TermKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TermKind {
    /// Every host.
    All,
    /// Names, literal or by ranges.
    Names(Vec<Part>),
}

/// A stretch of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Ranges(Vec<Range>),
}

/// A piece of a pattern that cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{piece:?} in the targets, character {at}: {problem}")]
pub struct PatternError {
    /// What is wrong with it.
    pub problem: Problem,
    /// The piece, as written.
    pub piece: String,
    /// Position of its first character in the pattern, counted from 1.
    pub at: usize,
}

/// What is wrong with a piece of a pattern.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// Two brackets with at most digits between them.
    #[error("two brackets need something other than digits between them")]
    AdjacentBrackets,
    /// A digit, then a range whose ends differ in length: people and tools
    /// disagree on what `n1[9-10]` means.
    #[error("after a digit, both ends of a range need the same length")]
    Ambiguous,
    /// Nothing where a host should be named.
    #[error("no host is named here")]
    Empty,
    /// Nothing where a number should be.
    #[error("the range is empty")]
    EmptyRange,
    /// No host can have such a name.
    #[error(
        "no host has such a name: use 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with . or -"
    )]
    InvalidId,
    /// `1-010`.
    #[error("both ends of a zero-padded range need the same length")]
    MixedPadding,
    /// A number was expected.
    #[error("a range is made of numbers: [1-3], [01-20,33], [0-10/2]")]
    NotANumber,
    /// More digits than a number may have.
    #[error("the number is too long")]
    NumberTooLong,
    /// `5-1`.
    #[error("the range ends before it begins")]
    Reversed,
    /// `5/2`.
    #[error("a step needs a range: [0-10/2]")]
    StepWithoutRange,
    /// `0-10/0`.
    #[error("a step must be at least 1")]
    StepZero,
    /// The pattern stands for too many ids.
    #[error("it stands for {count} hosts, and the limit is {limit}")]
    TooMany {
        /// How many ids the pattern stands for up to and including this piece.
        count: u128,
        /// [`EXPANSION_MAX`].
        limit: u64,
    },
    /// `[` without `]`.
    #[error("the bracket is not closed")]
    Unclosed,
    /// `]` without `[`.
    #[error("the bracket was not opened")]
    Unopened,
    /// A form of the language that this version does not have.
    #[error("not supported yet: {0}")]
    Unsupported(&'static str),
}

impl HostPattern {
    /// Whether the pattern is the id of one host and nothing else: no range,
    /// no union, not `all`.
    pub fn is_single_literal(&self) -> bool {
        matches!(
            self.terms.as_slice(),
            [Term { kind: TermKind::Names(parts), .. }] if matches!(parts.as_slice(), [Part::Literal(_)])
        )
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let mut terms = Vec::new();
        let mut count: u128 = 0;
        for (piece, at) in split_at_commas(text)? {
            let term = Term::parse(piece, at)?;
            count = count.saturating_add(term.count());
            if count > u128::from(EXPANSION_MAX) {
                let problem = Problem::TooMany { count, limit: EXPANSION_MAX };
                return Err(PatternError::new(problem, &term.text, term.at));
            }
            terms.push(term);
        }
        Ok(Self { text: text.to_owned(), terms })
    }
}

/// Shows the pattern as it was written.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PatternError {
    pub(super) fn new(problem: Problem, piece: &str, at: usize) -> Self {
        Self { problem, piece: piece.to_owned(), at }
    }
}

impl Term {
    fn parse(piece: &str, at: usize) -> Result<Self, PatternError> {
        let indent = piece.chars().take_while(|c| c.is_whitespace()).count();
        let (text, at) = (piece.trim(), at + indent);
        let kind = match text {
            "" => return Err(PatternError::new(Problem::Empty, piece, at - indent)),
            "all" => TermKind::All,
            name => {
                refuse_later_forms(name, at)?;
                TermKind::Names(parse_name(name, at)?)
            }
        };
        Ok(Self { text: text.to_owned(), at, kind })
    }

    /// How many ids the term names: at most this many, as some may be equal.
    fn count(&self) -> u128 {
        let TermKind::Names(parts) = &self.kind else { return 0 };
        parts.iter().fold(1, |product: u128, part| match part {
            Part::Literal(_) => product,
            Part::Ranges(ranges) => {
                product.saturating_mul(ranges.iter().map(|range| u128::from(range.count())).sum())
            }
        })
    }
}

/// The pieces between commas that are outside brackets, with their positions.
fn split_at_commas(text: &str) -> Result<Vec<(&str, usize)>, PatternError> {
    let mut pieces = Vec::new();
    let (mut start, mut start_at) = (0, 1);
    let mut open = None;
    for (at, (index, c)) in (1..).zip(text.char_indices()) {
        match c {
            '[' if open.is_none() => open = Some((index, at)),
            ']' if open.is_none() => {
                return Err(PatternError::new(Problem::Unopened, &text[start..=index], start_at));
            }
            ']' => open = None,
            ',' if open.is_none() => {
                pieces.push((&text[start..index], start_at));
                (start, start_at) = (index + 1, at + 1);
            }
            _ => {}
        }
    }
    if let Some((index, at)) = open {
        return Err(PatternError::new(Problem::Unclosed, &text[index..], at));
    }
    pieces.push((&text[start..], start_at));
    Ok(pieces)
}

/// Refuses what the language has a meaning for, but this version does not.
fn refuse_later_forms(name: &str, at: usize) -> Result<(), PatternError> {
    if let Some((before, (index, _))) =
        (0..).zip(name.char_indices()).find(|(_, (_, c))| "!&^".contains(*c))
    {
        let problem = Problem::Unsupported("minus, intersection and xor (! & ^)");
        return Err(PatternError::new(problem, &name[index..], at + before));
    }
    let form = match name {
        "-" => "targets from standard input",
        _ if name.starts_with("@file:") => "targets from a file",
        _ if name.starts_with('@') => "groups and results of earlier runs",
        _ if name.contains('=') => "tags",
        _ if name.contains(['*', '?']) => "globs",
        _ => return Ok(()),
    };
    Err(PatternError::new(Problem::Unsupported(form), name, at))
}

/// Takes a name apart at its brackets, which are known to be paired.
fn parse_name(name: &str, at: usize) -> Result<Vec<Part>, PatternError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut longest = String::new();
    let mut rest = name;
    while let Some((literal, (inside, after))) =
        rest.split_once('[').and_then(|(literal, more)| Some((literal, more.split_once(']')?)))
    {
        let inside_at =
            at + name[..name.len() - rest.len()].chars().count() + literal.chars().count() + 1;
        if !parts.is_empty() && literal.bytes().all(|b| b.is_ascii_digit()) {
            let piece = format!("[{inside}]");
            return Err(PatternError::new(Problem::AdjacentBrackets, &piece, inside_at - 1));
        }
        let after_digit = literal.ends_with(|c: char| c.is_ascii_digit());
        let ranges = Range::parse_list(inside, inside_at, after_digit)?;
        longest.push_str(literal);
        longest.push_str(
            &ranges.iter().map(Range::longest).max_by_key(String::len).unwrap_or_default(),
        );
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        parts.push(Part::Ranges(ranges));
        rest = after;
    }
    longest.push_str(rest);
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    // The names of a term differ in their digits only: if the longest is an id, all are.
    match longest.parse::<VmId>() {
        Ok(_) => Ok(parts),
        Err(_) => Err(PatternError::new(Problem::InvalidId, name, at)),
    }
}
