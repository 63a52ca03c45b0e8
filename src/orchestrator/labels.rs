//! What requests put into the records, and why one of it cannot be there.

use std::collections::BTreeMap;

use crate::plan::{InvalidLabel, LABELS_MAX, Label};

/// Labels so far; one that cannot be is told when it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    all: BTreeMap<String, String>,
    wrong: Option<InvalidLabel>,
}

impl Labels {
    /// Takes these as they are.
    pub(super) fn of(all: BTreeMap<String, String>) -> Self {
        Self { all, wrong: None }
    }

    /// The last of one name counts.
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        match Label::new(name, value) {
            Ok(label) => drop(self.all.insert(label.name, label.value)),
            Err(error) => self.wrong = self.wrong.take().or(Some(error)),
        }
        if self.all.len() > LABELS_MAX {
            self.wrong = self.wrong.take().or(Some(InvalidLabel::TooMany));
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// One of them cannot be there.
    pub(super) fn check(&self) -> Result<&BTreeMap<String, String>, InvalidLabel> {
        self.wrong.clone().map_or(Ok(&self.all), Err)
    }
}
