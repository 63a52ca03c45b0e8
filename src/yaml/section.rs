//! Reading a mapping, and noticing what nobody asked for.

use super::diagnostic::Diagnostic;
use super::document::{Document, Entry, Position};
use super::nearest::nearest;
use super::value::Value;

/// A mapping being read. It remembers which keys were asked for, so that the
/// list of valid keys cannot differ from what the code reads.
pub(crate) struct Section<'d> {
    document: &'d Document<'d>,
    name: &'d str,
    entries: &'d [Entry<'d>],
    asked: Vec<&'static str>,
    written: Written,
}

/// The keys that were asked for and found, and where their values stand.
pub(crate) type Written = Vec<(&'static str, Position)>;

impl<'d> Section<'d> {
    pub(super) fn new(document: &'d Document<'d>, name: &'d str, entries: &'d [Entry<'d>]) -> Self {
        Self { document, name, entries, asked: Vec::with_capacity(24), written: Vec::new() }
    }

    /// The value of `key`, if the key is there and has one.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.get_or_null(key).filter(|value| !value.is_null())
    }

    /// The value of `key`, if the key is there, be it with nothing behind it.
    pub(crate) fn get_or_null(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.written.push((key, entry.value.at));
        Some(Value::new(self.document, &entry.key, &entry.value))
    }

    /// Every key with its place and value, for mappings whose keys are free names.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = (Key<'d>, Value<'d>)> + use<'d> {
        let document = self.document;
        self.entries.iter().map(move |entry| {
            let value = Value::new(document, &entry.key, &entry.value);
            (Key { document, text: &entry.key, at: entry.at }, value)
        })
    }

    /// A finding for each key that was not asked for.
    pub(crate) fn unknown(&self) -> Vec<Diagnostic> {
        if self.written.len() == self.entries.len() {
            return Vec::new();
        }
        let asked = |key: &str| self.asked.contains(&key);
        let unknown = self.entries().filter(|(key, _)| !asked(key.text));
        unknown.map(|(key, _)| key.unknown(self.name, &self.asked)).collect()
    }

    /// The first finding of [`unknown`](Self::unknown), as an error.
    pub(crate) fn refuse_unknown(&self) -> Result<(), Diagnostic> {
        self.unknown().into_iter().next().map_or(Ok(()), Err)
    }

    /// What was asked for and found.
    pub(crate) fn into_written(self) -> Written {
        self.written
    }
}

/// A key of a mapping.
pub(crate) struct Key<'d> {
    document: &'d Document<'d>,
    text: &'d str,
    at: Position,
}

impl<'d> Key<'d> {
    pub(crate) fn text(&self) -> &'d str {
        self.text
    }

    /// A finding about the key itself.
    pub(crate) fn diagnostic(&self, message: String) -> Diagnostic {
        self.document.diagnostic(self.at, message)
    }

    fn unknown(&self, section: &str, valid: &[&'static str]) -> Diagnostic {
        let hint = nearest(self.text, valid.iter().copied())
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        // The top of a file has no name.
        let place = if section.is_empty() { String::new() } else { format!(" in `{section}`") };
        self.diagnostic(format!("unknown key `{}`{place}{hint}", self.text))
    }
}
