//! `runs rerun`.

use super::{fold, opened, short};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, OutputArgs};
use crate::cli::request::{Shown, perform};
use crate::config::Config;
use crate::ids::VmId;
use crate::outcome::Status;
use crate::plan::Label;
use crate::run::Schedule;
use crate::store::Remembered;
use crate::{Overrides, RequestError};

/// Do a run again, on all of its VMs or on those where it did not succeed.
///
/// RUN is any part of a run's id, or `last`. It is done as it was, by the same
/// settings; whether it may be is decided anew. A script and files that are
/// sent must be what they were, by SHA-256. A run that was given secrets must
/// be typed again: they are not remembered.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Which run: any part of its id, or last
    run: String,
    /// Only on VMs that ended so: failed is everything but success
    #[arg(
        long,
        env = "ORCHESTRATOR_ONLY",
        value_enum,
        value_delimiter = ',',
        value_name = "HOW,..."
    )]
    only: Vec<Only>,
    /// Show what would be run where, and whether it may be; run nothing
    #[arg(long, env = "ORCHESTRATOR_DRY_RUN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    dry_run: bool,
    /// Why it is done, for the audit log
    #[arg(long, env = "ORCHESTRATOR_REASON", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Every VM on which it did not succeed
    Failed,
    /// VMs whose turn never came
    NotStarted,
    /// VMs on which the outcome is unknown
    Unknown,
    /// VMs that were not reached
    Unreachable,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let json = args.output.mode() == Output::Json;
    rerun(context, args).map_err(|failure| failure.json(json))
}

fn rerun(context: &Context, args: &Args) -> Result<u8, Failure> {
    args.output.check()?;
    let config = context.config()?;
    let run = opened(&config)?.run(&args.run)?;
    let hosts = hosts(&run, &args.only)?;
    let recipe = run.recipe.clone().map_err(RequestError::TypeAgain)?;
    if !context.quiet() && !args.dry_run {
        announce(context, &config, &run, &hosts);
    }
    let overrides = Overrides::of(&recipe.way)
        .map_err(|error| Failure::usage(format!("the run's jump hosts: {error}")))?;
    let orchestrator = context.orchestrator(config, overrides, Vec::new())?;
    let pattern = fold(&hosts).parse().map_err(RequestError::Syntax)?;
    let mut request = orchestrator.on(pattern).again(&run)?;
    if let Some(reason) = args.reason.as_ref().or(run.reason.as_ref()) {
        request = request.reason(reason);
    }
    let given = |name: &str| context.labels().iter().any(|label| label.name == name);
    for (name, value) in run.metadata.iter().filter(|(name, _)| !given(name)) {
        // What the program wrote there itself was about that run.
        if Label::new(name, value).is_ok() {
            request = request.metadata(name, value);
        }
    }
    let shown = Shown {
        output: &args.output,
        schedule: Schedule::default(),
        dry_run: args.dry_run,
        // What came from our stdin cannot be done again.
        reads_stdin: false,
        single: recipe.single && !recipe.is_parallel(),
        own_code: recipe.single && !recipe.moves_files(),
        grace: recipe.grace,
        rerun: None,
        remembered: true,
    };
    perform(context, &orchestrator, args.output.apply(request), shown)
}

/// The hosts to do it on, in the run's order.
fn hosts(run: &Remembered, only: &[Only]) -> Result<Vec<VmId>, Failure> {
    let wanted = |status: Status| {
        only.is_empty()
            || only.iter().any(|only| match only {
                Only::Failed => status != Status::Success,
                Only::NotStarted => status == Status::NotStarted,
                Only::Unknown => status == Status::Unknown,
                Only::Unreachable => status == Status::Unreachable,
            })
    };
    let hosts = run.hosts.iter().filter(|(_, status)| wanted(*status));
    let hosts: Vec<VmId> = hosts.map(|(vm, _)| vm.clone()).collect();
    if hosts.is_empty() {
        let message = format!("no VM of run {} ended so", short(run.id));
        let hint = format!("`orchestrator runs show {}` says how they ended", short(run.id));
        return Err(Failure { code: "targets_invalid", ..Failure::usage(message) }.hint(hint));
    }
    Ok(hosts)
}

/// Says what is done, and what is worth knowing before it is.
fn announce(context: &Context, config: &Config, run: &Remembered, hosts: &[VmId]) {
    let what = run.command.replace(['\n', '\t'], " ");
    let what = crate::report::escape(what.as_bytes());
    context.note("again", &format!("{what} on {} ({})", fold(hosts), hosts.len()));
    if run.config.as_deref() != config.path() {
        let was = run.config.as_ref().map_or("none".into(), |path| path.display().to_string());
        context.note("note", &format!("the run had another configuration: {was}"));
    }
    let unknown =
        run.hosts.iter().filter(|(vm, status)| *status == Status::Unknown && hosts.contains(vm));
    let unknown: Vec<&VmId> = unknown.map(|(vm, _)| vm).collect();
    if !unknown.is_empty() {
        let hosts = fold(unknown);
        let text = format!("what happened on {hosts} is unknown: it may be done there twice");
        context.note("note", &text);
    }
}
