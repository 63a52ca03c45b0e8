//! `policy explain`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::request::{RequestArgs, verdict};
use crate::cli::stdout::{print, print_json};
use crate::cli::verb::Verb;
use crate::config::Config;
use crate::ids::VmId;
use crate::nodeset::NodeSet;
use crate::orchestrator::{endpoint, policy_or_none};
use crate::plan::{Asker, Plan, Target};
use crate::policy::{Decision, Limits, Policy, Scope, Token, TokenKind};
use crate::remote::{Action, Script};
use crate::report::exit::Exit;
use crate::{Overrides, RequestError, report};

/// Say what would be decided, by which rule, and what to change.
///
/// What follows is the command line that was refused, as it was: it is read as
/// it would be there, and nothing is run, connected to or recorded. The exit
/// code is 7 if it would be denied anywhere.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// As which account of this machine; roles go by it [default: ours]
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// By this policy, in place of the configuration's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  orchestrator policy explain exec vm01 'systemctl restart app'
  orchestrator policy explain --as alice exec vm01 -- /usr/bin/git push
  orchestrator policy explain --policy new.yml push @web app.tar /opt/app/";

/// What it does, with the content of a script: that is what is decided on.
fn action(verb: &Verb, config: &Config) -> Result<Action, Failure> {
    let (mut action, _) = verb.action(config)?;
    if let Action::Script(script) = &mut action {
        load(script)?;
    }
    action.validate().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(action)
}

fn load(script: &mut Script) -> Result<(), Failure> {
    let shown = script.display();
    let unreadable = |error| Failure::usage(format!("{shown} cannot be read: {error}"));
    script.load().map_err(unreadable)
}

impl Args {
    /// Whether a JSON document is asked for.
    pub(super) fn json(&self) -> bool {
        self.verb.output().mode() == Output::Json
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.config()?;
    let policy = match &args.policy {
        None => policy_or_none(&config),
        Some(file) => {
            let policy = Policy::load(file)?;
            policy.check_hosts(&config.inventory)?;
            Policy::all_of([Policy::machine(), policy])
        }
    };
    let user = args.user.as_deref().or(context.os_user());
    let asker = Asker {
        operator: context.operator(),
        os_user: user.map(str::to_owned),
        allow_threat: matches!(&args.verb, Verb::Script(args) if !args.search().accepted.is_empty()),
        ..Asker::default()
    };
    let action = action(&args.verb, &config)?;
    let overrides = args.verb.ssh().overrides()?;
    let targets = targets(context, &config, args.verb.request(), &overrides)?;
    let mut plan = Plan::decide(action, targets, asker, &policy);
    if let Verb::Script(script) = &args.verb {
        let search = script.search();
        plan.search_script(search.mode(&config), search.accepted);
    }
    let groups = groups(&plan);
    let user = user.unwrap_or("nobody known");
    if args.json() {
        print_json(&document(&plan, user, &groups))?;
    } else {
        let files = policy.sources();
        print(|out| groups.iter().try_for_each(|group| tell(out, &plan, user, &files, group)))?;
    }
    let denied = groups.iter().any(|(decision, _)| !decision.allow);
    Ok(if denied { Exit::Denied.code() } else { Exit::Ok.code() })
}

/// The hosts that are meant, whether they may be used or not.
fn targets(
    context: &Context,
    config: &Config,
    request: &RequestArgs,
    overrides: &Overrides,
) -> Result<Vec<Target>, Failure> {
    let selection = request.narrow.select(context, &request.targets)?.selection;
    let inventory = &config.inventory;
    let hosts = selection.resolve(&inventory.targets()).map_err(RequestError::Pattern)?;
    let memberships = inventory.memberships();
    let hosts = hosts.iter().filter_map(|vm| inventory.get(vm));
    let target =
        |host| Target::new(host, memberships.of(host), endpoint(config, host, overrides.clone()));
    Ok(hosts.map(target).collect())
}

/// Hosts for which the same was decided, told once.
type Group = (Decision, Vec<VmId>);

fn groups(plan: &Plan) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for host in &plan.hosts {
        match groups.iter_mut().find(|(decision, _)| *decision == host.decision) {
            Some((_, hosts)) => hosts.push(host.vm.clone()),
            None => groups.push((host.decision.clone(), vec![host.vm.clone()])),
        }
    }
    groups
}

fn folded(hosts: &[VmId]) -> NodeSet {
    hosts.iter().cloned().collect()
}

