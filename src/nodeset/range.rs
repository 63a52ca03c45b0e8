//! What stands between brackets: `01-20,33,0-10/2`.

use super::fold::DIGITS_MAX;
use super::pattern::{PatternError, Problem};

/// One range: `first`, `first + step`, … up to `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: u64,
    last: u64,
    step: u64,
    /// Zero-padded to this many digits; 0 means as many as the number has.
    width: usize,
}

impl Range {
    /// Reads the inside of one pair of brackets, of which `at` is the first
    /// character's position. `after_digit` says that a digit stands before them.
    pub(super) fn parse_list(
        text: &str,
        at: usize,
        after_digit: bool,
    ) -> Result<Vec<Self>, PatternError> {
        let mut ranges = Vec::new();
        let mut start = at;
        for piece in text.split(',') {
            let range = Self::parse(piece, after_digit);
            ranges.push(range.map_err(|problem| PatternError::new(problem, piece, start))?);
            start += piece.chars().count() + 1;
        }
        Ok(ranges)
    }

    fn parse(piece: &str, after_digit: bool) -> Result<Self, Problem> {
        if piece.trim().is_empty() {
            return Err(Problem::EmptyRange);
        }
        let (ends, step) = match piece.split_once('/') {
            Some((ends, step)) => (ends, Some(step)),
            None => (piece, None),
        };
        let Some((first, last)) = ends.split_once('-') else {
            if step.is_some() {
                return Err(Problem::StepWithoutRange);
            }
            let (value, length) = number(ends)?;
            return Ok(Self { first: value, last: value, step: 1, width: length });
        };
        let step = step.map_or(Ok(1), |step| number(step).map(|(value, _)| value))?;
        let ((first, first_length), (last, last_length)) = (number(first)?, number(last)?);
        let same_length = first_length == last_length;
        let padded = is_padded(first, first_length) || is_padded(last, last_length);
        if step == 0 {
            Err(Problem::StepZero)
        } else if padded && !same_length {
            Err(Problem::MixedPadding)
        } else if first > last {
            Err(Problem::Reversed)
        } else if after_digit && !same_length {
            Err(Problem::Ambiguous)
        } else {
            Ok(Self { first, last, step, width: if same_length { first_length } else { 0 } })
        }
    }

    /// How many numbers it stands for.
    pub(super) fn count(&self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    /// The numbers as text, with their padding.
    pub(super) fn expand(&self) -> impl Iterator<Item = String> {
        let (first, step, width) = (self.first, self.step, self.width);
        (0..self.count()).map(move |n| format!("{:0width$}", first + n * step))
    }

    /// The longest of the numbers as text.
    pub(super) fn longest(&self) -> String {
        format!("{:0width$}", self.last, width = self.width)
    }
}

/// The value of a number and how many digits it is written with.
fn number(text: &str) -> Result<(u64, usize), Problem> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Problem::NotANumber);
    }
    if digits.len() > DIGITS_MAX {
        return Err(Problem::NumberTooLong);
    }
    let value = digits.parse().map_err(|_| Problem::NotANumber)?;
    Ok((value, digits.len()))
}

/// Whether `value` needs fewer than the `length` digits it was written with.
fn is_padded(value: u64, length: usize) -> bool {
    length > value.checked_ilog10().unwrap_or(0) as usize + 1
}
