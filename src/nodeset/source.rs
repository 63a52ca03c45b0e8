//! Terms whose hosts stand elsewhere: in a file, on stdin, in an earlier run.

use super::pattern::{EXPANSION_MAX, HostPattern, Term, TermKind};
use super::problem::{PatternError, Problem};
use crate::ids::VmId;

/// Bytes of a list at most.
pub const LIST_MAX: u64 = 16 << 20;

/// Where hosts are named that the expression itself does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `@file:PATH`.
    File(String),
    /// `@failed`, `@unreachable:RUN`: hosts by their result in a run, the last
    /// one if none is named.
    Result(PastResult, Option<String>),
    /// `-`.
    Stdin,
}

/// Which hosts of an earlier run are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastResult {
    /// Any status but success.
    Failed,
    /// The status `unreachable`.
    Unreachable,
}

/// What a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A list: one expression a line, `#` begins a comment.
    Lines(String),
    /// The hosts of an earlier run.
    Hosts(Vec<VmId>),
}

impl HostPattern {
    /// Whether it names hosts that stand elsewhere and were not read yet.
    pub fn is_settled(&self) -> bool {
        !self.terms.iter().any(|term| matches!(term.kind, TermKind::Unread(_)))
    }

    /// Whether it has a list on stdin that was not read yet.
    pub fn reads_stdin(&self) -> bool {
        self.terms.iter().any(|term| term.kind == TermKind::Unread(Source::Stdin))
    }

    /// Reads lists and earlier results, each once, by `read`, which may say why
    /// it cannot. This crate reads no file for the sake of an expression.
    ///
    /// # Errors
    /// `read` failed, a line is wrong, or there are too many names.
    pub fn settle(
        mut self,
        mut read: impl FnMut(&Source) -> Result<Content, String>,
    ) -> Result<Self, PatternError> {
        let mut terms = std::mem::take(&mut self.terms);
        let mut count = 0;
        for term in &mut terms {
            if let TermKind::Unread(source) = &term.kind {
                let content =
                    read(source).map_err(|cause| self.error(Problem::Source(cause), term))?;
                term.kind = self.content(term, source, content, &mut read)?;
            }
            count += term.count();
            if count > u128::from(EXPANSION_MAX) {
                let problem = Problem::TooMany { count, limit: EXPANSION_MAX };
                return Err(self.error(problem, term));
            }
        }
        self.terms = terms;
        Ok(self)
    }

    fn content(
        &self,
        term: &Term,
        source: &Source,
        content: Content,
        read: &mut dyn FnMut(&Source) -> Result<Content, String>,
    ) -> Result<TermKind, PatternError> {
        let text = match content {
            Content::Hosts(hosts) => return Ok(TermKind::Past(hosts)),
            Content::Lines(text) => text,
        };
        if text.len() as u64 > LIST_MAX {
            let cause = format!("it is larger than {LIST_MAX} bytes");
            return Err(self.error(Problem::Source(cause), term));
        }
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let pattern = HostPattern::from_origin(line, source.line(number))?;
                lines.push(pattern.settle_line(read)?);
            }
        }
        Ok(TermKind::List(lines))
    }

    fn settle_line(
        self,
        read: &mut dyn FnMut(&Source) -> Result<Content, String>,
    ) -> Result<Self, PatternError> {
        let list =
            |term: &&Term| matches!(term.kind, TermKind::Unread(Source::File(_) | Source::Stdin));
        match self.terms.iter().find(list) {
            Some(term) => Err(self.error(Problem::NestedList, term)),
            None => self.settle(read),
        }
    }
}

impl Source {
    fn line(&self, number: usize) -> String {
        match self {
            Self::File(path) => format!("{path} line {number}"),
            _ => format!("stdin line {number}"),
        }
    }
}

impl PastResult {
    /// `failed`, `unreachable`, and the run behind a colon.
    pub(super) fn read(name: &str) -> Option<(Self, Option<&str>)> {
        let (word, run) = match name.split_once(':') {
            Some((word, run)) => (word, Some(run)),
            None => (name, None),
        };
        match word {
            "failed" => Some((Self::Failed, run)),
            "unreachable" => Some((Self::Unreachable, run)),
            _ => None,
        }
    }

    /// Whether a group of this name could not be named.
    pub(crate) fn reserves(name: &str) -> bool {
        Self::read(name).is_some()
    }
}
