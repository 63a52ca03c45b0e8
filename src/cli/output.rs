//! How a run is shown, and the exit code that it ends with.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use super::context::Context;
use super::failure::Failure;
use super::keyboard::Keyboard;
use super::rerun::program;
use super::signals::{ENDING, GOES_ON, Interrupted, Notice};
use super::stdout::is_broken_pipe;
use super::terminal::Terminal;
use crate::Request;
use crate::config::size;
use crate::event::{Event, EventKind, Stopped};
use crate::outcome::HostResult;
use crate::report::{
    Document, Endings, EventLines, Gathered, Labelled, Rerun, Single, Streams, Style, Summary,
    View, exit,
};
use crate::run::RunHandle;

/// How results are shown.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// How results are shown
    #[arg(
        short,
        long,
        env = "ORCHESTRATOR_OUTPUT",
        value_enum,
        default_value_t,
        value_name = "HOW"
    )]
    output: Output,
    /// The same as -o gather
    #[arg(short = 'b', overrides_with_all = ["output", "json"])]
    gather: bool,
    /// Gather, but show only what most VMs wrote in full, and how the others differ from it
    #[arg(long, env = "ORCHESTRATOR_DIFF", conflicts_with = "json", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    diff: bool,
    /// The same as -o json
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
    /// Leave out the VM id before each line
    #[arg(short = 'N', long, env = "ORCHESTRATOR_NO_LABEL", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_label: bool,
    /// Pass control characters on to the terminal
    #[arg(long, env = "ORCHESTRATOR_RAW", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    raw: bool,
    /// Write what each VM writes to stdout to a file, too: DIR/<vm_id>
    #[arg(long, env = "ORCHESTRATOR_OUTDIR", value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// The same for stderr, in another directory
    #[arg(long, env = "ORCHESTRATOR_ERRDIR", value_name = "DIR")]
    errdir: Option<PathBuf>,
    /// Keep at most so many bytes of each stream of a VM, and say so (10Mi, 5G) [default: output_max, else 1Gi]
    #[arg(long, env = "ORCHESTRATOR_OUTPUT_MAX", value_parser = parse_output_max, value_name = "SIZE")]
    output_max: Option<usize>,
    /// Which exit code to give
    #[arg(long, env = "ORCHESTRATOR_EXIT_CODE", value_enum, default_value_t, value_name = "WHICH")]
    exit_code: ExitCode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// Identical output once, under the VMs that wrote it
    Gather,
    /// One JSON document at the end
    Json,
    /// One JSON object per event, one a line
    Ndjson,
    /// Only how each VM ended
    None,
    /// Lines as they come
    #[default]
    Stream,
    /// Counts, and the VMs that failed
    Summary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ExitCode {
    /// The command's own on one VM named by its id, else the table's
    #[default]
    Auto,
    /// Always one of the table
    Table,
}

impl OutputArgs {
    /// The way that was chosen, be it by its short name.
    pub(super) fn mode(&self) -> Output {
        match (self.json, self.gather || self.diff) {
            (true, _) => Output::Json,
            (false, true) => Output::Gather,
            (false, false) => self.output,
        }
    }

    /// Whether what was asked for goes together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.diff && !matches!(self.output, Output::Gather | Output::Stream) {
            let message = "--diff gathers, and another output was asked for";
            return Err(Failure::usage(message).hint("leave out -o, or give -o gather"));
        }
        Ok(())
    }

    /// Asks for what is needed to show it so.
    pub(super) fn apply(&self, request: Request) -> Request {
        // A document holds what was collected; everything else is told as it
        // comes.
        let streams = matches!(self.mode(), Output::Stream | Output::Ndjson);
        let mut request = request.stream(streams);
        if let Some(max) = self.output_max {
            request = request.output_max(max);
        }
        if let Some(dir) = &self.outdir {
            request = request.outdir(dir);
        }
        if let Some(dir) = &self.errdir {
            request = request.errdir(dir);
        }
        // What is shown need not be kept, unless a gate looks at it: the
        // request sees to that.
        if self.mode() == Output::Stream { request.output_max(0) } else { request }
    }

    /// What shows a run. `grace` is what processes have between TERM and KILL.
    pub(super) fn view(
        &self,
        context: &Context,
        single: bool,
        grace: Duration,
        (rerun, remembered): (Option<Rerun>, bool),
    ) -> Box<dyn View> {
        let style = Style {
            out: Terminal::palette(context.color(), Terminal::stdout()),
            err: Terminal::palette(context.color(), Terminal::stderr()),
            labels: !self.no_label,
            raw: self.raw,
            quiet: context.quiet(),
            grace,
            rerun,
            remembered,
            program: program(),
        };
        let (quiet, palette) = (style.quiet, style.err);
        let view: Box<dyn View> = match self.mode() {
            Output::Gather => Box::new(Gathered::new(style).differences(self.diff)),
            Output::Json => Box::new(Document::default()),
            Output::Ndjson => Box::new(EventLines),
            Output::None => Box::new(Endings::new(style)),
            Output::Stream if single => {
                Box::new(Single::new(Terminal::stdout(), Terminal::stderr(), style))
            }
            Output::Stream => Box::new(Labelled::new(style)),
            Output::Summary => Box::new(Summary::new(style)),
        };
        let for_programs = matches!(self.mode(), Output::Json | Output::Ndjson);
        // What is written by others, or moves the cursor, would be drawn over.
        let streams = self.mode() == Output::Stream;
        let alone = !context.verbose() && !(streams && (self.raw || Terminal::stdout_is_pipe()));
        Terminal::progress(view, palette, alone && !quiet && !for_programs)
    }

    /// The exit code that the results call for; `own` says whether it may be that
    /// of the one host's command.
    pub(super) fn exit_code(&self, ended: &Ended, own: bool, interrupted: &Interrupted) -> u8 {
        if let Some(code) = interrupted.exit() {
            return code;
        }
        match &ended.results[..] {
            [result] if own && self.exit_code == ExitCode::Auto => exit::pass_through(result),
            results => exit::of_run(results, ended.stopped.as_ref()),
        }
    }
}

