//! Running a command on a connection: wrapped, bounded in time and memory, and
//! ended with its whole process tree when its time is over.

mod attempt;
mod bounds;
mod confine;
mod drain;
mod header;
mod kill;
mod mark;
mod refusal;
mod session;
mod shell;
mod stdin;
mod stopper;
mod wrapper;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use attempt::{run, run_into};
pub use bounds::Bounds;
pub use mark::Mark;
pub use session::{ShellSession, Taken};
pub use shell::{Answer, Shell, ShellError};
pub(crate) use wrapper::sudo_words;

use crate::outcome::{Kill, Phase};
use crate::remote::{Captured, ExitStatus, Keep, Stream};
use crate::transport::Connection;

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the exec request to the end; `None` is no limit.
    pub timeout: Option<Duration>,
    /// From the exec request to the start of the command; `None` is no limit of
    /// its own.
    pub start: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// How long output may still come after the command ended: a process that
    /// it left behind may hold its stdout for ever.
    pub drain_grace: Duration,
    /// How many bytes of each stream are kept.
    pub output_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(30)),
            start: None,
            grace: Duration::from_secs(5),
            drain_grace: Duration::from_secs(2),
            output_max: 10 * 1024 * 1024,
        }
    }
}

/// Takes output as it comes.
pub trait Sink: Send {
    /// Takes the next bytes of a stream. While the future is pending no more
    /// is read from the host, so that a slow consumer slows the command down;
    /// it is dropped when the command's time is over.
    fn push(&mut self, stream: Stream, bytes: Bytes) -> BoxFuture<'_, ()>;
}

/// Where a command's output goes.
#[derive(Default)]
pub struct Output<'a> {
    /// Takes it as it comes.
    pub sink: Option<&'a mut dyn Sink>,
    /// Keeps standard output.
    pub stdout: Keep,
    /// Keeps standard error.
    pub stderr: Keep,
}

/// Makes a second connection to the same host, for a kill that cannot use the
/// first.
pub trait Reconnect: Send + Sync {
    /// Connects anew; `None` if that is not possible.
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>>;
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The command ended by itself.
    Exited(ExitStatus),
    /// It went beyond what policy allows it to use up, and was ended by the kernel
    /// or by us.
    Exceeded {
        /// Which limit, and whose.
        message: String,
        /// How it ended, where it was not ended by us.
        exit: Option<ExitStatus>,
    },
    /// It was not started: the host cannot hold it to what policy asks for.
    NotConfined {
        /// A stable code: `limit_unavailable`, `sandbox_unavailable` or
        /// `environment_unsafe`.
        code: &'static str,
        /// What the host lacks, and who asks for it.
        message: String,
        /// The next step.
        hint: String,
    },
    /// It did not run: it never could, or our `/bin/sh`, sudo or the login
    /// shell did not get as far as the command.
    NotStarted {
        /// What could not be done.
        phase: Phase,
        /// The cause.
        message: String,
        /// The next step.
        hint: Option<String>,
        /// Whether that is certain. A host that sends stderr nowhere says
        /// neither why the command did not run nor that it did.
        certain: bool,
    },
    /// The request was not sent: trying again is safe.
    NotSent {
        /// The cause.
        message: String,
        /// Whether trying again makes sense.
        transient: bool,
    },
    /// The link was lost after the request was sent.
    Lost {
        /// What is known of the cause.
        reason: Option<String>,
        /// Whether the command was seen to start.
        started: bool,
    },
    /// What the command shall read could not be read to its end here, so its
    /// processes were ended.
    StdinFailed {
        /// The cause.
        message: String,
    },
    /// Its time was over.
    TimedOut,
    /// It was cancelled from here.
    Cancelled,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote to stdout.
    pub stdout: Captured,
    /// What it wrote to stderr, without our own messages.
    pub stderr: Captured,
    /// What became of its processes, if they had to be ended.
    pub kill: Option<Kill>,
    /// Why the output may be incomplete although the command ended.
    pub output_incomplete: Option<&'static str>,
    /// From the exec request to the end.
    pub run_time: Duration,
    /// How long it had.
    pub timeout: Option<Duration>,
}

impl Report {
    /// Nothing was sent, and never will be.
    pub(crate) fn unsent(message: String) -> Self {
        Self {
            ending: Ending::NotSent { message, transient: false },
            stdout: Captured::default(),
            stderr: Captured::default(),
            kill: None,
            output_incomplete: None,
            run_time: Duration::ZERO,
            timeout: None,
        }
    }
}
