//! Asking a host about itself.

use std::ffi::OsStr;
use std::time::Duration;

use tokio::time::Instant;

use crate::exec::{Limits, Shell, ShellError};

/// What runs on the host.
const TEXT: &str = concat!(include_str!("../run/script/bases.sh"), include_str!("host.sh"));

/// The longest answer that is kept.
const ANSWER_MAX: usize = 64 * 1024;

/// The longest value that is kept, and how many are.
const VALUE_MAX: usize = 200;
const VALUES_MAX: usize = 32;

/// How long the host may take to start `/bin/sh`.
const START: Duration = Duration::from_secs(5);

/// How long it then may take to end what did not answer.
const GRACE: Duration = Duration::from_secs(1);

/// Asks one host.
pub(super) struct Asking<'a> {
    pub(super) shell: Shell<'a>,
    pub(super) random: String,
}

/// What a host answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    said: Vec<(String, String)>,
    whole: bool,
}

impl Asking<'_> {
    /// Asks one of the questions of `host.sh`.
    pub(super) async fn ask(&self, question: &str, until: Instant) -> Result<Answers, ShellError> {
        let timeout = until.saturating_duration_since(Instant::now());
        let limits = Limits {
            timeout: Some(timeout),
            start: Some(START.min(timeout)),
            grace: GRACE,
            drain_grace: GRACE,
            output_max: ANSWER_MAX,
        };
        let args = [OsStr::new(&self.random), OsStr::new(question)];
        let answer = self.shell.run_within(TEXT, &args, *b"", limits).await?;
        Ok(Answers::read(&answer.stdout.to_bytes(), &self.random))
    }
}

impl Answers {
    /// The lines that begin with our random number, and no others.
    pub(super) fn read(stdout: &[u8], random: &str) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let mark = format!("orch1 {random} ");
        let mut answers = Self::default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(&mark));
        for line in lines.take(VALUES_MAX) {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            answers.whole |= word == "end";
            let value = value.trim().chars().filter(|c| !c.is_control()).take(VALUE_MAX);
            answers.said.push((word.to_owned(), value.collect()));
        }
        answers
    }

    /// Whether the host came to the end of its answer.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// What it said of something, if not nothing.
    pub(super) fn get(&self, word: &str) -> Option<&str> {
        self.all(word).next().filter(|value| !value.is_empty())
    }

    /// Whether it said this.
    pub(super) fn has(&self, word: &str) -> bool {
        self.all(word).next().is_some()
    }

    /// Everything it said of something.
    pub(super) fn all(&self, word: &str) -> impl Iterator<Item = &str> {
        self.said.iter().filter(move |(said, _)| said == word).map(|(_, value)| value.as_str())
    }
}
