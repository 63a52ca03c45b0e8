//! One line of a host's `~/.ssh/authorized_keys`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::exec::{self, Ending, Limits, Mark, Reconnect, Report};
use crate::outcome::{Effect, Failure, Phase, Status};
use crate::remote::{Command, ExitStatus};
use crate::ssh::key_file::PublicLine;
use crate::transport::Connection;

/// What runs on the host.
const SCRIPT: &str = include_str!("authorized_keys.sh");

/// What begins the line that says what was done there.
const ANSWER: &str = "orch-keys ";

/// How much a host may say.
const OUTPUT_MAX: usize = 64 * 1024;

/// What is to be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It shall be able to log in.
    Add,
    /// Its line shall be gone.
    Remove,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// There was no line of the key to remove.
    Absent,
    /// A line was added.
    Added,
    /// There was a line of the key already; it was left as it is.
    Present,
    /// Every line of the key was removed.
    Removed,
}

/// Why it was not done, or not known to be.
#[derive(Clone, Debug)]
pub struct EditError {
    /// How it ended.
    pub status: Status,
    /// What may have changed on the host.
    pub effect: Effect,
    /// The cause.
    pub failure: Failure,
}

impl Edited {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Added => "added",
            Self::Present => "present",
            Self::Removed => "removed",
        }
    }
}

impl Change {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

/// Changes the file of whoever logged in on this connection. The host's other
/// lines stay byte for byte; the file is replaced whole or not at all.
///
/// # Errors
/// The file could not be changed, or the host did not say that it was.
///
/// # Cancel safety
/// The change may still be made when the future is dropped.
pub async fn edit(
    connection: &dyn Connection,
    mark: &Mark,
    change: Change,
    key: &PublicLine,
    cancel: &CancellationToken,
) -> Result<Edited, EditError> {
    let command = Command::new("/bin/sh").args(["-c", SCRIPT, "sh", change.as_str()]);
    let command = command.args([&key.key, &key.comment]);
    let limits = Limits { output_max: OUTPUT_MAX, ..Limits::default() };
    let report = exec::run(connection, &command, mark, limits, None, &Once, cancel).await;
    understand(&report)
}

fn understand(report: &Report) -> Result<Edited, EditError> {
    let failed = |message: String| error(Status::Failed, Effect::Absent, message);
    let unclear = |status, message: String| error(status, Effect::Unknown, message);
    match &report.ending {
        Ending::Exited(ExitStatus::Code(_)) => {}
        Ending::Exited(_) | Ending::Lost { .. } => {
            let message = "the link was lost; authorized_keys may have been changed";
            return Err(unclear(Status::Unknown, message.into()));
        }
        Ending::NotConfined { message, .. } | Ending::NotStarted { message, .. } => {
            return Err(failed(message.clone()));
        }
        Ending::NotSent { message, .. } => {
            return Err(error(Status::Unreachable, Effect::Absent, message.clone()));
        }
        Ending::StdinFailed { message } => return Err(failed(message.clone())),
        Ending::Exceeded { .. } | Ending::TimedOut => {
            let message = "authorized_keys was not changed in time; it may be later";
            return Err(unclear(Status::Timeout, message.into()));
        }
        Ending::Cancelled => return Err(unclear(Status::Cancelled, "cancelled".into())),
    }
    let stdout = report.stdout.to_text();
    // A login shell may have left its own line unfinished.
    let answer = stdout.rsplit_once(ANSWER).map_or("", |(_, answer)| answer.trim_end());
    match answer.split_once(' ').unwrap_or((answer, "")) {
        ("absent", _) => Ok(Edited::Absent),
        ("added", _) => Ok(Edited::Added),
        ("present", _) => Ok(Edited::Present),
        ("removed", _) => Ok(Edited::Removed),
        ("failed", why) => Err(failed(printable(why))),
        _ => {
            let stderr = printable(report.stderr.to_text().lines().last().unwrap_or_default());
            let message = format!("authorized_keys could not be changed: {stderr}");
            Err(unclear(Status::Failed, message.trim_end_matches([':', ' ']).into()))
        }
    }
}

fn error(status: Status, effect: Effect, message: String) -> EditError {
    let hint = match effect {
        Effect::Absent => "authorized_keys is as it was; set right what stands in the way",
        _ => "do it again: what is done already is not done twice",
    };
    let failure = Failure {
        code: "authorized_keys",
        phase: Phase::Exec,
        message,
        hint: Some(hint.into()),
        retryable: false,
    };
    EditError { status, effect, failure }
}

/// What a host says, short and without what could move a cursor.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A change that hangs is ended on the connection that it hangs on, or not.
struct Once;

impl Reconnect for Once {
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        async { None }.boxed()
    }
}
