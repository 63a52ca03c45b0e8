//! One try of one command on one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::bounds::Bounds;
use super::drain::{Backlog, Drain};
use super::header::{HeaderScanner, Message};
use super::refusal::{not_seen_to_start, not_started, unsent};
use super::stdin::{Cue, Feed, Source, feed};
use super::stopper::{Stopper, UNKNOWN};
use super::wrapper::wrap;
use super::{Ending, Limits, Mark, Output, Reconnect, Report, Sink};
use crate::outcome::{Kill, Phase};
use crate::remote::{Capture, Collector, Command, Cut, ExitStatus, RunAs, Stream, SudoPassword};
use crate::transport::{ChannelEvent, ChannelInput, ChannelOutput, Connection, ExecRequest};

/// How often, and how long apart, a command is looked for that was not seen to
/// start.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How much of what is said instead of running our text is kept for the error
/// message.
const EXCUSE_MAX: usize = 4096;

/// Runs a command and reports how it ended; what is kept of its output is kept
/// in memory. Never returns before the command has ended, was killed, or the
/// connection is gone.
///
/// # Cancel safety
/// Dropping the future closes the channel but kills nothing on the host; to
/// stop a command, cancel the token.
pub async fn run(
    connection: &dyn Connection,
    command: &Command,
    mark: &Mark,
    limits: Limits,
    sink: Option<&mut dyn Sink>,
    reconnect: &dyn Reconnect,
    cancel: &CancellationToken,
) -> Report {
    let (held, output) = ((command, &Bounds::default()), Output { sink, ..Output::default() });
    run_into(connection, held, mark, limits, output, reconnect, cancel).await
}

/// As [`run`], with what the command is held to, and a place for the output. A
/// disk that is slower than the host slows the host down, until the command's
/// time is over.
///
/// # Cancel safety
/// As [`run`].
pub async fn run_into(
    connection: &dyn Connection,
    (command, bounds): (&Command, &Bounds),
    mark: &Mark,
    limits: Limits,
    output: Output<'_>,
    reconnect: &dyn Reconnect,
    cancel: &CancellationToken,
) -> Report {
    let source = Source::open(&command.stdin).await;
    let fed = Fed { command, source, bounds };
    run_fed(connection, fed, mark, limits, output, reconnect, cancel).await
}

/// A command, and what it reads whatever it says itself.
pub(super) struct Fed<'a> {
    pub(super) command: &'a Command,
    /// The error is why it cannot be read.
    pub(super) source: Result<Source, String>,
    /// What it is held to.
    pub(super) bounds: &'a Bounds,
}

/// As [`run_into`].
pub(super) async fn run_fed(
    connection: &dyn Connection,
    fed: Fed<'_>,
    mark: &Mark,
    limits: Limits,
    output: Output<'_>,
    reconnect: &dyn Reconnect,
    cancel: &CancellationToken,
) -> Report {
    let bounds = fed.bounds;
    let (timeout, narrowed) = bounds.time(limits.timeout);
    let limits = Limits { timeout, ..limits };
    let mut report = attempt(connection, fed, mark, limits, output, reconnect, cancel).await;
    report.ending = bounds.judge(report.ending, narrowed);
    report
}

