//! What was found at one stage.

use std::time::Duration;

use super::{Stage, Verdict};

/// What was found at one stage of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stage.
    pub stage: Stage,
    /// What is thought of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// What was found, in one sentence. A host may have had a say in it.
    pub text: String,
    /// The next step, where something is wrong.
    pub hint: Option<String>,
    /// The gist in two words, where the stage has one.
    pub gist: Option<String>,
    /// What is remarkable, as stable words with underscores: by these, findings
    /// of many hosts are put together. A finding that is not `ok` has at least
    /// one.
    pub notes: Vec<&'static str>,
}

impl Finding {
    pub(super) fn ok(stage: Stage, text: impl Into<String>) -> Self {
        Self {
            stage,
            verdict: Verdict::Ok,
            took: Duration::ZERO,
            text: text.into(),
            hint: None,
            gist: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn skipped(stage: Stage, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::ok(stage, why) }
    }

    pub(super) fn warn(
        stage: Stage,
        note: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let hint = Some(hint.into());
        Self { verdict: Verdict::Warn, hint, notes: vec![note], ..Self::ok(stage, text) }
    }

    pub(super) fn fail(
        stage: Stage,
        note: &'static str,
        text: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self { verdict: Verdict::Fail, hint, notes: vec![note], ..Self::ok(stage, text) }
    }

    pub(super) fn gist(self, gist: impl Into<String>) -> Self {
        Self { gist: Some(gist.into()), ..self }
    }

    pub(super) fn note(mut self, applies: bool, note: &'static str) -> Self {
        if applies {
            self.notes.push(note);
        }
        self
    }

    pub(super) fn took(self, took: Duration) -> Self {
        Self { took, ..self }
    }
}