fn tell(
    out: &mut dyn Write,
    plan: &Plan,
    user: &str,
    files: &[(String, String)],
    (decision, hosts): &Group,
) -> Result<(), Failure> {
    let verdict = verdict(decision);
    writeln!(out, "{}: {verdict} by {}", folded(hosts), decision.rule)?;
    let mut line = |name: &str, text: String| {
        writeln!(out, "  {name:<9} {}", report::escape(text.as_bytes()).trim_end())
    };
    if let Some(place) = &decision.place {
        line("at", place.to_string())?;
    }
    let role = decision.role.as_ref().map(|role| format!(", by the role {role}"));
    line("asked by", format!("{user}{}", role.unwrap_or_default()))?;
    line("asked for", plan.action.display())?;
    if let Some(token) = &decision.token {
        line("fault", describe(token))?;
    }
    if let Some(reason) = &decision.reason {
        line("because", reason.clone())?;
    }
    if let Some(hint) = &decision.hint {
        line("to do", hint.clone())?;
    }
    for note in &decision.notes {
        line("note", note.clone())?;
    }
    for rate in &decision.constraints.rates {
        line("rate", format!("{rate}; {}", counted(&rate.scope)))?;
    }
    for instances in &decision.constraints.instances {
        line("at most", format!("{} at once; {}", instances.max, counted(&instances.scope)))?;
    }
    let within = decision.constraints.within();
    if decision.allow && !within.is_empty() {
        line("within", within)?;
    }
    if decision.requires_approval {
        line("approval", "somebody else has to approve exactly this first".into())?;
    }
    for sha256 in decision.policy_sha256.iter().flat_map(|digests| digests.split('+')) {
        // With a single file, its place above says which.
        let file = files.iter().filter(|_| files.len() > 1).find(|(_, own)| own == sha256);
        let file = file.map(|(name, _)| format!("{name} ")).unwrap_or_default();
        line("policy", format!("{file}sha256 {sha256}"))?;
    }
    Ok(())
}

/// Of what a rule counts how much.
fn counted(scope: &Scope) -> String {
    match &scope.rule {
        Some(rule) => format!("{rule} on each host"),
        None => "all that the operator begins".to_owned(),
    }
}

fn describe(token: &Token) -> String {
    let (index, text) = (token.index, &token.text);
    match token.kind {
        TokenKind::Byte => format!("`{text}` at byte {index} of the string"),
        TokenKind::Path => format!("`{text}`"),
        TokenKind::Variable => format!("the variable {text}"),
        TokenKind::Word if index == 0 => format!("the program, `{text}`"),
        TokenKind::Word => format!("the argument at position {}, `{text}`", index - 1),
    }
}

fn document(plan: &Plan, user: &str, groups: &[Group]) -> Value {
    let decisions = groups.iter().map(|(decision, hosts)| {
        json!({
            "hosts": hosts.iter().map(VmId::as_str).collect::<Vec<_>>(),
            "allow": decision.allow,
            "rule": decision.rule,
            "place": decision.place.as_ref().map(ToString::to_string),
            "role": decision.role,
            "reason": decision.reason,
            "hint": decision.hint,
            "token": decision.token.as_ref().map(|token| json!({
                "kind": kind(token.kind), "index": token.index, "text": token.text,
            })),
            "notes": decision.notes,
            "rates": decision.constraints.rates.iter().map(|rate| json!({
                "rule": rate.scope.rule.as_deref(), "interval": rate.interval.as_secs_f64(),
                "burst": rate.burst, "when_exceeded": rate.when_exceeded.as_str(),
            })).collect::<Vec<_>>(),
            "instances": decision.constraints.instances.iter().map(|instances| json!({
                "rule": instances.scope.rule.as_deref(), "max": instances.max,
            })).collect::<Vec<_>>(),
            "limits": limits(&decision.constraints.all_limits()),
            "sandbox": decision.constraints.sandbox().map(|sandbox| json!({
                "name": sandbox.name,
                "network": sandbox.network != Some(false),
            })),
            "requires_approval": decision.requires_approval,
            "policy_sha256": decision.policy_sha256,
        })
    });
    json!({
        "v": 1,
        "operator": user,
        "action": plan.action.display(),
        "decisions": decisions.collect::<Vec<_>>(),
    })
}

/// By their names in the policy; times in seconds.
fn limits(limits: &Limits) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "max_cpu_time": seconds(limits.max_cpu_time),
        "max_wall_time": seconds(limits.max_wall_time),
        "max_memory": limits.max_memory,
        "max_processes": limits.max_processes,
        "max_open_files": limits.max_open_files,
        "max_file_size": limits.max_file_size,
        "max_output": limits.max_output,
    })
}

fn kind(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Byte => "byte",
        TokenKind::Path => "path",
        TokenKind::Variable => "variable",
        TokenKind::Word => "word",
    }
}
