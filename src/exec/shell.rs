//! Our own short texts, run by the host's `/bin/sh` on behalf of an action.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attempt::{Fed, run_fed};
use super::stdin::Source;
use super::{Bounds, Ending, Limits, Mark, Output, Reconnect};
use crate::ids::{RunId, VmId};
use crate::outcome::Phase;
use crate::remote::{Captured, Command, ExitStatus, RunAs, Stdin};
use crate::transport::Connection;

/// How long a host may take to start `/bin/sh`. One that lets its users do
/// nothing but SFTP may never answer.
const START: Duration = Duration::from_secs(2);

/// The same where sudo is asked first, which may ask others.
const SUDO_START: Duration = Duration::from_secs(15);

/// Runs our own texts on a host.
///
/// They are wrapped and marked as commands are, so an answer that does not
/// come from our text is never taken for one.
#[derive(Clone, Copy)]
pub struct Shell<'a> {
    /// The connection.
    pub connection: &'a dyn Connection,
    /// The run on whose behalf.
    pub run: RunId,
    /// The host.
    pub vm: &'a VmId,
    /// Which try of the run, from 1.
    pub attempt: u32,
    /// Whom the texts run as, if not the one who logs in.
    pub run_as: Option<&'a RunAs>,
    /// What stops them.
    pub cancel: &'a CancellationToken,
}

/// What a text answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub exit: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Captured,
    /// What it wrote to stderr.
    pub stderr: Captured,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShellError {
    /// It was cancelled from here.
    #[error("cancelled")]
    Cancelled,
    /// The connection ended.
    #[error("the link was lost{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Lost {
        /// What is known of the cause.
        reason: Option<String>,
    },
    /// It took too long, and was ended.
    #[error("the host took longer than {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The host runs no text of ours: it has no shell for us, or no channel.
    #[error("{message}")]
    Unavailable {
        /// What refused.
        phase: Phase,
        /// The cause.
        message: String,
        /// The next step.
        hint: Option<String>,
    },
}

impl Shell<'_> {
    /// Runs a text, whose `$1`, `$2` and so on are `args`.
    ///
    /// # Errors
    /// There is no answer; a text that ends non-zero is an answer.
    ///
    /// # Cancel safety
    /// If the future is dropped the text may go on on the host.
    pub async fn run(
        &self,
        text: &str,
        args: &[&OsStr],
        stdin: impl Into<Arc<[u8]>>,
        timeout: Option<Duration>,
    ) -> Result<Answer, ShellError> {
        let start = if self.run_as.is_some() { SUDO_START } else { START };
        let limits = Limits { timeout, start: Some(start), ..Limits::default() };
        self.run_within(text, args, stdin, limits).await
    }

    /// As [`run`](Self::run), within other bounds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_within(
        &self,
        text: &str,
        args: &[&OsStr],
        stdin: impl Into<Arc<[u8]>>,
        limits: Limits,
    ) -> Result<Answer, ShellError> {
        let mut command = command(text, args);
        let stdin = stdin.into();
        if !stdin.is_empty() {
            command = command.stdin(Stdin::Bytes(stdin));
        }
        self.asked(command, None, limits).await
    }

    /// As [`run`](Self::run), without a limit once it has begun; its stdin is
    /// what is sent to `fed`, until nobody can send any more.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run); the text's stdin ends.
    pub async fn run_fed(
        &self,
        text: &str,
        args: &[&OsStr],
        fed: mpsc::Receiver<Bytes>,
    ) -> Result<Answer, ShellError> {
        let start = if self.run_as.is_some() { SUDO_START } else { START };
        let limits = Limits { timeout: None, start: Some(start), ..Limits::default() };
        self.asked(command(text, args), Some(fed), limits).await
    }

    async fn asked(
        &self,
        mut command: Command,
        fed: Option<mpsc::Receiver<Bytes>>,
        limits: Limits,
    ) -> Result<Answer, ShellError> {
        if let Some(run_as) = self.run_as {
            command = command.run_as(run_as.clone());
        }
        let unavailable =
            |phase, message, hint| Err(ShellError::Unavailable { phase, message, hint });
        let mark = match Mark::new(self.run, self.vm, self.attempt) {
            Ok(mark) => mark,
            Err(error) => return unavailable(Phase::Shell, error.to_string(), None),
        };
        let source = match fed {
            Some(fed) => Ok(Source::Fed(fed)),
            None => Source::open(&command.stdin).await,
        };
        // Our own text is nobody's request.
        let bounds = &Bounds::default();
        let (fed, output) = (Fed { command: &command, source, bounds }, Output::default());
        let (connection, cancel) = (self.connection, self.cancel);
        let report = run_fed(connection, fed, &mark, limits, output, &Never, cancel).await;
        match report.ending {
            Ending::Exited(exit) => {
                Ok(Answer { exit, stdout: report.stdout, stderr: report.stderr })
            }
            Ending::NotStarted { phase, message, hint, .. } => unavailable(phase, message, hint),
            Ending::Exceeded { message, .. } | Ending::NotConfined { message, .. } => {
                unavailable(Phase::Policy, message, None)
            }
            Ending::NotSent { message, .. } => unavailable(Phase::Channel, message, None),
            Ending::StdinFailed { message } => unavailable(Phase::Shell, message, None),
            Ending::Lost { reason, .. } => Err(ShellError::Lost { reason }),
            Ending::TimedOut => Err(ShellError::TimedOut(limits.timeout.unwrap_or_default())),
            Ending::Cancelled => Err(ShellError::Cancelled),
        }
    }
}

fn command(text: &str, args: &[&OsStr]) -> Command {
    let words = [OsStr::new("-c"), OsStr::new(text), OsStr::new("sh")];
    Command::new("/bin/sh").args(words.iter().chain(args).map(OsString::from))
}

/// A text of ours is not worth a second connection.
struct Never;

impl Reconnect for Never {
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        async { None }.boxed()
    }
}
