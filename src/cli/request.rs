//! What every verb that does something on VMs has in common: which VMs, within
//! which bounds, shown how.

use std::io::Write;
use std::time::Duration;

use secrecy::SecretString;

use super::arguments::{self, SshArgs, parse_duration};
use super::context::Context;
use super::failure::Failure;
use super::fleet::FleetArgs;
use super::keyboard::Keyboard;
use super::output::{Output, OutputArgs, Person, follow};
use super::rerun::{rerun, shows_secret};
use super::signals::notice_signals;
use super::stdout::{self, print};
use super::targets::{self, Chosen, TargetArgs};
use crate::config::Config;
use crate::plan::Plan;
use crate::policy::Decision;
use crate::remote::{Action, Stdin};
use crate::report::Rerun;
use crate::report::exit::Exit;
use crate::run::{RunHandle, Schedule};
use crate::scan::{Mode, RuleName};
use crate::{Orchestrator, Request};

/// The flags of a request, whatever is to be done.
#[derive(clap::Args)]
pub(super) struct RequestArgs {
    #[arg(help = targets::HELP)]
    pub(super) targets: String,

    /// Show what would be run where, and whether it may be; run nothing
    #[arg(long, env = "ORCHESTRATOR_DRY_RUN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    dry_run: bool,
    /// How long it may take on each VM, then it is ended there; 0 is no limit [default: default_timeout, else 30s]
    #[arg(long, env = "ORCHESTRATOR_TIMEOUT", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// How long processes have between TERM and KILL [default: grace, else 5s]
    #[arg(long, env = "ORCHESTRATOR_GRACE", value_parser = parse_duration, value_name = "DURATION")]
    grace: Option<Duration>,
    /// How often to try again while nothing was sent [default: default_retry - 1, else 2]
    #[arg(long, env = "ORCHESTRATOR_RETRIES", value_name = "N")]
    retries: Option<u32>,
    /// Why it is done, for the audit log
    #[arg(long, env = "ORCHESTRATOR_REASON", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    pub(super) narrow: TargetArgs,
    #[command(flatten)]
    fleet: FleetArgs,
}

/// Does on the VMs what `action` gives, beside the secrets that must never be
/// recorded, and shows it. `action` is called once it is certain that something
/// is to be done: it may ask for passwords.
pub(super) fn run_request(
    context: &Context,
    args: &RequestArgs,
    ssh: &SshArgs,
    output: &OutputArgs,
    action: impl FnOnce() -> Result<(Action, Vec<SecretString>), Failure>,
    then: Then<'_>,
) -> Result<u8, Failure> {
    run_script(context, args, ssh, output, Search::default(), |_| action(), then)
}

/// What is done with a request that is ready: it is carried out, or planned.
pub(super) type Then<'a> =
    &'a dyn Fn(&Context, &Orchestrator, Request, Shown<'_>) -> Result<u8, Failure>;

/// What is to be looked for in a script.
#[derive(Clone, Copy, Default)]
pub(super) struct Search<'a> {
    /// Whether it is to be searched whatever the configuration says.
    pub(super) all: bool,
    /// Rules whose findings are accepted.
    pub(super) accepted: &'a [RuleName],
}

impl Search<'_> {
    /// Which scripts are searched.
    pub(super) fn mode(self, config: &Config) -> Mode {
        if self.all { Mode::All } else { config.scripts.scan }
    }

    fn apply(self, request: Request) -> Request {
        let request = if self.all { request.scan(Mode::All) } else { request };
        self.accepted.iter().fold(request, |request, rule| request.allow_threat(*rule))
    }
}

/// The same for what may be a script of the configuration's library.
pub(super) fn run_script(
    context: &Context,
    args: &RequestArgs,
    ssh: &SshArgs,
    output: &OutputArgs,
    search: Search<'_>,
    action: impl FnOnce(&Config) -> Result<(Action, Vec<SecretString>), Failure>,
    then: Then<'_>,
) -> Result<u8, Failure> {
    let json = output.mode() == Output::Json;
    carry_out(context, args, ssh, output, search, action, then)
        .map_err(|failure| failure.json(json))
}

