//! What is wrong with an expression, and where.

use std::fmt;
use std::sync::Arc;

/// Characters shown on either side of a place.
const SHOWN: usize = 50;

/// A piece of an expression that cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {problem}")]
pub struct PatternError {
    /// What is wrong with it.
    pub problem: Problem,
    /// The piece, and where it stands.
    pub place: Box<Place>,
}

/// A piece of an expression, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The piece, as written.
    pub piece: String,
    /// Position of its first character in the expression, counted from 1.
    pub at: usize,
    /// The whole expression.
    pub pattern: Arc<str>,
    /// Where the expression comes from (`@web`, `hosts.txt line 3`); `None` for
    /// the targets themselves.
    pub origin: Option<Arc<str>>,
}

/// What is wrong with a piece of an expression.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// Two brackets with at most digits between them.
    #[error("two brackets need something other than digits between them")]
    AdjacentBrackets,
    /// A digit, then numbers that go on from 9 to 10: people and tools disagree
    /// on what `n1[9-10]` means.
    #[error("after a digit, both ends of a range need the same length")]
    Ambiguous,
    /// `a - b`, which would add the names from stdin.
    #[error("- is a list on standard input; minus is written ! (vm[01-09]!vm02)")]
    BareMinus,
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
    /// `[!1-3]`.
    #[error("[!…] is no glob here: write web*!web[1-3]")]
    NegatedRange,
    /// `@file:` inside a file.
    #[error("a list cannot name another list")]
    NestedList,
    /// `@file:` without a path.
    #[error("a path belongs behind @file:")]
    NoPath,
    /// `@failed:` without a run, `tag=` without a tag, `@` without a name.
    #[error("a name is missing here")]
    NoName,
    /// A number was expected.
    #[error("a range is made of numbers: [1-3], [01-20,33], [0-10/2]")]
    NotANumber,
    /// `env=prod`.
    #[error("the only property that hosts are chosen by is tag=…")]
    NotATag,
    /// A group may not depend on what is typed or read.
    #[error("a group is made of hosts, groups and tags, not of lists or earlier results")]
    NotInAGroup,
    /// More digits than a number may have.
    #[error("the number is too long")]
    NumberTooLong,
    /// `5-1`.
    #[error("the range ends before it begins")]
    Reversed,
    /// A list or an earlier result cannot be had.
    #[error("{0}")]
    Source(String),
    /// `5/2`.
    #[error("a step needs a range: [0-10/2]")]
    StepWithoutRange,
    /// `0-10/0`.
    #[error("a step must be at least 1")]
    StepZero,
    /// The expression stands for too many names.
    #[error("it stands for {count} names, and the limit is {limit}")]
    TooMany {
        /// How many names it stands for up to and including this piece.
        count: u128,
        /// How many are read.
        limit: u64,
    },
    /// `[` without `]`.
    #[error("the bracket is not closed")]
    Unclosed,
    /// `]` without `[`.
    #[error("the bracket was not opened")]
    Unopened,
}

impl Place {
    /// The expression and, in a second line, a caret under the piece. A long
    /// expression is cut around it; a character that is not printable becomes
    /// `?`, so that the caret stands where it should.
    pub fn caret(&self) -> String {
        let at = self.at.saturating_sub(1);
        let start = at.saturating_sub(SHOWN);
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let mut shown: String =
            self.pattern.chars().skip(start).take(2 * SHOWN).map(printable).collect();
        if self.pattern.chars().count() > start + 2 * SHOWN {
            shown.push_str("...");
        }
        let cut = if start > 0 { "..." } else { "" };
        format!("{cut}{shown}\n{:1$}^", "", cut.len() + at - start)
    }
}

/// `"n[1" in the targets, character 6`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.as_deref().unwrap_or("the targets");
        let piece: String = self.piece.chars().take(2 * SHOWN).collect();
        write!(f, "{piece:?} in {origin}, character {}", self.at)
    }
}

/// A problem before it is known which expression the piece belongs to.
#[derive(Debug)]
pub(super) struct Fault {
    problem: Problem,
    piece: String,
    at: usize,
}

impl Fault {
    pub(super) fn new(problem: Problem, piece: &str, at: usize) -> Self {
        Self { problem, piece: piece.to_owned(), at }
    }

    pub(super) fn of(self, pattern: Arc<str>, origin: Option<Arc<str>>) -> PatternError {
        let place = Place { piece: self.piece, at: self.at, pattern, origin };
        PatternError { problem: self.problem, place: Box::new(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caret(pattern: &str, at: usize) -> String {
        let place = Place { piece: String::new(), at, pattern: pattern.into(), origin: None };
        place.caret()
    }

    #[test]
    fn a_caret_stands_under_the_piece() {
        assert_eq!(caret("vm01,n[1", 7), "vm01,n[1\n      ^");
        assert_eq!(caret("", 1), "\n^");
        assert_eq!(caret("é\n,n[", 4), "??,n[\n   ^");
        let shown = caret(&"vm01,".repeat(1000), 2001);
        let (line, mark) = shown.split_once('\n').unwrap();
        assert_eq!((line.len(), mark.len()), (106, 54), "{shown}");
    }
}
