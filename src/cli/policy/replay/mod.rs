//! `policy replay`.

mod recorded;
mod tally;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use crate::Overrides;
use crate::audit::{AuditError, Entry, Filter, Reader};
use crate::cli::audit::{Log, unreadable};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::{print, print_json};
use crate::cli::time::parse_moment;
use crate::config::Config;
use crate::ids::VmId;
use crate::orchestrator::endpoint;
use crate::plan::Target;
use crate::policy::{HostView, Policy};
use crate::report::escape;
use crate::report::exit::Exit;
use recorded::Recorded;
use tally::{Outcome, Tally};

/// Decide anew, by another policy, everything that the audit log has on record.
///
/// Tells what would be newly denied and newly allowed, by rule and host. Groups
/// and tags of hosts are those of the present inventory. The machine's policy
/// applies too. Records that do not hold all that a decision needs, because a
/// secret was taken out of them for instance, are counted apart. The exit code is
/// 1 if something would be decided otherwise.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The policy that would decide
    #[arg(value_name = "NEW")]
    policy: PathBuf,
    /// Hold it against what this policy decides, instead of what was decided then
    #[arg(long, value_name = "OLD")]
    as_of: Option<PathBuf>,
    /// Written then or later: 2026-11-21T02:40:00Z, 2026-11-21, or 90d for ninety days ago
    #[arg(long, env = "ORCHESTRATOR_SINCE", value_parser = parse_moment, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Written before then
    #[arg(long, env = "ORCHESTRATOR_UNTIL", value_parser = parse_moment, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
    #[command(flatten)]
    log: Log,
}

/// Why a record about a host that is gone cannot be decided.
const NO_HOST: recorded::Why = "its host is not in the inventory any more";

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.config()?;
    let new = beside_machine(&args.policy, &config)?;
    let old = args.as_of.as_deref().map(|path| beside_machine(path, &config)).transpose()?;
    let hosts = hosts(&config);
    let filter = Filter { since: args.since, until: args.until, ..Filter::default() };
    let mut tally = Tally::default();
    let mut denied = Denied::default();
    for entry in Reader::open(args.log.path(context)?).map_err(unreadable)? {
        let entry = match entry {
            Ok(entry) if filter.matches(&entry) => entry,
            Ok(_) => continue,
            Err(error @ AuditError::Broken { .. }) => {
                context.note("warning", &format!("{}: left out", chain(&error)));
                continue;
            }
            Err(error) => return Err(unreadable(error)),
        };
        let Some(request) = recorded::read(&entry) else { continue };
        if denied.is_told(&entry) {
            continue;
        }
        tally.count(entry.seq(), Recorded::key(&entry), || match request {
            Err(why) => Outcome::Undecidable(why),
            Ok(recorded) => outcome(&recorded, &hosts, &new, old.as_ref()),
        });
    }
    tell(args, &tally)?;
    Ok(if tally.differs() { Exit::Failed.code() } else { Exit::Ok.code() })
}

/// Denied attempts whose result is yet to come, which tells the same again.
#[derive(Default)]
struct Denied(HashSet<String>);

impl Denied {
    /// More than are ever under way at once.
    const MAX: usize = 100_000;

    fn is_told(&mut self, entry: &Entry) -> bool {
        let Some(op) = entry.text("/op_id") else { return false };
        if entry.event().ends_with(".result") {
            return self.0.remove(op);
        }
        if entry.value()["decision"]["allow"] == false && self.0.len() < Self::MAX {
            self.0.insert(op.to_owned());
        }
        false
    }
}

/// A policy as it would be in force here.
fn beside_machine(path: &Path, config: &Config) -> Result<Policy, Failure> {
    let policy = Policy::load(path)?;
    policy.check_hosts(&config.inventory)?;
    Ok(Policy::all_of([Policy::machine(), policy]))
}

fn hosts(config: &Config) -> HashMap<VmId, Target> {
    let memberships = config.inventory.memberships();
    let target = |host| {
        Target::new(host, memberships.of(host), endpoint(config, host, Overrides::default()))
    };
    config.inventory.iter().map(|host| (host.id.clone(), target(host))).collect()
}

fn outcome(
    recorded: &Recorded,
    hosts: &HashMap<VmId, Target>,
    new: &Policy,
    old: Option<&Policy>,
) -> Outcome {
    let Some(target) = hosts.get(&recorded.host) else { return Outcome::Undecidable(NO_HOST) };
    // That the inventory allows a host is no matter of a policy.
    let host = HostView {
        id: &target.vm,
        allowed: true,
        groups: &target.groups,
        tags: &target.tags,
        reached: target.endpoint.as_ref().ok(),
    };
    let now = recorded.decide(new, host);
    match old {
        None => Outcome::between(recorded, (recorded.allow, &recorded.rule), now),
        Some(old) => {
            let was = recorded.decide(old, host);
            Outcome::between(recorded, (was.allow, &was.rule), now)
        }
    }
}

fn tell(args: &Args, tally: &Tally) -> Result<(), Failure> {
    let undecidable: u64 = tally.undecidable.values().sum();
    if args.json {
        let path = |path: &Path| path.display().to_string();
        return print_json(&json!({
            "v": 1,
            "policy": path(&args.policy),
            "as_of": args.as_of.as_deref().map(path),
            "since": args.since.map(|since| since.to_string()),
            "until": args.until.map(|until| until.to_string()),
            "records": tally.records,
            "distinct": tally.distinct,
            "undecidable": {"count": undecidable, "why": tally.undecidable},
            "newly_denied": tally.denied.document(),
            "newly_allowed": tally.allowed.document(),
        }));
    }
    print(|out| {
        writeln!(out, "replayed       {}, {} of them distinct", tally.records, tally.distinct)?;
        for (title, groups) in [("newly denied ", &tally.denied), ("newly allowed", &tally.allowed)]
        {
            writeln!(out, "{title}  {}", groups.total)?;
            for line in groups.lines() {
                writeln!(out, "{}", escape(line.as_bytes()))?;
            }
        }
        writeln!(out, "undecidable    {undecidable}")?;
        for (why, count) in &tally.undecidable {
            writeln!(out, "{count:>7}  {why}")?;
        }
        Ok(writeln!(out, "hosts have the groups and tags of the present inventory")?)
    })
}
