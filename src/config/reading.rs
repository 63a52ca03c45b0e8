//! What the readers of all sections share: where paths begin, what was found
//! where, and what is worth a warning.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::{duration, size};
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

/// A duration between two bounds, both included.
pub(super) fn read_duration(
    value: Value<'_>,
    min: Duration,
    max: Duration,
) -> Result<Duration, Diagnostic> {
    let read = value.text().ok().and_then(|text| duration::parse(text).ok());
    read.filter(|duration| (min..=max).contains(duration)).ok_or_else(|| {
        let (min, max) = (duration::format(min), duration::format(max));
        value.unexpected(&format!("a duration from {min} to {max} (such as 30, 30s or 1h30m)"))
    })
}

/// A number of bytes between two bounds, both included.
pub(super) fn read_size(value: Value<'_>, min: u64, max: u64) -> Result<u64, Diagnostic> {
    let read = value.text().ok().and_then(|text| size::parse(text).ok());
    read.filter(|size| (min..=max).contains(size)).ok_or_else(|| {
        let (min, max) = (size::format(min), size::format(max));
        value.unexpected(&format!("a number of bytes from {min} to {max} (such as 64Mi)"))
    })
}
