//! Taking an expression apart at its operators.

use super::problem::{Fault, Problem};

/// What a term does to the set on its left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Union,
    Minus,
    And,
    Xor,
}

/// What stands between two operators.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) operator: Operator,
    pub(super) text: &'a str,
    /// Position of its first character, from 1.
    pub(super) at: usize,
    /// Only blanks stand before it.
    after_blank: bool,
}

/// The pieces in their order; none is empty.
pub(super) fn scan(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut owed = Some(Operator::Union);
    let (mut rest, mut at) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match (operator(first), owed) {
            _ if first.is_whitespace() => first.len_utf8(),
            // `vm[01-03],!vm02` is how people write lists with exceptions.
            (Some(exception), Some(Operator::Union))
                if !pieces.is_empty() && exception != Operator::Union =>
            {
                owed = Some(exception);
                first.len_utf8()
            }
            (Some(_), Some(_)) => return Err(Fault::new(Problem::Empty, "", at)),
            (Some(operator), None) => {
                owed = Some(operator);
                first.len_utf8()
            }
            (None, _) => {
                let piece = &rest[..piece_length(rest, at)?];
                let after_blank = owed.is_none();
                let operator = owed.take().unwrap_or(Operator::Union);
                pieces.push(Piece { operator, text: piece, at, after_blank });
                piece.len()
            }
        };
        at += rest[..length].chars().count();
        rest = &rest[length..];
    }
    if owed.is_some() {
        return Err(Fault::new(Problem::Empty, "", at));
    }
    refuse_bare_minus(&pieces)?;
    Ok(pieces)
}

fn operator(c: char) -> Option<Operator> {
    match c {
        ',' => Some(Operator::Union),
        '!' => Some(Operator::Minus),
        '&' => Some(Operator::And),
        '^' => Some(Operator::Xor),
        _ => None,
    }
}

/// How many bytes belong to the piece at the beginning of `rest`. Operators and
/// blanks inside brackets are its own; a path has no brackets.
fn piece_length(rest: &str, at: usize) -> Result<usize, Fault> {
    let brackets = !rest.starts_with("@file:");
    let mut open = None;
    for (position, (index, c)) in (at..).zip(rest.char_indices()) {
        match c {
            '[' if brackets && open.is_none() => open = Some((index, position)),
            ']' if brackets && open.is_none() => {
                return Err(Fault::new(Problem::Unopened, &rest[..=index], at));
            }
            ']' => open = None,
            c if open.is_none() && (c.is_whitespace() || operator(c).is_some()) => {
                return Ok(index);
            }
            _ => {}
        }
    }
    match open {
        Some((index, position)) => Err(Fault::new(Problem::Unclosed, &rest[index..], position)),
        None => Ok(rest.len()),
    }
}

/// Whoever writes `vm[01-09] - vm02` must not get vm02, and stdin besides.
fn refuse_bare_minus(pieces: &[Piece<'_>]) -> Result<(), Fault> {
    let spaced =
        |pair: &&[Piece<'_>]| pair[1].after_blank && (pair[0].text == "-" || pair[1].text == "-");
    match pieces.windows(2).find(spaced) {
        Some(pair) => {
            let minus = if pair[0].text == "-" { &pair[0] } else { &pair[1] };
            Err(Fault::new(Problem::BareMinus, minus.text, minus.at))
        }
        None => Ok(()),
    }
}
