//! `runs show`.

use std::io;

use super::{diff, fold, moment, opened, short, took};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::stdout::{is_broken_pipe, print};
use crate::cli::terminal::Terminal;
use crate::event::{Event, EventKind};
use crate::ids::VmId;
use crate::nodeset::{HostPattern, Known};
use crate::outcome::{HostResult, tally};
use crate::remote::Captured;
use crate::report::{self, Document, Endings, EventLines, Gathered, Streams, Style, Summary, View};
use crate::store::Remembered;

/// Show what came of a run, or how two runs differ.
///
/// RUN is any part of a run's id, or `last`. What the VMs wrote is shown as
/// `exec -b` shows it, as far as it is kept; --json prints the document that
/// `exec --json` gave.
#[derive(clap::Args)]
#[command(override_usage = "orchestrator runs show [OPTIONS] <RUN> [HOST]...\n       \
                            orchestrator runs show [OPTIONS] --diff <RUN1> <RUN2> [HOST]...")]
pub(in crate::cli) struct Args {
    /// Which run, and of which VMs [default: all of them]
    #[arg(value_name = "RUN|HOST")]
    words: Vec<String>,
    /// Compare two runs, VM by VM
    #[arg(long, num_args = 2, env = "ORCHESTRATOR_SHOW_DIFF", value_names = ["RUN1", "RUN2"], value_delimiter = ' ')]
    diff: Vec<String>,
    /// How it is shown
    #[arg(short, long, env = "ORCHESTRATOR_OUTPUT", value_enum, value_name = "HOW")]
    output: Option<Output>,
    /// The same as -o json
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
    /// Print what one VM wrote on stdout, and nothing else
    #[arg(long, env = "ORCHESTRATOR_SHOW_STDOUT", conflicts_with = "diff", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    stdout: bool,
    /// Print what one VM wrote on stderr, and nothing else
    #[arg(long, env = "ORCHESTRATOR_SHOW_STDERR", conflicts_with_all = ["diff", "stdout"], value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    stderr: bool,
    /// Pass control characters on to the terminal
    #[arg(long, env = "ORCHESTRATOR_RAW", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    raw: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let json = args.mode() == Output::Json;
    show(context, args).map_err(|failure| failure.json(json))
}

fn show(context: &Context, args: &Args) -> Result<u8, Failure> {
    let store = opened(&context.config()?)?;
    if let [before, after] = args.diff.as_slice() {
        let (before, after) = (store.run(before)?, store.run(after)?);
        let results = |run: &Remembered| -> Result<_, Failure> {
            Ok(select(store.results(run.id)?, &args.words))
        };
        let (old, new) = (results(&before)?, results(&after)?);
        if !args.words.is_empty() && old.is_empty() && new.is_empty() {
            return Err(no_host(&args.words, "either run"));
        }
        return diff::show(args.style(context), (&before, &old), (&after, &new));
    }
    let Some((part, hosts)) = args.words.split_first() else {
        return Err(Failure::usage("there is no run: name one by a part of its id, or `last`"));
    };
    let run = store.run(part)?;
    let results = select(store.results(run.id)?, hosts);
    if results.is_empty() && !hosts.is_empty() {
        return Err(no_host(hosts, "the run"));
    }
    if args.stdout || args.stderr {
        let [result] = results.as_slice() else {
            return Err(Failure::usage("the output of one VM can be printed alone")
                .hint(format!("orchestrator runs show {} vm01 --stdout", short(run.id))));
        };
        if result.commands.is_empty() {
            return raw(context, args, if args.stdout { &result.stdout } else { &result.stderr });
        }
        for command in &result.commands {
            raw(context, args, if args.stdout { &command.stdout } else { &command.stderr })?;
        }
        return Ok(0);
    }
    if !matches!(args.mode(), Output::Json | Output::Ndjson) && !context.quiet() {
        header(&run)?;
    }
    replay(&run, &results, args.view(context))?;
    for result in results.iter().filter(|result| is_lost(result) && !context.quiet()) {
        context.note("note", &format!("{}: what it wrote was not kept", result.vm));
    }
    Ok(0)
}

impl Args {
    fn mode(&self) -> Output {
        if self.json { Output::Json } else { self.output.unwrap_or(Output::Gather) }
    }

    fn style(&self, context: &Context) -> Style {
        Style {
            out: Terminal::palette(context.color(), Terminal::stdout()),
            err: Terminal::palette(context.color(), Terminal::stderr()),
            raw: self.raw,
            quiet: context.quiet(),
            ..Style::default()
        }
    }

    fn view(&self, context: &Context) -> Box<dyn View> {
        let style = self.style(context);
        match self.mode() {
            Output::Json => Box::new(Document::default()),
            Output::Ndjson => Box::new(EventLines),
            Output::None => Box::new(Endings::new(style)),
            Output::Summary => Box::new(Summary::new(style)),
            Output::Gather | Output::Stream => Box::new(Gathered::new(style)),
        }
    }
}

