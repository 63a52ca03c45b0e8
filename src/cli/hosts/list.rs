//! `hosts list`.

use serde_json::{Value, json};

use crate::RequestError;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::cli::targets::{self, TargetArgs};
use crate::config::Config;
use crate::inventory::Host;

/// List the VMs of the inventory, in its order.
///
/// Without TARGETS every VM is listed, whether it may be used or not.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(help = targets::HELP)]
    targets: Option<String>,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.config()?;
    let hosts = select(context, &config, args)?;
    if args.narrow.list_hosts {
        print(|out| Ok(hosts.iter().try_for_each(|host| writeln!(out, "{}", host.id))?))?;
        return Ok(0);
    }
    if args.json {
        let hosts: Vec<Value> = hosts.into_iter().map(document).collect();
        print_json(&json!({"v": 1, "hosts": hosts}))?;
        return Ok(0);
    }
    let mut table = Table::with_header(&["ID", "ADDRESS", "USER", "ROLE", "STATE", "TAGS"]);
    for host in hosts {
        table.row([
            host.id.as_str(),
            &address(host),
            &host.ssh_user,
            host.role.as_deref().unwrap_or("-"),
            state(host),
            &host.tags.join(", "),
        ]);
    }
    print(|out| Ok(table.write(out)?))?;
    Ok(0)
}

/// The hosts to list: naming one that may not be used is no error here.
fn select<'a>(
    context: &Context,
    config: &'a Config,
    args: &Args,
) -> Result<Vec<&'a Host>, Failure> {
    let inventory = &config.inventory;
    let targets = match &args.targets {
        Some(targets) => targets,
        None if args.narrow.narrow() => "all",
        None => return Ok(inventory.iter().collect()),
    };
    let selection = args.narrow.select(context, targets)?.selection;
    targets::note_skipped(context, inventory, &selection);
    let ids = selection.resolve(&inventory.targets()).map_err(RequestError::Pattern)?;
    Ok(ids.iter().filter_map(|id| inventory.get(id)).collect())
}

pub(super) fn address(host: &Host) -> String {
    match host.address.contains(':') {
        true => format!("[{}]:{}", host.address, host.port),
        false => format!("{}:{}", host.address, host.port),
    }
}

/// Whether something may be done there, and if not, why.
pub(super) fn state(host: &Host) -> &'static str {
    match (host.allowed, host.enabled) {
        (true, _) => "allowed",
        (false, true) => "not allowed",
        (false, false) => "disabled",
    }
}

/// A host under the names that its settings have in the configuration.
fn document(host: &Host) -> Value {
    json!({
        "vm_id": host.id.as_str(),
        "name": host.name,
        "ip": host.address,
        "ssh_port": host.port,
        "ssh_user": host.ssh_user,
        "role": host.role,
        "enabled": host.enabled,
        "allowed": host.allowed,
        "tags": host.tags,
        "os": host.os.as_str(),
    })
}
