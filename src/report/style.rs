//! How text for people looks.

use std::time::Duration;

/// The choices of whoever shows a run.
#[derive(Clone, Debug)]
pub struct Style {
    /// The colours of stdout.
    pub out: Palette,
    /// The colours of stderr.
    pub err: Palette,
    /// Whether lines of several hosts begin with the host's id.
    pub labels: bool,
    /// Whether control characters in output are passed on to the terminal.
    pub raw: bool,
    /// Whether to leave out all but output and errors: no hints, no summary.
    pub quiet: bool,
    /// How long processes had between TERM and KILL.
    pub grace: Duration,
    /// How to run the same again on some of the hosts.
    pub rerun: Option<Rerun>,
    /// Whether the run can be done again as it is remembered.
    pub remembered: bool,
    /// How the program is called, with what every call needs (`orchestrator
    /// --config lab.yml`), quoted for a shell.
    pub program: String,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            out: Palette::PLAIN,
            err: Palette::PLAIN,
            labels: true,
            raw: false,
            quiet: false,
            grace: Duration::from_secs(5),
            rerun: None,
            remembered: false,
            program: "orchestrator".into(),
        }
    }
}

/// A command line around its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// What stands before the targets (`orchestrator exec`).
    pub before: String,
    /// What stands after them, quoted for a shell (`--sudo 'systemctl restart nginx'`).
    pub after: String,
}

/// What to write before coloured text, and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Before the label of a line from stdout.
    pub label: &'static str,
    /// Before the label of a line from stderr.
    pub stderr: &'static str,
    /// Before good news.
    pub good: &'static str,
    /// Before bad news.
    pub bad: &'static str,
    /// After any of these.
    pub off: &'static str,
}

impl Palette {
    /// No colours.
    pub const PLAIN: Self = Self { label: "", stderr: "", good: "", bad: "", off: "" };

    /// The terminal's own colours (ECMA-48, SGR).
    pub const ANSI: Self = Self {
        label: "\x1b[36m",
        stderr: "\x1b[33m",
        good: "\x1b[32m",
        bad: "\x1b[31m",
        off: "\x1b[0m",
    };
}
