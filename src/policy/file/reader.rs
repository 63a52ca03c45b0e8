//! Reading values and going on after a mistake, so that all of them are told.

use super::super::decision::RuleId;
use super::super::rules::{HostSelector, Hosts};
use crate::nodeset::HostPattern;
use crate::yaml::{Diagnostic, Document, Location, Section, Value};

/// A policy being read.
pub(super) struct Reader<'d> {
    pub(super) document: &'d Document<'d>,
    problems: Vec<Diagnostic>,
    /// The first rule that needs an approval.
    pub(super) approval_required: Option<Value<'d>>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        Self { document, problems: Vec::new(), approval_required: None }
    }

    /// What was wrong, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Diagnostic> {
        self.problems
            .sort_by_key(|problem| (problem.location().line(), problem.location().column()));
        self.problems
    }

    /// Remembers what is wrong with a value.
    pub(super) fn problem(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// A value that could be read; otherwise what is wrong is remembered.
    pub(super) fn keep<T>(&mut self, read: Result<T, Diagnostic>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Ends a mapping: nothing in it may be left over.
    pub(super) fn end(&mut self, section: &Section<'d>) {
        self.problems.extend(section.unknown());
    }

    /// A mapping.
    pub(super) fn section(&mut self, value: Value<'d>) -> Option<Section<'d>> {
        self.keep(value.section())
    }

    /// The items of a list.
    pub(super) fn list(&mut self, value: Value<'d>) -> Vec<Value<'d>> {
        let items = value.list().map(Iterator::collect);
        self.keep(items).unwrap_or_default()
    }

    /// Texts, one or several, each turned into something.
    pub(super) fn texts<T, E: ToString>(
        &mut self,
        value: Option<Value<'d>>,
        make: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Some(value) = value else { return Vec::new() };
        let values = self.keep(value.one_or_many()).unwrap_or_default();
        let made = values
            .into_iter()
            .map(|value| make(value.word()?).map_err(|error| value.diagnostic(&error.to_string())));
        made.collect::<Vec<_>>().into_iter().filter_map(|made| self.keep(made)).collect()
    }

    /// A switch; absent is `default`.
    pub(super) fn switch(&mut self, value: Option<Value<'d>>, default: bool) -> bool {
        let read = value.map(|value| value.boolean());
        read.and_then(|read| self.keep(read)).unwrap_or(default)
    }

    /// A text for people.
    pub(super) fn note(&mut self, value: Option<Value<'d>>) -> Option<String> {
        self.keep(value?.text()).map(str::to_owned)
    }

    /// Where a value stands, to be kept when the document is gone.
    pub(super) fn place(&self, value: Value<'d>) -> Location {
        value.location()
    }

    pub(super) fn id(&self, name: String, value: Value<'d>) -> RuleId {
        RuleId { name: name.into(), place: self.place(value) }
    }

    /// `hosts`: an expression, a list of them, or `{ids, groups, tags}`.
    pub(super) fn hosts(&mut self, value: Option<Value<'d>>) -> Hosts {
        let Some(value) = value else { return Hosts(None) };
        let expression = match value.one_or_many() {
            Ok(values) => self.expression(values, ""),
            Err(_) => {
                let Some(mut section) = self.section(value) else { return Hosts(None) };
                let mut all = Vec::new();
                for (key, prefix) in [("ids", ""), ("groups", "@"), ("tags", "tag=")] {
                    let Some(value) = section.get(key) else { continue };
                    let Some(values) = self.keep(value.one_or_many()) else { continue };
                    all.extend(self.expression(values, prefix));
                }
                self.end(&section);
                Some(all.join(",")).filter(|all| !all.is_empty())
            }
        };
        let pattern =
            expression.ok_or_else(|| value.diagnostic("names no host")).and_then(|expression| {
                let wrong =
                    |error: crate::nodeset::PatternError| value.diagnostic(&error.to_string());
                let pattern: HostPattern = expression.parse().map_err(wrong)?;
                let lists = "a policy names hosts by id, group, tag and glob, not by lists or \
                             earlier results";
                pattern.refuse_outside().map_err(|_| value.diagnostic(lists))?;
                Ok(pattern)
            });
        match self.keep(pattern) {
            Some(pattern) => Hosts(Some(HostSelector { pattern, at: value.diagnostic("") })),
            // The file is refused in the end, so nobody asks.
            None => Hosts(None),
        }
    }

    fn expression(&mut self, values: Vec<Value<'d>>, prefix: &str) -> Option<String> {
        let words: Vec<_> = values.into_iter().map(|value| value.word()).collect();
        let words: Vec<_> = words.into_iter().filter_map(|word| self.keep(word)).collect();
        let words: Vec<_> = words.into_iter().map(|word| format!("{prefix}{word}")).collect();
        (!words.is_empty()).then(|| words.join(","))
    }
}
