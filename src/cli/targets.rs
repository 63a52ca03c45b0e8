//! Which VMs: the targets, what narrows them, and what they leave out.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};

use super::context::Context;
use super::failure::Failure;
use super::runs;
use super::stdout::print;
use crate::RequestError;
use crate::config::Config;
use crate::ids::VmId;
use crate::inventory::Inventory;
use crate::nodeset::{Content, HostPattern, LIST_MAX, NodeSet, PastResult, Selection, Source};
use crate::orchestrator::resolve;
use crate::outcome::Status;
use crate::store::LAST;

/// What TARGETS may be, in the help of every verb that has them.
pub(super) const HELP: &str = "Where: vm01,vm02 · vm[01-04] · all · @group · tag=prod · web* · @file:PATH · - (stdin); , unites, ! takes away, & keeps what is in both";

/// The flags that narrow the targets.
#[derive(clap::Args)]
#[command(next_help_heading = "Targets")]
pub(super) struct TargetArgs {
    /// Leave out these VMs
    #[arg(short = 'x', long, env = "ORCHESTRATOR_EXCLUDE", value_name = "TARGETS")]
    exclude: Vec<String>,
    /// Only VMs that are among these, too
    #[arg(long, env = "ORCHESTRATOR_LIMIT", value_name = "TARGETS")]
    limit: Option<String>,
    /// At most so many of them, at random
    #[arg(long, env = "ORCHESTRATOR_PICK", value_name = "N", value_parser = parse_count)]
    pick: Option<usize>,
    /// Print the VM ids, one a line, and do nothing
    #[arg(long, env = "ORCHESTRATOR_LIST_HOSTS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) list_hosts: bool,
}

/// What was selected on the command line.
pub(super) struct Chosen {
    pub(super) selection: Selection,
    /// Whether it took our stdin.
    pub(super) stdin: bool,
}

impl TargetArgs {
    /// What these flags and the targets select. Lists are read here, once.
    pub(super) fn select(&self, context: &Context, targets: &str) -> Result<Chosen, Failure> {
        let lists = Lists { context, stdin: OnceCell::new() };
        let mut selection = Selection::new(lists.pattern(targets)?);
        for exclude in &self.exclude {
            selection = selection.exclude(lists.pattern(exclude)?);
        }
        if let Some(limit) = &self.limit {
            selection = selection.limit(lists.pattern(limit)?);
        }
        if let Some(count) = self.pick {
            selection = selection.pick(count);
        }
        Ok(Chosen { selection, stdin: lists.stdin.get().is_some() })
    }

    /// Whether one of them is given.
    pub(super) fn narrow(&self) -> bool {
        !self.exclude.is_empty() || self.limit.is_some() || self.pick.is_some()
    }
}

/// Says which hosts are left out because they may not be used.
pub(super) fn note_skipped(context: &Context, inventory: &Inventory, hosts: &Selection) {
    let skipped = skipped(inventory, hosts);
    if !skipped.is_empty() && !context.quiet() {
        context.note("note", &format!("{skipped} left out: disabled or not allowed"));
    }
}

/// The hosts that `all`, groups, tags and globs would select if they might be
/// used.
fn skipped(inventory: &Inventory, hosts: &Selection) -> NodeSet {
    let hosts = hosts.clone().without_pick();
    let used = hosts.resolve(&inventory.targets()).unwrap_or_default();
    let used: HashSet<&VmId> = used.iter().collect();
    let meant = hosts.resolve(&inventory.targets_if_allowed()).unwrap_or_default();
    let unusable = |vm: &VmId| inventory.get(vm).is_some_and(|host| !host.allowed);
    meant.into_iter().filter(|vm| !used.contains(vm) && unusable(vm)).collect()
}

/// Does what --list-hosts asks for.
pub(super) fn list_hosts(config: &Config, hosts: &Selection) -> Result<u8, Failure> {
    let hosts = resolve(&config.inventory, hosts)?;
    print(|out| Ok(hosts.iter().try_for_each(|vm| writeln!(out, "{vm}"))?))?;
    Ok(0)
}

/// Where targets come from that do not stand on the command line.
struct Lists<'a> {
    context: &'a Context,
    stdin: OnceCell<()>,
}

impl Lists<'_> {
    fn pattern(&self, text: &str) -> Result<HostPattern, Failure> {
        let settled = text.parse::<HostPattern>().and_then(|pattern| {
            pattern.settle(|source| match source {
                Source::File(path) => read(File::open(path)).map(Content::Lines),
                Source::Stdin => match self.stdin.set(()) {
                    Ok(()) => read(Ok(io::stdin().lock())).map(Content::Lines),
                    Err(()) => Err("stdin is read once, and is read already".into()),
                },
                Source::Result(result, run) => {
                    let hosts = self.past(*result, run.as_deref());
                    hosts.map(Content::Hosts).map_err(|failure| failure.message)
                }
            })
        });
        settled.map_err(|error| RequestError::Syntax(error).into())
    }

    /// The hosts of a run by their result, the last run if none is named.
    fn past(&self, result: PastResult, run: Option<&str>) -> Result<Vec<VmId>, Failure> {
        let store = runs::opened(&self.context.load_config()?)?;
        let run = run.unwrap_or(LAST);
        Ok(match result {
            PastResult::Failed => store.hosts_failed(run)?,
            PastResult::Unreachable => store.hosts_with(run, &[Status::Unreachable])?,
        })
    }
}

/// A list as text, as long as a list may be and a byte, which is refused then.
fn read(source: io::Result<impl Read>) -> Result<String, String> {
    let mut text = String::new();
    source
        .and_then(|source| source.take(LIST_MAX + 1).read_to_string(&mut text))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    Ok(text)
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one VM is needed".into()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("{text:?} is not a number of VMs")),
    }
}
