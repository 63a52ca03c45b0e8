//! One shell that runs several commands, one after another, so that what one of
//! them sets is there for the next.
//!
//! The shell reads from stdin. With each command it gets a line that writes a
//! mark to both streams, where they are cut. The mark is new for every command
//! and stands in no variable and no argument list: the shell reads the line when
//! the command is over, so that nothing the command writes can be taken for it.

mod split;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::split::{Splitter, Told, Turn};
use super::attempt::{Fed, run_fed};
use super::stdin::Source;
use super::{Bounds, Ending, Limits, Mark, Output, Reconnect, Report, Sink};
use crate::hex::random;
use crate::quote;
use crate::remote::{Captured, Command, ExitStatus, Keep, Program, Stdin};
use crate::transport::Connection;

/// What the shell does first: the streams that the marks go to are kept where no
/// `exec >FILE` of a command reaches them.
const BEGIN: &str = "exec 8>&1 9>&2\n";

/// A shell on a host. When it has ended, by a command's `exit` or a kill, it runs
/// nothing more.
pub struct ShellSession<'a> {
    /// The shell itself; `None` once it has ended.
    shell: Option<BoxFuture<'a, Report>>,
    /// What it reads.
    lines: Sender<Bytes>,
    splitter: Splitter,
    cancel: CancellationToken,
}

/// What happens to the output of one command of a session: as
/// [`Output`](super::Output), and owned.
#[derive(Default)]
pub struct Taken {
    /// Takes it as it comes.
    pub sink: Option<Box<dyn Sink>>,
    /// Keeps standard output.
    pub stdout: Keep,
    /// Keeps standard error.
    pub stderr: Keep,
}

impl<'a> ShellSession<'a> {
    /// A shell with the directory, environment and user of `like`, held to these
    /// bounds. Nothing is sent before the first command is.
    pub fn new(
        connection: Arc<dyn Connection>,
        (like, bounds): (&Command, &Bounds),
        mark: Mark,
        limits: Limits,
        reconnect: impl Reconnect + 'a,
        cancel: &CancellationToken,
    ) -> Self {
        // What it does first, and one command.
        let (lines, fed) = channel(2);
        let _ = lines.try_send(Bytes::from_static(BEGIN.as_bytes()));
        let path = like.shell.as_deref().unwrap_or("/bin/sh");
        let shell = Command {
            program: Program::Argv(vec![path.into(), "-s".into()]),
            stdin: Stdin::Empty,
            shell: None,
            ..like.clone()
        };
        let (splitter, cancel) = (Splitter::default(), cancel.child_token());
        let (mut sink, cancelled) = (splitter.clone(), cancel.clone());
        // Each command has its own time, and keeps its own output.
        let limits = Limits { timeout: None, output_max: 0, ..limits };
        let bounds = bounds.of_shell();
        let running = async move {
            let fed = Fed { command: &shell, source: Ok(Source::Fed(fed)), bounds: &bounds };
            let output = Output { sink: Some(&mut sink), ..Output::default() };
            run_fed(&*connection, fed, &mark, limits, output, &reconnect, &cancelled).await
        };
        Self { shell: Some(running.boxed()), lines, splitter, cancel }
    }

    /// Whether the shell has ended.
    pub fn is_over(&self) -> bool {
        self.shell.is_none()
    }

