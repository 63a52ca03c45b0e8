//! How a run is shown, and the exit code that it ends with.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::failure::Failure;
use super::signals::Interrupted;
use super::stdout::is_broken_pipe;
use super::terminal::Terminal;
use crate::Request;
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
    /// The same as -o json
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
    /// Leave out the VM id before each line
    #[arg(short = 'N', long, env = "ORCHESTRATOR_NO_LABEL", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_label: bool,
    /// Pass control characters on to the terminal
    #[arg(long, env = "ORCHESTRATOR_RAW", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    raw: bool,
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
        match (self.json, self.gather) {
            (true, _) => Output::Json,
            (false, true) => Output::Gather,
            (false, false) => self.output,
        }
    }

    /// Asks for what is needed to show it so.
    pub(super) fn apply(&self, request: Request) -> Request {
        // A document holds what was collected; everything else is told as it
        // comes.
        let streams = matches!(self.mode(), Output::Stream | Output::Ndjson);
        let request = request.stream(streams);
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
        rerun: Option<Rerun>,
    ) -> Box<dyn View> {
        let style = Style {
            out: Terminal::palette(context.color(), Terminal::stdout()),
            err: Terminal::palette(context.color(), Terminal::stderr()),
            labels: !self.no_label,
            raw: self.raw,
            quiet: context.quiet(),
            grace,
            rerun,
        };
        let quiet = style.quiet;
        let view: Box<dyn View> = match self.mode() {
            Output::Gather => Box::new(Gathered::new(style)),
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
        if quiet || for_programs { view } else { Terminal::progress(view) }
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

/// After how long without an event a view is told that time passes.
const TICK: Duration = Duration::from_secs(1);

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
) -> Result<Ended, Failure> {
    let (run, cancel) = (handle.id(), handle.canceller());
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut broken = None;
    let mut stopped = None;
    loop {
        let event = tokio::time::timeout(TICK, handle.next_event()).await;
        if let Ok(Some(Event { kind: EventKind::RunFinished { stopped: why, .. }, .. })) = &event {
            stopped.clone_from(why);
        }
        if broken.is_some() && !matches!(event, Ok(None)) {
            continue;
        }
        let mut streams = Streams { out: &mut out, err: &mut err };
        let shown = match event {
            Ok(Some(event)) => view.event(&event, &mut streams),
            Ok(None) => break,
            Err(_) => view.tick(Timestamp::now(), &mut streams),
        };
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