fn carry_out(
    context: &Context,
    args: &RequestArgs,
    ssh: &SshArgs,
    output: &OutputArgs,
    search: Search<'_>,
    action: impl FnOnce(&Config) -> Result<(Action, Vec<SecretString>), Failure>,
    then: Then<'_>,
) -> Result<u8, Failure> {
    args.fleet.check()?;
    output.check()?;
    let Chosen { selection, stdin } = args.narrow.select(context, &args.targets)?;
    let mut config = context.config()?;
    targets::note_skipped(context, &config.inventory, &selection);
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &selection);
    }
    let (action, secrets) = action(&config)?;
    action.validate().map_err(|error| Failure::usage(error.to_string()))?;
    arguments::limit_connecting(&mut config, ssh.connect_timeout);
    if stdin && takes_stdin(&action) {
        let message = "stdin has the targets, and cannot be the command's input, too";
        return Err(Failure::usage(message).hint("put one of them into a file: @file:PATH"));
    }
    // Targets that cannot be used are the request's to refuse: it records that.
    let total = selection.resolve(&config.inventory.targets());
    let total = total.map_or(0, |hosts| hosts.len());
    let grace = args.grace.unwrap_or(config.remote_execution.grace);
    let moves_files = matches!(action, Action::Transfer(_));
    let reads_stdin = takes_stdin(&action);
    let remembered = config.runs.enabled
        && config.runs.path.is_some()
        && secrets.is_empty()
        && !reads_stdin
        && !shows_secret();
    let interleaved = matches!(&action, Action::Commands(list) if list.parallel.get() > 1);
    let overrides = ssh.overrides()?;
    let orchestrator = context.orchestrator(config, overrides, secrets)?;
    let request = orchestrator.select(selection.clone()).action(action);
    let request = search.apply(args.apply(output.apply(request), total));
    let single = selection.hosts().is_single_literal();
    let shown = Shown {
        output,
        schedule: args.fleet.schedule(),
        dry_run: args.dry_run,
        reads_stdin,
        // Lines of commands that run at once must be kept whole.
        single: single && !interleaved,
        // Files have no exit code of their own to give.
        own_code: single && !moves_files,
        grace,
        rerun: rerun(&args.targets),
        remembered,
    };
    then(context, &orchestrator, request, shown)
}

/// How a request is shown.
pub(super) struct Shown<'a> {
    pub(super) output: &'a OutputArgs,
    /// In which batches hosts are worked on.
    pub(super) schedule: Schedule,
    /// Whether only the plan is.
    pub(super) dry_run: bool,
    /// Whether it reads what is typed.
    pub(super) reads_stdin: bool,
    /// Whether one host was named, by its id.
    pub(super) single: bool,
    /// Whether the exit code of what ran there may be ours.
    pub(super) own_code: bool,
    /// What processes have between TERM and KILL.
    pub(super) grace: Duration,
    /// The same with other targets.
    pub(super) rerun: Option<Rerun>,
    /// Whether it can be done again as it is remembered.
    pub(super) remembered: bool,
}

/// Carries a request out and shows it.
pub(super) fn perform(
    context: &Context,
    orchestrator: &Orchestrator,
    request: Request,
    shown: Shown<'_>,
) -> Result<u8, Failure> {
    if shown.dry_run {
        let plan = request.plan()?;
        let code = show_plan(&plan, &shown.schedule)?;
        // It would be denied as it is typed.
        return Ok(if plan.needs_approval() { Exit::Denied.code() } else { code });
    }
    watch(context, orchestrator, || Ok(request.start()?), shown)
}

