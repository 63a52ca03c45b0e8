//! One piece of what stands between brackets: `01-20`, `33`, `0-10/2`.

use super::problem::Problem;

/// The longest number that is read and folded; longer ones stay part of the name.
pub(super) const DIGITS_MAX: usize = 38;

/// `first`, `first + step`, … up to `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: u128,
    last: u128,
    step: u128,
    /// Zero-padded to this many digits; 0 means as many as the number has.
    width: usize,
}

impl Range {
    pub(super) fn parse(piece: &str) -> Result<Self, Problem> {
        if piece.trim().is_empty() {
            return Err(Problem::EmptyRange);
        }
        if piece.trim().starts_with('!') {
            return Err(Problem::NegatedRange);
        }
        let (ends, step) = match piece.split_once('/') {
            Some((ends, step)) => (ends, number(step)?.0),
            None => (piece, 1),
        };
        let Some((first, last)) = ends.split_once('-') else {
            let (value, length) = number(ends)?;
            return match step {
                0 => Err(Problem::StepZero),
                1 => Ok(Self { first: value, last: value, step: 1, width: length }),
                _ => Err(Problem::StepWithoutRange),
            };
        };
        let ((first, first_length), (last, last_length)) = (number(first)?, number(last)?);
        let same_length = first_length == last_length;
        let padded = is_padded(first, first_length) || is_padded(last, last_length);
        if step == 0 {
            Err(Problem::StepZero)
        } else if padded && !same_length {
            Err(Problem::MixedPadding)
        } else if first > last {
            Err(Problem::Reversed)
        } else {
            Ok(Self { first, last, step, width: if same_length { first_length } else { 0 } })
        }
    }

    /// How many numbers it stands for.
    pub(super) fn count(&self) -> u128 {
        ((self.last - self.first) / self.step).saturating_add(1)
    }

    /// One of the numbers as text, with its padding; `number` is below the count.
    pub(super) fn nth(&self, number: u128) -> String {
        format!("{:0width$}", self.first + number * self.step, width = self.width)
    }

    /// The longest of the numbers as text.
    pub(super) fn longest(&self) -> String {
        format!("{:0width$}", self.last, width = self.width)
    }

    /// Whether the numbers of these ranges go on where they get a digit longer:
    /// from 9 to 10, from 99 to 100.
    pub(super) fn grow(ranges: &[Self]) -> bool {
        let powers = (1..DIGITS_MAX).map(|digits| (digits, 10u128.pow(digits as u32)));
        powers.into_iter().any(|(digits, power)| {
            ranges.iter().any(|range| range.has(power - 1, digits))
                && ranges.iter().any(|range| range.has(power, digits + 1))
        })
    }

    /// Whether `value` is one of the numbers, written without padding.
    fn has(&self, value: u128, digits: usize) -> bool {
        (self.first..=self.last).contains(&value)
            && (value - self.first).is_multiple_of(self.step)
            && self.width <= digits
    }
}

/// The value of a number and how many digits it is written with.
fn number(text: &str) -> Result<(u128, usize), Problem> {
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
fn is_padded(value: u128, length: usize) -> bool {
    length > value.checked_ilog10().unwrap_or(0) as usize + 1
}
