//! Reading a value as what a setting needs.
//!
//! Booleans and numbers are read as YAML 1.1 has them where the source system's
//! files use that: `yes`, `Off`, `"22"`. Quotes make no difference.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Diagnostic, Location};
use super::document::{Data, Document, Node, Position};
use super::nearest::nearest;
use super::secret::is_secret_name;
use super::section::Section;
use crate::units::{duration, size};

/// Characters of a wrong value that an error repeats at most.
const QUOTE_MAX: usize = 60;

/// A value under a key, ready to be read or complained about.
#[derive(Clone, Copy)]
pub(crate) struct Value<'d> {
    document: &'d Document<'d>,
    key: &'d str,
    node: &'d Node<'d>,
}

impl<'d> Value<'d> {
    pub(super) fn new(document: &'d Document<'d>, key: &'d str, node: &'d Node<'d>) -> Self {
        Self { document, key, node }
    }

    pub(crate) fn position(&self) -> Position {
        self.node.at
    }

    pub(crate) fn location(&self) -> Location {
        self.document.location(self.node.at)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.data, Data::Null)
    }

    /// A finding about this value; the key's name is put before it.
    pub(crate) fn diagnostic(&self, message: &str) -> Diagnostic {
        let prefix = if self.key.is_empty() { "" } else { ": " };
        self.document.diagnostic(self.node.at, format!("{}{prefix}{message}", self.key))
    }

    /// A finding that the value is not what is expected; repeats what it is,
    /// unless it may be a secret.
    pub(crate) fn unexpected(&self, expected: &str) -> Diagnostic {
        self.diagnostic(&format!("expected {expected}, found {}", self.described()))
    }

    /// Any scalar, as it was written.
    pub(crate) fn text(&self) -> Result<&'d str, Diagnostic> {
        match &self.node.data {
            Data::Scalar(text) => Ok(text),
            _ => Err(self.unexpected("text")),
        }
    }

    /// Text that is not empty and holds no control character.
    pub(crate) fn word(&self) -> Result<&'d str, Diagnostic> {
        let text = self.text()?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(self.unexpected("text on one line"));
        }
        Ok(text)
    }

    /// `true yes on` or `false no off`, in any case.
    pub(crate) fn boolean(&self) -> Result<bool, Diagnostic> {
        let truth = match &self.node.data {
            Data::Scalar(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        truth.ok_or_else(|| self.unexpected("true or false (yes, no, on and off are fine, too)"))
    }

    /// A decimal number in `range`.
    pub(crate) fn integer(&self, range: RangeInclusive<u32>) -> Result<u32, Diagnostic> {
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        let text = self.text().map_err(|_| self.unexpected(&expected()))?.trim();
        if text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) {
            // YAML 1.1 reads 022 as 18, YAML 1.2 as 22: no guess is right.
            return Err(self.unexpected(&format!("{} without leading zeros", expected())));
        }
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        number.ok_or_else(|| self.unexpected(&expected()))
    }

    /// A duration between two bounds, both included.
    pub(crate) fn duration(&self, min: Duration, max: Duration) -> Result<Duration, Diagnostic> {
        let read = self.text().ok().and_then(|text| duration::parse(text).ok());
        read.filter(|duration| (min..=max).contains(duration)).ok_or_else(|| {
            let (min, max) = (duration::format(min), duration::format(max));
            self.unexpected(&format!("a duration from {min} to {max} (such as 30, 30s or 1h30m)"))
        })
    }

    /// A number of bytes between two bounds, both included.
    pub(crate) fn size(&self, min: u64, max: u64) -> Result<u64, Diagnostic> {
        let read = self.text().ok().and_then(|text| size::parse(text).ok());
        read.filter(|size| (min..=max).contains(size)).ok_or_else(|| {
            let (min, max) = (size::format(min), size::format(max));
            self.unexpected(&format!("a number of bytes from {min} to {max} (such as 64Mi)"))
        })
    }

    /// One of the named choices, in any case.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Diagnostic> {
        let names = || choices.iter().map(|(name, _)| *name);
        let text = self.text()?;
        let chosen = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let expected = names().collect::<Vec<_>>().join(", ");
            let hint = match nearest(text, names()) {
                Some(name) => format!("one of {expected} (did you mean `{name}`?)"),
                None if choices.len() == 1 => format!("`{expected}`"),
                None => format!("one of {expected}"),
            };
            self.unexpected(&hint)
        })
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Result<impl Iterator<Item = Self> + use<'d>, Diagnostic> {
        let Self { document, key, node } = *self;
        match &node.data {
            Data::List(items) => Ok(items.iter().map(move |node| Self { document, key, node })),
            _ => Err(self.unexpected("a list")),
        }
    }

    /// The items of a list, or the value itself where one is enough.
    pub(crate) fn one_or_many(&self) -> Result<Vec<Self>, Diagnostic> {
        match self.node.data {
            Data::Scalar(_) => Ok(vec![*self]),
            Data::List(_) => Ok(self.list()?.collect()),
            _ => Err(self.unexpected("text or a list")),
        }
    }

    /// A mapping; null is an empty one.
    pub(crate) fn section(&self) -> Result<Section<'d>, Diagnostic> {
        match &self.node.data {
            Data::Map(entries) => Ok(Section::new(self.document, self.key, entries)),
            Data::Null => Ok(Section::new(self.document, self.key, &[])),
            _ => Err(self.unexpected("settings (`name: value`)")),
        }
    }

    fn described(&self) -> String {
        match &self.node.data {
            Data::List(_) => "a list".into(),
            Data::Map(_) => "a mapping".into(),
            Data::Null => "nothing".into(),
            Data::Scalar(_) if is_secret_name(self.key) => "a value that is not shown".into(),
            Data::Scalar(text) if text.chars().count() > QUOTE_MAX => {
                format!("`{}…`", text.chars().take(QUOTE_MAX).collect::<String>())
            }
            Data::Scalar(text) => format!("`{text}`"),
        }
    }
}
