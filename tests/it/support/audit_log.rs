//! Logs to write to, processes that write to them, and what stands in them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use orchestrator::audit::{
    ActionFacts, ActionKind, AuditLog, Entry, Event, OpId, Options, Reader, Record, ResultFacts,
};
use orchestrator::outcome::Status;
use tempfile::TempDir;

/// A log in a directory of its own.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) log: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        Self { dir, log }
    }

    /// The file beside the log with this suffix.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.log.display()))
    }

    pub(crate) fn open(&self) -> AuditLog {
        AuditLog::open(&self.log, options()).unwrap()
    }

    /// The log's segments, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut later: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit-"))
            .collect();
        later.sort();
        later.insert(0, self.log.clone());
        later
    }
}

/// Options with a redactor that knows one secret, and no checkpoint that
/// depends on how fast the test runs.
pub(crate) fn options() -> Options {
    let mut options = Options::new(Arc::new(|text: &str| {
        if text.contains("hunter2") {
            Cow::Owned(text.replace("hunter2", "[redacted]"))
        } else {
            Cow::Borrowed(text)
        }
    }));
    options.checkpoint_age = Duration::from_secs(3600);
    options
}

/// An attempt to run `command`, and the id its result must carry.
pub(crate) fn attempt(command: &str) -> (Record, OpId) {
    let op = OpId::new();
    let mut action = ActionFacts::new(ActionKind::Shell);
    action.command = Some(command.into());
    let mut record = Record::new(Event::ExecAttempt);
    record.op_id = Some(op);
    record.attempt = Some(1);
    record.action = Some(action);
    (record, op)
}

/// The result of that attempt.
pub(crate) fn result(op: OpId, status: Status) -> Record {
    let mut record = Record::new(Event::ExecResult);
    record.op_id = Some(op);
    record.attempt = Some(1);
    record.result = Some(ResultFacts::new(status));
    record
}

/// Every record of the log.
pub(crate) fn entries(log: &Path) -> Vec<Entry> {
    Reader::open(log).unwrap().map(Result::unwrap).collect()
}

/// The variable that names the log a child process is to write to.
const LOG: &str = "ORCHESTRATOR_TEST_AUDIT_LOG";
/// The variable that says how many records it writes.
const COUNT: &str = "ORCHESTRATOR_TEST_AUDIT_COUNT";

/// This test binary as a process of its own that runs only the test `name`,
/// which finds its orders by [`orders`].
pub(crate) fn child(name: &str, log: &Path, count: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]);
    command.env(LOG, log).env(COUNT, count.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the parent ordered; `None` in an ordinary run of the tests.
pub(crate) fn orders() -> Option<(PathBuf, u64)> {
    let log = std::env::var_os(LOG)?;
    let count = std::env::var(COUNT).ok()?.parse().ok()?;
    Some((log.into(), count))
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

/// How often to do what a soak does more often.
pub(crate) fn rounds(usual: usize, soak: usize) -> usize {
    if std::env::var_os("ORCHESTRATOR_SOAK").is_some() { soak } else { usual }
}