    /// Runs a command in the shell and reports how it ended. A command that ends
    /// the shell has the shell's exit status; one whose time is over, or that
    /// writes more than it may, is killed with the shell.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the command to the shell; the session is of no
    /// further use then.
    pub async fn run(
        &mut self,
        (command, bounds): (&Command, &Bounds),
        limits: Limits,
        taken: Taken,
    ) -> Report {
        let started = Instant::now();
        let Some(shell) = &mut self.shell else {
            return Report::unsent("the shell session has ended".into());
        };
        let secret = match Secret::new() {
            Ok(secret) => secret,
            Err(error) => return Report::unsent(error.to_string()),
        };
        let (timeout, narrowed) = bounds.time(limits.timeout);
        let (turn, done) = Turn::new(secret.mark(), limits.output_max, bounds.output(), taken);
        self.splitter.begin(turn).await;
        let _ = self.lines.send(text(command, &secret).into()).await;
        let deadline = timeout.map(|timeout| started + timeout);
        let ended = |ending| Report { ending, ..Report::unsent(String::new()) };
        let stop = tokio::select! {
            biased;
            Ok(told) = done => match told {
                Told::Ended(code) => Stop::Ended(code),
                Told::TooMuch => Stop::Killed(bounds.exceeded("max_output", None)),
            },
            report = &mut *shell => Stop::Over(report),
            () = at(deadline) => Stop::Killed(Ending::TimedOut),
        };
        let (mut report, over) = match stop {
            Stop::Ended(code) => (ended(Ending::Exited(ExitStatus::Code(code))), false),
            Stop::Over(report) => (report, true),
            Stop::Killed(ending) => {
                self.cancel.cancel();
                let mut report = shell.await;
                if report.ending == Ending::Cancelled {
                    report.ending = ending;
                }
                (report, true)
            }
        };
        report.ending = bounds.judge(report.ending, narrowed);
        if over {
            self.shell = None;
        }
        let (stdout, stderr) = self.splitter.end().await;
        Report { stdout, stderr, run_time: started.elapsed(), timeout, ..report }
    }

    /// Lets the shell end, and ends it with all that it started when it does not
    /// within the grace.
    pub async fn end(self, limits: Limits) {
        let Self { shell: Some(mut shell), lines, cancel, .. } = self else { return };
        drop(lines);
        tokio::select! {
            _ = &mut shell => {}
            () = sleep(limits.grace + limits.drain_grace) => {
                cancel.cancel();
                shell.await;
            }
        }
    }
}

/// What ends a command's turn.
enum Stop {
    /// Its mark came.
    Ended(u32),
    /// It is killed, for this.
    Killed(Ending),
    /// The shell ended with it.
    Over(Report),
}

/// What both streams of one command kept.
type Kept = (Captured, Captured);

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What nothing can know before it is written.
struct Secret(String);

impl Secret {
    fn new() -> Result<Self, getrandom::Error> {
        random().map(Self)
    }

    /// The mark as it is written.
    fn mark(&self) -> Vec<u8> {
        format!("orch1 {} ", self.0).into_bytes()
    }
}

/// What the shell reads for one command.
///
/// Its two halves keep the mark out of what `set -v` shows; what `set -x` shows
/// of our own line goes nowhere. The command itself has neither the streams that
/// the marks go to nor what the shell reads.
fn text(command: &Command, secret: &Secret) -> Vec<u8> {
    let mut text = b"{ eval ".to_vec();
    text.extend(quote::word(&shell_text(command)));
    text.extend(b"\n} </dev/null 8>&- 9>&-\n");
    let (one, two) = secret.0.split_at(secret.0.len() / 2);
    let word = format!("'orch1 ''{one}''{two}'");
    text.extend(
        format!("{{ command echo {word} \"$?\" >&8; command echo {word} . >&9; }} 2>/dev/null\n")
            .into_bytes(),
    );
    text
}

/// A command as a shell reads it. Every word of an argument list is quoted, so
/// that none is a keyword or an alias.
fn shell_text(command: &Command) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    match &command.program {
        Program::Shell(text) => text.as_bytes().to_vec(),
        Program::Argv(argv) => {
            let words: Vec<Vec<u8>> = argv
                .iter()
                .map(|word| {
                    let quoted = quote::word(word.as_bytes());
                    let bare = quoted == word.as_bytes();
                    if bare { [b"'", quoted.as_slice(), b"'"].concat() } else { quoted }
                })
                .collect();
            words.join(&b' ')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_words() {
        let shown = |command| String::from_utf8(shell_text(&command)).unwrap();
        assert_eq!(shown(Command::new("if").args(["a b", "it's"])), r"'if' 'a b' 'it'\''s'");
        assert_eq!(shown(Command::shell("cd /x; A=$B")), "cd /x; A=$B");
    }

    #[test]
    fn the_mark_does_not_stand_in_the_line() {
        let secret = Secret::new().unwrap();
        let line = text(&Command::shell("echo"), &secret);
        assert!(!line.windows(32).any(|part| part == secret.0.as_bytes()));
        assert_ne!(secret.0, Secret::new().unwrap().0);
    }
}
