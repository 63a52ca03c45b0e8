//! A name with ranges in it: `rack[1-2]-n[01-10]`.

use super::problem::{Fault, Problem};
use super::range::Range;
use crate::ids::VmId;

/// One or many names, written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<Part>);

/// A stretch of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Ranges(Ranges),
}

/// What stands between two brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges {
    ranges: Vec<Range>,
    /// How many numbers each range and those before it stand for.
    ends: Vec<u128>,
}

impl Name {
    /// Takes a name apart at its brackets, which are known to be paired. `at` is
    /// the position of its first character.
    pub(super) fn parse(text: &str, at: usize) -> Result<Self, Fault> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, (inside, after))) =
            rest.split_once('[').and_then(|(literal, more)| Some((literal, more.split_once(']')?)))
        {
            let before = text.len() - rest.len() + literal.len();
            let bracket_at = at + text[..before].chars().count();
            if !parts.is_empty() && literal.bytes().all(|b| b.is_ascii_digit()) {
                let piece = format!("[{inside}]");
                return Err(Fault::new(Problem::AdjacentBrackets, &piece, bracket_at));
            }
            let ranges = Ranges::parse(inside, bracket_at + 1)?;
            let digit_before = literal.ends_with(|c: char| c.is_ascii_digit());
            let digit_behind = after.starts_with(|c: char| c.is_ascii_digit());
            if digit_before && !digit_behind && Range::grow(&ranges.ranges) {
                return Err(Fault::new(Problem::Ambiguous, inside, bracket_at + 1));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Ranges(ranges));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether it has no range.
    pub(super) fn is_literal(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Literal(_)])
    }

    /// Whether every name it stands for can be an id. They differ in their
    /// digits only: if the longest is an id, all are.
    pub(super) fn is_id(&self) -> bool {
        self.longest().parse::<VmId>().is_ok()
    }

    /// Whether every name it stands for can be an id once its `*` and `?` stand
    /// for something.
    pub(super) fn is_glob(&self) -> bool {
        self.longest().replace(['*', '?'], "x").parse::<VmId>().is_ok()
    }

    /// How many names it stands for: at most this many, as some may be equal.
    pub(super) fn count(&self) -> u128 {
        self.0.iter().fold(1, |product: u128, part| product.saturating_mul(part.count()))
    }

    /// The names, one after the other; the last range runs fastest.
    pub(super) fn expand(&self) -> impl Iterator<Item = String> {
        (0..self.count()).map(|number| self.nth(number))
    }

    fn nth(&self, mut number: u128) -> String {
        let mut texts = Vec::with_capacity(self.0.len());
        for part in self.0.iter().rev() {
            match part {
                Part::Literal(text) => texts.push(text.clone()),
                Part::Ranges(ranges) => {
                    texts.push(ranges.nth(number % part.count()));
                    number /= part.count();
                }
            }
        }
        texts.iter().rev().map(String::as_str).collect()
    }

    fn longest(&self) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Ranges(Ranges { ranges, .. }) => {
                ranges.iter().map(Range::longest).max_by_key(String::len).unwrap_or_default()
            }
        });
        texts.collect()
    }
}

impl Part {
    fn count(&self) -> u128 {
        match self {
            Self::Literal(_) => 1,
            Self::Ranges(ranges) => ranges.ends.last().copied().unwrap_or(0),
        }
    }
}

impl Ranges {
    fn parse(text: &str, at: usize) -> Result<Self, Fault> {
        let mut ranges = Vec::new();
        let mut start = at;
        for piece in text.split(',') {
            let range = Range::parse(piece);
            ranges.push(range.map_err(|problem| Fault::new(problem, piece, start))?);
            start += piece.chars().count() + 1;
        }
        let mut end: u128 = 0;
        let ends = ranges.iter().map(|range| {
            end = end.saturating_add(range.count());
            end
        });
        Ok(Self { ends: ends.collect(), ranges })
    }

    fn nth(&self, number: u128) -> String {
        let position = self.ends.partition_point(|end| *end <= number);
        let before = position.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.ranges.get(position).map(|range| range.nth(number - before)).unwrap_or_default()
    }
}
