//! What could not be taken over.

use std::collections::HashSet;

use crate::cli::context::Context;
use crate::report::escape;

/// Lines that are told at most.
const TOLD_MAX: usize = 500;

/// Remarks about lines of the source, in their order.
#[derive(Default)]
pub(super) struct Notes {
    notes: Vec<String>,
    known: HashSet<String>,
}

impl Notes {
    /// A remark about a line, `file:line`.
    pub(super) fn add(&mut self, place: &str, text: &str) {
        let note = format!("{place}: {text}");
        // What a hundred hosts inherit from one line is told once.
        if self.known.insert(note.clone()) {
            self.notes.push(note);
        }
    }

    /// A setting that is left behind. A value is never repeated: it may be a secret.
    pub(super) fn left(&mut self, place: &str, setting: &str, value: &str) {
        if is_secret(setting) {
            self.add(place, &format!("{setting} is a secret and is not copied"));
        } else if value.contains("{{") {
            self.add(place, &format!("{setting} is a template and is not copied"));
        } else {
            self.add(place, &format!("{setting} is not copied"));
        }
    }

    pub(super) fn tell(&self, context: &Context) {
        if context.quiet() {
            return;
        }
        for note in self.notes.iter().take(TOLD_MAX) {
            context.note("note", &escape(note.as_bytes()));
        }
        let rest = self.notes.len().saturating_sub(TOLD_MAX);
        if rest > 0 {
            context.note("note", &format!("and {rest} more lines"));
        }
    }
}

fn is_secret(setting: &str) -> bool {
    let setting = setting.to_ascii_lowercase();
    let words = ["pass", "secret", "token", "api_key", "apikey", "credential"];
    words.iter().any(|word| setting.contains(word))
}