async fn attempt(
    connection: &dyn Connection,
    Fed { command, source, bounds }: Fed<'_>,
    mark: &Mark,
    limits: Limits,
    output: Output<'_>,
    reconnect: &dyn Reconnect,
    cancel: &CancellationToken,
) -> Report {
    let started = Instant::now();
    let mut report = Report {
        ending: Ending::TimedOut,
        stdout: Capture::new(0).finish(),
        stderr: Capture::new(0).finish(),
        kill: None,
        output_incomplete: None,
        run_time: Duration::ZERO,
        timeout: limits.timeout,
    };
    let valid = command.validate().map_err(|error| error.to_string());
    let source = match valid.and(source) {
        Ok(source) => source,
        Err(message) => {
            report.ending =
                Ending::NotStarted { phase: Phase::Exec, message, hint: None, certain: true };
            return report;
        }
    };
    let wrapped = wrap(command, mark, bounds);
    if let Some(ending) = bounds.obstacle(wrapped.interpreted) {
        report.ending = ending;
        return report;
    }
    let request = ExecRequest { command: wrapped.line, pty: None };
    let deadline = limits.timeout.map(|timeout| started + timeout);

    // The request itself may wait: for a channel, or behind a slow link.
    let opened = tokio::select! {
        opened = connection.exec(request) => Some(opened),
        () = at(deadline) => None,
        () = cancel.cancelled() => None,
    };
    let channel = match opened {
        Some(Ok(channel)) => channel,
        Some(Err(error)) => {
            report.ending = unsent(error);
            report.run_time = started.elapsed();
            return report;
        }
        None => {
            // It may have been sent in this moment, so it is looked for; that
            // nothing is there yet proves nothing.
            let stopper = Stopper { connection, mark, limits, reconnect, command };
            let kill = stopper.kill(0).await;
            report.kill = Some(if kill.ended == Some(0) { UNKNOWN } else { kill });
            report.ending =
                if cancel.is_cancelled() { Ending::Cancelled } else { Ending::TimedOut };
            report.run_time = started.elapsed();
            return report;
        }
    };

    let (cue, cues) = mpsc::channel(4);
    if !wrapped.says_ready {
        let _ = cue.try_send(Cue::Begin);
    }
    let input: Arc<dyn ChannelInput> = Arc::from(channel.input);
    let feeding = Feed { password: password(command), preamble: wrapped.preamble, stdin: source };
    let mut feeder = AbortOnDropHandle::new(tokio::spawn(feed(Arc::clone(&input), feeding, cues)));
    let mut attempt = Attempt {
        output: channel.output,
        input,
        scanner: HeaderScanner::new(mark),
        cue,
        prompts: 0,
        hides_stderr: wrapped.says_ready,
        sink: output.sink,
        pending: None,
        stdout: Collector::new(limits.output_max, output.stdout),
        stderr: Collector::new(limits.output_max, output.stderr),
        excuse: Vec::new(),
        heard_stderr: false,
        root: None,
        refused: None,
        exit: None,
        eof: false,
        output_left: bounds.output(),
    };
    let begin_by = limits.start.map(|start| started + start);
    let stop = attempt.until_end(deadline, begin_by, limits.drain_grace, cancel, &mut feeder).await;
    report.ending = match stop {
        Stop::Silent => {
            attempt.close().await;
            not_seen_to_start("silence", command, "")
        }
        Stop::Closed => attempt.ending(connection, command, bounds).await,
        Stop::Drained(why) => {
            report.output_incomplete = Some(why);
            attempt.ending(connection, command, bounds).await
        }
        Stop::WrongPassword => {
            // Nothing runs yet, and sudo gives up when its stdin ends.
            attempt.close().await;
            Ending::NotStarted {
                phase: Phase::Sudo,
                message: "sudo does not accept the password".into(),
                hint: None,
                certain: true,
            }
        }
        Stop::Deadline | Stop::Cancelled | Stop::Output | Stop::Stdin(_) => {
            let stopper = Stopper { connection, mark, limits, reconnect, command };
            let stopped = attempt.stop(&stopper).await;
            if matches!(stop, Stop::Deadline) && attempt.had_ended(&stopped.kill) {
                let told = tokio::select! {
                    told = attempt.catch_up(stopped.backlog) => told,
                    () = cancel.cancelled() => false,
                };
                if !told {
                    report.output_incomplete = Some(UNSEEN);
                }
                attempt.ending(connection, command, bounds).await
            } else {
                let told = timeout(LAST_WORDS, attempt.catch_up(stopped.backlog)).await;
                if told != Ok(true) {
                    report.output_incomplete = Some(UNSEEN);
                }
                report.kill = Some(stopped.kill);
                match stop {
                    Stop::Cancelled => Ending::Cancelled,
                    Stop::Output => bounds.exceeded("max_output", None),
                    Stop::Stdin(message) => Ending::StdinFailed { message },
                    _ => Ending::TimedOut,
                }
            }
        }
    };
    let held = attempt.scanner.finish();
    attempt.stderr.push(&held);
    report.run_time = started.elapsed();
    (report.stdout, report.stderr) = tokio::join!(attempt.stdout.finish(), attempt.stderr.finish());
    let copies = [report.stdout.copy(), report.stderr.copy()];
    if copies.into_iter().flatten().any(|copy| matches!(copy.cut, Some(Cut::Disk(_)))) {
        report.output_incomplete.get_or_insert(UNWRITTEN);
    }
    report
}