fn parse_output_max(text: &str) -> Result<usize, String> {
    match size::parse(text).map_err(|error| error.to_string())? {
        0 => Err("there is always a bound: give one that is large enough".into()),
        bytes => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
    }
}

/// After how long without an event a view is told that time passes, and the
/// keyboard looked at.
const TICK: Duration = Duration::from_millis(200);

/// Where so much output came at once, there is more to come, and this thread
/// leaves it to itself for a moment: to be woken for each piece would cost the
/// connections' thread as much as receiving it.
const MUCH: usize = 8 << 10;
const GATHER: Duration = Duration::from_micros(500);

/// The person who may watch.
pub(super) struct Person {
    pub(super) keyboard: Keyboard,
    pub(super) interrupted: Interrupted,
    pub(super) notices: UnboundedReceiver<Notice>,
}

/// A run that has been shown.
pub(super) struct Ended {
    results: Vec<HostResult>,
    stopped: Option<Stopped>,
}

/// Shows a run as it goes. A reader of our output that goes away stops it, as
/// it stops ssh.
pub(super) async fn follow(
    mut handle: RunHandle,
    mut view: Box<dyn View>,
    mut person: Person,
    mut out: impl Write,
) -> Result<Ended, Failure> {
    let (run, cancel) = (handle.id(), handle.canceller());
    let mut err = io::stderr();
    let mut broken = None;
    let mut stopped = None;
    let mut several = false;
    let mut flow = Flow::default();
    while let Some(next) = flow.next(&mut handle, &mut person.notices).await {
        match &next {
            Next::Event(Event { kind: EventKind::RunStarted { hosts, .. }, .. }) => {
                several = hosts.len() > 1;
                person.interrupted.ask_first(several && Terminal::watched());
            }
            Next::Event(Event { kind: EventKind::RunFinished { stopped: why, .. }, .. }) => {
                person.interrupted.ask_first(false);
                stopped.clone_from(why);
            }
            _ => {}
        }
        if broken.is_some() {
            continue;
        }
        let mut streams = Streams { out: &mut out, err: &mut err };
        // First: what is drawn has to know that the cursor was moved.
        let asked = several && look(&mut person.keyboard, &mut *view);
        let shown = show(&next, asked, &mut *view, &mut streams);
        if let Err(error) = shown {
            cancel.cancel();
            broken = Some(error);
        }
    }
    let results = handle.wait().await;
    let mut streams = Streams { out: &mut out, err: &mut err };
    let shown = match broken {
        None => view.finish(run, &results, &mut streams),
        Some(error) => Err(error),
    };
    match shown {
        Err(error) if !is_broken_pipe(&error) => Err(error.into()),
        _ => Ok(Ended { results, stopped }),
    }
}

/// What a view is told next.
enum Next {
    Event(Event),
    Notice(Notice),
    Tick,
}

/// How much output came since there was nothing to show.
#[derive(Default)]
struct Flow {
    bytes: usize,
}

impl Flow {
    /// `None` is the end of the run.
    async fn next(
        &mut self,
        handle: &mut RunHandle,
        notices: &mut UnboundedReceiver<Notice>,
    ) -> Option<Next> {
        if let Ok(notice) = notices.try_recv() {
            return Some(Next::Notice(notice));
        }
        let mut event = handle.next_event().now_or_never();
        if event.is_none() && std::mem::take(&mut self.bytes) >= MUCH {
            std::thread::sleep(GATHER);
            event = handle.next_event().now_or_never();
        }
        let next = match event {
            Some(event) => Next::Event(event?),
            None => tokio::select! {
                Some(notice) = notices.recv() => Next::Notice(notice),
                event = tokio::time::timeout(TICK, handle.next_event()) => match event {
                    Ok(event) => Next::Event(event?),
                    Err(_) => Next::Tick,
                },
            },
        };
        if let Next::Event(Event { kind: EventKind::Output { bytes, .. }, .. }) = &next {
            self.bytes += bytes.len();
        }
        Some(next)
    }
}

/// Whether Enter was pressed.
fn look(keyboard: &mut Keyboard, view: &mut dyn View) -> bool {
    let enters = keyboard.enters();
    view.typed(enters.echoed);
    enters.pressed > 0
}

fn show(
    next: &Next,
    asked: bool,
    view: &mut dyn View,
    streams: &mut Streams<'_>,
) -> io::Result<()> {
    let now = Timestamp::now();
    if asked || matches!(next, Next::Notice(Notice::Asked)) {
        view.status(now, streams)?;
    }
    match next {
        Next::Event(event) => view.event(event, streams),
        Next::Notice(Notice::Asked) => view.interject(GOES_ON, streams),
        Next::Notice(Notice::Ending) => view.interject(ENDING, streams),
        Next::Tick => view.tick(now, streams),
    }
}
