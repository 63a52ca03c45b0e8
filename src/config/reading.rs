//! What the readers of all sections share: where paths begin, what was found
//! where, and what is worth a warning.

use std::collections::HashMap;
use std::path::PathBuf;

use super::environment::Environment;
use crate::yaml::{Diagnostic, Document, Location, Section, Value, Warnings};

pub(super) struct Reading<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) environment: &'d Environment,
    pub(super) warnings: Warnings,
    pub(super) origins: Origins,
}

/// Where the settings that the file gives stand, by dotted key.
pub(super) type Origins = HashMap<String, Location>;

impl Reading<'_> {
    /// Remembers where the settings of a section stand.
    pub(super) fn record(&mut self, name: &str, section: Section<'_>) {
        for (key, at) in section.into_written() {
            self.origins.insert(format!("{name}.{key}"), self.document.location(at));
        }
    }

    /// A path, `~` expanded.
    pub(super) fn path(&self, value: Value<'_>) -> Result<PathBuf, Diagnostic> {
        let text = value.word()?;
        self.environment.path(text).map_err(|error| value.diagnostic(&error.to_string()))
    }

    /// One path or several.
    pub(super) fn paths(&self, value: Value<'_>) -> Result<Vec<PathBuf>, Diagnostic> {
        value.one_or_many()?.into_iter().map(|value| self.path(value)).collect()
    }
}
