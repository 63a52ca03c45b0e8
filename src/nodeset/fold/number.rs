//! The numbers of names, with their zeros.

/// A number of a name.
///
/// Sorted by length first: `9` comes before `08`, so that numbers that belong
/// into one range (`08-10`, or `9-10`) stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number<'a> {
    length: usize,
    value: u128,
    pub(super) digits: &'a str,
}

impl<'a> Number<'a> {
    /// `None` if it is too long to be counted with.
    pub(super) fn new(digits: &'a str) -> Option<Self> {
        let value = digits.parse().ok()?;
        Some(Self { length: digits.len(), value, digits })
    }

    /// Whether one range can begin with `first`, end with `self` and go on with `next`.
    fn goes_on(self, first: Self, next: Self) -> bool {
        let same_padding = next.length == first.length || !(first.is_padded() || next.is_padded());
        next.value.checked_sub(self.value) == Some(1) && same_padding
    }

    fn is_padded(self) -> bool {
        self.length > 1 && self.digits.starts_with('0')
    }
}

/// `01-03,07` for sorted numbers.
pub(super) fn runs(numbers: &[Number<'_>]) -> String {
    let mut runs: Vec<(Number<'_>, Number<'_>)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((first, last)) if last.goes_on(*first, number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let written: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.digits.to_owned(),
            false => format!("{}-{}", first.digits, last.digits),
        })
        .collect();
    written.join(",")
}
