//! Findings that do not stop the reader.

use super::diagnostic::Diagnostic;

/// Warnings kept at most: the same mistake in 100,000 hosts is one mistake.
const WARNINGS_MAX: usize = 100;

/// Warnings in the order of the file; the last one kept says how many follow.
#[derive(Default)]
pub(crate) struct Warnings {
    kept: Vec<Diagnostic>,
    dropped: usize,
}

impl Warnings {
    pub(crate) fn push(&mut self, warning: Diagnostic) {
        if self.kept.len() < WARNINGS_MAX {
            self.kept.push(warning);
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn extend(&mut self, warnings: impl IntoIterator<Item = Diagnostic>) {
        warnings.into_iter().for_each(|warning| self.push(warning));
    }

    pub(crate) fn into_vec(mut self) -> Vec<Diagnostic> {
        if let Some(last) = self.kept.last_mut().filter(|_| self.dropped > 0) {
            let message = format!("{} (and {} more warnings)", last.message(), self.dropped);
            *last = last.with_message(message);
        }
        self.kept
    }
}