fn no_host(hosts: &[String], run: &str) -> Failure {
    Failure::usage(format!("{} names no VM of {run}", hosts.join(",")))
}

/// The results of these VMs; without any, of all.
fn select(results: Vec<HostResult>, hosts: &[String]) -> Vec<HostResult> {
    if hosts.is_empty() {
        return results;
    }
    let known = Ran(results.iter().map(|result| result.vm.clone()).collect());
    let named: Vec<VmId> = hosts
        .iter()
        .filter_map(|text| text.parse::<HostPattern>().ok()?.resolve(&known).ok())
        .flatten()
        .collect();
    results.into_iter().filter(|result| named.contains(&result.vm)).collect()
}

/// The hosts of a run as a pattern sees them.
struct Ran(Vec<VmId>);

impl Known for Ran {
    fn all(&self) -> Vec<VmId> {
        self.0.clone()
    }

    fn contains(&self, vm: &VmId) -> bool {
        self.0.contains(vm)
    }

    fn selects(&self, vm: &VmId) -> bool {
        self.contains(vm)
    }
}

fn header(run: &Remembered) -> Result<(), Failure> {
    let asked = match &run.reason {
        Some(reason) => format!("{}: {reason}", run.operator),
        None => run.operator.clone(),
    };
    let lasted = match took(run) {
        Some(seconds) => format!("{}, {seconds:.1} s", moment(run.started)),
        None => format!("{}; it goes on, or its program was ended", moment(run.started)),
    };
    let ids = run.hosts.iter().map(|(vm, _)| vm);
    let again = match &run.recipe {
        Ok(_) => format!("orchestrator runs rerun {}", short(run.id)),
        Err(why) => format!("type it again: {why}"),
    };
    let metadata = run.metadata.iter().map(|(name, value)| format!("{name}={value}"));
    let metadata = metadata.collect::<Vec<_>>().join(" ");
    let lines = [
        ("run", run.id.to_string()),
        (run.kind.as_str(), run.command.clone()),
        ("who", asked),
        ("when", lasted),
        ("where", format!("{} ({})", fold(ids), run.hosts.len())),
        ("with", metadata),
        ("again", again),
    ];
    print(|out| {
        for (name, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
            let text = report::escape(text.replace(['\n', '\t'], " ").as_bytes());
            writeln!(out, "{name:<8} {text}")?;
        }
        Ok(())
    })
}

/// Shows results as they were shown when they came.
fn replay(
    run: &Remembered,
    results: &[HostResult],
    mut view: Box<dyn View>,
) -> Result<(), Failure> {
    let started = EventKind::RunStarted {
        hosts: results.iter().map(|result| result.vm.clone()).collect(),
        command: run.command.clone(),
    };
    let finished = results.iter().flat_map(|result| {
        let of = result.commands.len();
        let commands = result.commands.iter().enumerate().map(move |(index, command)| {
            let (vm, result) = (result.vm.clone(), Box::new(command.clone()));
            EventKind::CommandFinished { vm, index, of, result }
        });
        commands.chain([EventKind::HostFinished(Box::new(result.clone()))])
    });
    let ended = EventKind::RunFinished { summary: tally(results), stopped: None };
    let kinds = std::iter::once(started).chain(finished).chain([ended]);
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut to = Streams { out: &mut out, err: &mut err };
    let shown = || {
        for (seq, kind) in (0..).zip(kinds) {
            let at = match &kind {
                EventKind::RunStarted { .. } => run.started,
                EventKind::CommandFinished { result, .. } => result.finished_at,
                EventKind::HostFinished(result) => result.finished_at,
                _ => run.ended.unwrap_or(run.started),
            };
            view.event(&Event { seq, at, run: run.id, kind }, &mut to)?;
        }
        view.finish(run.id, results, &mut to)
    };
    match shown() {
        Err(error) if !is_broken_pipe(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The bytes themselves, unless a terminal would obey them.
fn raw(context: &Context, args: &Args, stream: &Captured) -> Result<u8, Failure> {
    let bytes = stream.to_bytes();
    print(|out| {
        match Terminal::stdout() && !args.raw {
            true => out.write_all(report::escape(&bytes).as_bytes())?,
            false => out.write_all(&bytes)?,
        }
        Ok(())
    })?;
    if !stream.is_empty() && bytes.is_empty() && !context.quiet() {
        context.note("note", "what it wrote was not kept");
    }
    Ok(0)
}

fn is_lost(result: &HostResult) -> bool {
    let lost = |stream: &Captured| !stream.is_empty() && stream.to_bytes().is_empty();
    let of_commands = result.commands.iter().flat_map(|it| [&it.stdout, &it.stderr]);
    [&result.stdout, &result.stderr].into_iter().chain(of_commands).any(lost)
}