/// Shows a run that `start` begins.
pub(super) fn watch(
    context: &Context,
    orchestrator: &Orchestrator,
    start: impl FnOnce() -> Result<RunHandle, Failure>,
    shown: Shown<'_>,
) -> Result<u8, Failure> {
    let Shown { output, reads_stdin, single, own_code, grace, .. } = shown;
    let again = (shown.rerun, shown.remembered);
    // This thread shows the run and may wait for whoever reads our output; the
    // other one keeps the deadlines meanwhile.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let out = stdout::unbuffered()?;
    let done = runtime.block_on(async {
        let done = async {
            let handle = start()?;
            let (interrupted, notices) = notice_signals(handle.canceller(), context.quiet())?;
            let view = output.view(context, single, grace, again);
            let keyboard = Keyboard::new(!reads_stdin);
            let person = Person { keyboard, interrupted: interrupted.clone(), notices };
            let ended = follow(handle, view, person, out).await?;
            Ok::<_, Failure>(output.exit_code(&ended, own_code, &interrupted))
        };
        let done = done.await;
        // What was refused is on record, too, and that is to be complete.
        orchestrator.shutdown().await;
        if let Some(why) = orchestrator.not_remembered().filter(|_| !context.quiet()) {
            context.note("note", &format!("this run is not remembered: {why}"));
        }
        done
    });
    // Whoever still waits on our stdin or on a slow resolver is not waited for.
    runtime.shutdown_background();
    done
}

impl RequestArgs {
    /// Whether it was said how long it may take.
    pub(super) fn has_timeout(&self) -> bool {
        self.timeout.is_some()
    }

    fn apply(&self, mut request: Request, total: usize) -> Request {
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(grace) = self.grace {
            request = request.grace(grace);
        }
        if let Some(retries) = self.retries {
            request = request.retries(retries);
        }
        if let Some(reason) = &self.reason {
            request = request.reason(reason);
        }
        self.fleet.apply(request, total)
    }
}

fn takes_stdin(action: &Action) -> bool {
    let stdin = match action {
        Action::Command(command) => &command.stdin,
        Action::Script(script) => &script.settings.stdin,
        Action::Commands(_) | Action::Transfer(_) => return false,
    };
    matches!(stdin, Stdin::Inherit)
}

/// A decision in a word or four.
pub(super) fn verdict(decision: &Decision) -> &'static str {
    match decision {
        Decision { allow: false, .. } => "DENIED",
        Decision { requires_approval: true, .. } => "ALLOWED, with an approval,",
        _ => "allowed",
    }
}

fn show_action(action: &Action, out: &mut dyn Write) -> Result<(), Failure> {
    let Action::Commands(list) = action else {
        return Ok(writeln!(out, "{}", action.display())?);
    };
    let commands = list.commands();
    let way = match (list.shell_session, list.parallel.get()) {
        (true, _) => "in one shell".to_owned(),
        (false, 1) => "one after another".to_owned(),
        (false, several) => format!("{several} at once"),
    };
    let fails = if list.keep_going { "goes on after" } else { "stops at" };
    let noun = if commands.len() == 1 { "command" } else { "commands" };
    writeln!(out, "{} {noun}, {way}; a VM {fails} a failure", commands.len())?;
    for (number, command) in (1..).zip(commands) {
        writeln!(out, "{number:>5}  {}", command.display())?;
    }
    Ok(())
}

pub(super) fn show_plan(plan: &Plan, schedule: &Schedule) -> Result<u8, Failure> {
    let batches = schedule.ranges(plan.hosts.len());
    print(|out| {
        show_action(&plan.action, out)?;
        for probe in &plan.probes {
            writeln!(out, "probe between batches: {}", probe.action.display())?;
        }
        for (index, host) in plan.hosts.iter().enumerate() {
            let batch = batches.iter().position(|batch| batch.start == index);
            if let Some(batch) = batch.filter(|_| !schedule.is_plain()) {
                writeln!(out, "batch {}/{}", batch + 1, batches.len())?;
            }
            let verdict = verdict(&host.decision);
            let way = match &host.endpoint {
                Ok(endpoint) => format!("{}@{}", endpoint.user, endpoint.authority()),
                Err(failure) => failure.message.clone(),
            };
            let reason = host.decision.reason.as_deref().map(|reason| format!(": {reason}"));
            let (rule, reason) = (&host.decision.rule, reason.unwrap_or_default());
            let within = Some(host.decision.constraints.within()).filter(|text| !text.is_empty());
            let within = within.map(|text| format!(" within {text}")).unwrap_or_default();
            writeln!(out, "{}  {way}  {verdict} by {rule}{reason}{within}", host.vm)?;
        }
        Ok(())
    })?;
    let denied = plan.hosts.iter().any(|host| !host.decision.allow);
    Ok(if denied { Exit::Denied.code() } else { Exit::Ok.code() })
}