fn password(command: &Command) -> Option<crate::remote::Secret> {
    match &command.run_as {
        Some(RunAs { password: SudoPassword::Given(secret), .. }) => Some(secret.clone()),
        _ => None,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Why reading the channel stopped.
#[derive(Debug)]
enum Stop {
    Cancelled,
    Closed,
    Deadline,
    /// The command ended, and its output did not for too long.
    Drained(&'static str),
    /// It wrote more than policy allows.
    Output,
    /// Nothing said in time that it started.
    Silent,
    /// What it shall read cannot be read.
    Stdin(String),
    WrongPassword,
}

const HELD: &str = "a process that the command left behind holds stdout";
const LEFT: &str = "it was cancelled before all of the output was read";
const UNWRITTEN: &str = "its file could not be written to the end";
const UNSEEN: &str = "whoever reads the output did not take all of it in time";

/// How long a consumer may take for the last words of a command that was
/// killed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the disk is waited for between two pieces of output of a command
/// that is being ended.
const BREATH: Duration = Duration::from_millis(20);

/// The state of an attempt whose request was sent.
struct Attempt<'a> {
    output: Box<dyn ChannelOutput>,
    input: Arc<dyn ChannelInput>,
    scanner: HeaderScanner,
    cue: mpsc::Sender<Cue>,
    prompts: u32,
    /// Until the command starts, stderr is sudo's conversation with us.
    hides_stderr: bool,
    sink: Option<&'a mut dyn Sink>,
    /// What the sink has been given and not yet taken.
    pending: Option<(Stream, Bytes)>,
    stdout: Collector,
    stderr: Collector,
    excuse: Vec<u8>,
    /// Whether anything at all came on stderr.
    heard_stderr: bool,
    root: Option<u32>,
    refused: Option<Message>,
    exit: Option<ExitStatus>,
    eof: bool,
    /// How many more bytes it may write; `None` is as many as it likes.
    output_left: Option<u64>,
}

impl Attempt<'_> {
    async fn until_end(
        &mut self,
        deadline: Option<Instant>,
        begin_by: Option<Instant>,
        drain_grace: Duration,
        cancel: &CancellationToken,
        feeder: &mut AbortOnDropHandle<io::Result<()>>,
    ) -> Stop {
        let mut drain = Drain::new(drain_grace, deadline);
        let mut fed = false;
        loop {
            let over = self.exit.is_some();
            let asked = Instant::now();
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => return self.overdue(Stop::Cancelled),
                () = at(deadline), if !over => return Stop::Deadline,
                () = at(begin_by), if !over && self.root.is_none() => return Stop::Silent,
                end = &mut *feeder, if !fed => {
                    fed = true;
                    if let Ok(Err(error)) = end {
                        return self.overdue(Stop::Stdin(format!("cannot read stdin: {error}")));
                    }
                    continue;
                }
                // What has come is taken before the host is given up.
                event = self.output.next() => event,
                () = sleep(drain.left()), if over => return Stop::Drained(HELD),
            };
            let Some(event) = event else { return Stop::Closed };
            let output = self.absorb(event);
            let too_much = output.as_ref().is_some_and(|(_, bytes)| self.is_too_much(bytes));
            if over && drain.is_over(asked, output.as_ref().map_or(0, |(_, bytes)| bytes.len())) {
                return Stop::Drained(HELD);
            }
            if self.prompts > 1 {
                return Stop::WrongPassword;
            }
            if self.refused.is_some() || self.exit.is_some() && self.eof {
                return Stop::Closed;
            }
            // The consumer may take its time, but not the command's.
            if let (Some((stream, bytes)), Some(sink)) = (output, self.sink.as_mut()) {
                self.pending = Some((stream, bytes.clone()));
                tokio::select! {
                    biased;
                    () = sink.push(stream, bytes) => self.pending = None,
                    () = cancel.cancelled() => return self.overdue(Stop::Cancelled),
                    () = at(deadline), if !over => return Stop::Deadline,
                }
            }
            if too_much {
                return Stop::Output;
            }
            // So may the disk.
            if self.is_full() {
                tokio::select! {
                    biased;
                    () = self.room() => {}
                    () = cancel.cancelled() => return self.overdue(Stop::Cancelled),
                    () = at(deadline), if !over => return Stop::Deadline,
                }
            }
        }
    }

    /// Whether it may not write so much more.
    fn is_too_much(&mut self, bytes: &[u8]) -> bool {
        let Some(left) = self.output_left else { return false };
        self.output_left = left.checked_sub(bytes.len() as u64);
        self.output_left.is_none()
    }

    fn is_full(&mut self) -> bool {
        self.stdout.is_full() || self.stderr.is_full()
    }

    async fn room(&mut self) {
        self.stdout.room().await;
        self.stderr.room().await;
    }

    /// Gives the disk a moment while the tree is ended, which must go on.
    async fn breathe(&mut self) {
        if self.is_full() {
            let _ = timeout(BREATH, self.room()).await;
        }
    }

    /// A command that has ended already cannot be stopped any more.
    fn overdue(&self, stop: Stop) -> Stop {
        if self.exit.is_some() { Stop::Drained(LEFT) } else { stop }
    }

    /// Takes an event into account; gives the output that a consumer shall see.
    fn absorb(&mut self, event: ChannelEvent) -> Option<(Stream, Bytes)> {
        match event {
            ChannelEvent::Stdout(bytes) => {
                self.note(&bytes);
                self.stdout.push(&bytes);
                Some((Stream::Stdout, bytes))
            }
            ChannelEvent::Stderr(bytes) => self.absorb_stderr(bytes),
            ChannelEvent::Exit(exit) => {
                self.exit = Some(exit);
                None
            }
            ChannelEvent::Refused => {
                self.refused = Some(Message::Error("request".into()));
                None
            }
            ChannelEvent::Eof => {
                self.eof = true;
                None
            }
            ChannelEvent::Accepted => None,
        }
    }

    fn absorb_stderr(&mut self, bytes: Bytes) -> Option<(Stream, Bytes)> {
        self.heard_stderr = true;
        let hidden = self.hides_stderr;
        if self.root.is_some() {
            self.stderr.push(&bytes);
            return Some((Stream::Stderr, bytes));
        }
        let (passed, messages) = self.scanner.push(&bytes);
        for message in messages {
            match message {
                Message::Prompt => {
                    self.prompts += 1;
                    // Greetings, and sudo's lecture.
                    self.excuse.clear();
                    let _ = self.cue.try_send(Cue::Password);
                }
                Message::Ready => {
                    let _ = self.cue.try_send(Cue::Begin);
                }
                Message::Started(pid) => {
                    self.root = Some(pid);
                    self.hides_stderr = false;
                }
                Message::Error(what) => self.refused = Some(Message::Error(what)),
            }
        }
        self.note(&passed);
        if passed.is_empty() || hidden {
            return None;
        }
        self.stderr.push(&passed);
        Some((Stream::Stderr, passed.into()))
    }

    /// Keeps the beginning of what is said before the command starts.
    fn note(&mut self, bytes: &[u8]) {
        if self.root.is_none() {
            let room = EXCUSE_MAX.saturating_sub(self.excuse.len()).min(bytes.len());
            self.excuse.extend_from_slice(&bytes[..room]);
        }
    }

    /// How an attempt ended whose channel is closed or drained.
    async fn ending(
        &mut self,
        connection: &dyn Connection,
        command: &Command,
        bounds: &Bounds,
    ) -> Ending {
        if let Some(Message::Error(what)) = &self.refused {
            if let Some(ending) = bounds.refused(what) {
                return ending;
            }
            return not_started(what, command, &self.excuse());
        }
        match (self.root, self.exit.take()) {
            (Some(_), Some(exit)) if exit != ExitStatus::Missing => Ending::Exited(exit),
            (None, Some(exit)) if exit != ExitStatus::Missing => {
                if self.excuse_holds_start() {
                    // Somebody sends stderr elsewhere, to stdout say.
                    return Ending::Exited(exit);
                }
                let sudo = command.run_as.is_some();
                let what = if sudo { "sudo" } else { "shell" };
                if self.heard_stderr {
                    not_started(what, command, &self.excuse())
                } else {
                    not_seen_to_start(what, command, &self.excuse())
                }
            }
            (root, _) => {
                // The reason arrives with the end of the connection, if that
                // is what closed the channel.
                let _ = timeout(Duration::from_millis(200), connection.closed()).await;
                let reason = connection.close_reason().or_else(|| {
                    Some("the server closed the channel without an exit status".into())
                });
                Ending::Lost { reason, started: root.is_some() }
            }
        }
    }

    fn excuse_holds_start(&self) -> bool {
        let mut scanner = self.scanner.anew();
        let (_, messages) = scanner.push(&self.excuse);
        messages.iter().any(|message| matches!(message, Message::Started(_)))
    }

    /// The last lines of it: greetings come first.
    fn excuse(&self) -> String {
        let text = String::from_utf8_lossy(&self.excuse);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut last: Vec<&str> = lines.rev().take(2).collect();
        last.reverse();
        last.join("; ").chars().filter(|c| !c.is_control()).take(200).collect()
    }

    /// Ends the tree while the channel goes on being read, without the
    /// consumer: an unread channel would hold up the kill.
    async fn stop(&mut self, stopper: &Stopper<'_>) -> Stopped {
        let mut open = true;
        let mut backlog = Backlog::new(self.sink.is_some());
        backlog.push(self.pending.take());
        let mut looks = LOOKS;
        let kill = loop {
            let root = self.root;
            let kill = self.kill(stopper, root.unwrap_or(0), &mut open, &mut backlog).await;
            let over = root.is_some() || self.exit.is_some() || !open;
            if over || kill.ended != Some(0) {
                break kill;
            }
            // The server may be about to start the login shell.
            looks -= 1;
            if looks == 0 {
                break UNKNOWN;
            }
            sleep(LOOK_AGAIN).await;
        };
        // The last words of what was killed.
        let last = Instant::now() + Duration::from_millis(500);
        while open && !(self.exit.is_some() && self.eof) {
            match tokio::time::timeout_at(last, self.output.next()).await {
                Ok(Some(event)) => {
                    let output = self.absorb(event);
                    backlog.push(output);
                    self.breathe().await;
                }
                _ => break,
            }
        }
        self.close().await;
        Stopped { kill, backlog }
    }

    async fn kill(
        &mut self,
        stopper: &Stopper<'_>,
        root: u32,
        open: &mut bool,
        backlog: &mut Backlog,
    ) -> Kill {
        let killing = stopper.kill(root);
        tokio::pin!(killing);
        loop {
            tokio::select! {
                kill = &mut killing => return kill,
                event = self.output.next(), if *open => match event {
                    Some(event) => {
                        let output = self.absorb(event);
                        backlog.push(output);
                        self.breathe().await;
                    }
                    None => *open = false,
                },
            }
        }
    }

    /// Whether the command had ended when it was to be stopped, unseen behind a
    /// consumer that takes its time.
    fn had_ended(&self, kill: &Kill) -> bool {
        kill.ended == Some(0) && matches!(self.exit, Some(ExitStatus::Code(_)))
    }

    /// Gives the consumer what came while the tree was ended; `false` if it
    /// did not take all of it.
    async fn catch_up(&mut self, backlog: Backlog) -> bool {
        let Some(sink) = self.sink.as_mut() else { return true };
        for (stream, bytes) in backlog.output {
            sink.push(stream, bytes).await;
        }
        !backlog.cut
    }

    async fn close(&mut self) {
        let _ = timeout(Duration::from_millis(200), self.input.close()).await;
    }
}

/// What a stop left behind.
struct Stopped {
    kill: Kill,
    backlog: Backlog,
}
