//! Writing names back as ranges.

use std::collections::{BTreeMap, BTreeSet};

/// The longest number that is folded; longer ones stay part of the name.
pub(super) const DIGITS_MAX: usize = 18;

/// Folds `names` into one expression, sorted by name and then by number.
pub(super) fn fold<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut families: BTreeMap<(&str, &str), Vec<Number<'_>>> = BTreeMap::new();
    let mut plain = BTreeSet::new();
    for name in names {
        match split(name) {
            Some((prefix, number, suffix)) => {
                families.entry((prefix, suffix)).or_default().push(number);
            }
            None => _ = plain.insert(name),
        }
    }
    let ranges = families.into_iter().map(|((prefix, suffix), mut numbers)| {
        numbers.sort_unstable();
        numbers.dedup();
        match numbers.as_slice() {
            [only] => format!("{prefix}{}{suffix}", only.digits),
            _ => format!("{prefix}[{}]{suffix}", runs(&numbers)),
        }
    });
    let mut terms: Vec<String> = plain.into_iter().map(str::to_owned).chain(ranges).collect();
    terms.sort_unstable();
    terms.join(",")
}

/// The last number of a name, by which it is folded.
///
/// Sorted by length first: `9` comes before `08`, so that numbers that belong
/// into one range (`08-10`, or `9-10`) stand beside each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number<'a> {
    length: usize,
    value: u64,
    digits: &'a str,
}

impl<'a> Number<'a> {
    fn new(digits: &'a str) -> Option<Self> {
        let foldable = digits.len() <= DIGITS_MAX;
        foldable.then(|| digits.parse().ok()).flatten().map(|value| Self {
            length: digits.len(),
            value,
            digits,
        })
    }

    /// Whether one range can begin with `first`, end with `self` and go on with `next`.
    fn goes_on(self, first: Self, next: Self) -> bool {
        let same_padding = next.length == first.length || !(first.is_padded() || next.is_padded());
        next.value == self.value + 1 && same_padding
    }

    fn is_padded(self) -> bool {
        self.length > 1 && self.digits.starts_with('0')
    }
}

/// Splits a name around its last number, if it has one that can be folded.
fn split(name: &str) -> Option<(&str, Number<'_>, &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number = Number::new(&name[start..end])?;
    Some((&name[..start], number, &name[end..]))
}

/// `01-03,07` for sorted numbers.
fn runs(numbers: &[Number<'_>]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &str, folded: &str) {
        assert_eq!(fold(names.split_whitespace()), folded);
    }

    #[test]
    fn runs_become_ranges() {
        check("vm01", "vm01");
        check("vm01 vm02 vm03 vm07 web01", "vm[01-03,07],web01");
        check("vm03 vm01 vm02", "vm[01-03]");
        check("n9 n10 n11", "n[9-11]");
        check("n98 n99 n100", "n[98-100]");
        check("n1 n3", "n[1,3]");
        check("n0 n1", "n[0-1]");
    }

    // What ClusterShell 1.10 answers to the same names.
    #[test]
    fn padding_is_kept_apart() {
        check("n1 n01 n001", "n[1,01,001]");
        check("n1 n01 n02 n3", "n[1,3,01-02]");
        check("n08 n09 n10", "n[08-10]");
        check("n9 n09 n10", "n[9,09-10]");
        check("n98 n99 n100 n098", "n[98-99,098,100]");
        check("n8 n9 n10 n09", "n[8-9,09-10]");
        check("n08 n09 n10 n99 n100", "n[08-10,99-100]");
    }

    #[test]
    fn the_last_number_folds() {
        check("rack1-n1 rack1-n2 rack2-n1", "rack1-n[1-2],rack2-n1");
        check("n1-ib n2-ib", "n[1-2]-ib");
        check("1 2 3", "[1-3]");
    }

    #[test]
    fn names_without_a_number_stay() {
        check("web db", "db,web");
        check("n n1 n2", "n,n[1-2]");
        check("", "");
        check(
            "n9999999999999999999 n9999999999999999998",
            "n9999999999999999998,n9999999999999999999",
        );
    }
}
