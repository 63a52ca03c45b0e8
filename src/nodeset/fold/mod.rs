//! Writing names back as ranges, as ClusterShell folds them.

use std::collections::BTreeMap;

use super::range::DIGITS_MAX;

mod axes;
mod number;
#[cfg(test)]
mod tests;

use number::{Number, runs};

/// Folds `names` into one expression. Names of the same shape, which differ in
/// their numbers only, become one term or, where several numbers of a name
/// vary, as few as are easily found.
pub(super) fn fold<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut families: BTreeMap<String, Vec<Vec<Number<'a>>>> = BTreeMap::new();
    for name in names {
        let (shape, numbers) = split(name);
        families.entry(shape).or_default().push(numbers);
    }
    let mut terms = Vec::new();
    for (shape, mut members) in families {
        members.sort_unstable();
        members.dedup();
        for term in axes::merge(members) {
            terms.push(written(&shape, &term));
        }
    }
    terms.join(",")
}

/// Stands for a number in a shape; ClusterShell's choice decides the order of
/// terms.
const HOLE: &str = "%s";

/// The name with a hole in place of each number, and the numbers.
fn split(name: &str) -> (String, Vec<Number<'_>>) {
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let length = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (digits, after) = from.split_at(length);
        shape.push_str(before);
        match Number::new(digits) {
            Some(number) if length <= DIGITS_MAX => {
                shape.push_str(HOLE);
                numbers.push(number);
            }
            _ => shape.push_str(digits),
        }
        rest = after;
    }
    shape.push_str(rest);
    (shape, numbers)
}

/// The shape with its holes filled.
fn written(shape: &str, numbers: &[Vec<Number<'_>>]) -> String {
    let mut pieces = shape.split(HOLE);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, numbers) in pieces.zip(numbers) {
        match numbers.as_slice() {
            [only] => text.push_str(only.digits),
            _ => text.push_str(&format!("[{}]", runs(numbers))),
        }
        text.push_str(piece);
    }
    text
}
