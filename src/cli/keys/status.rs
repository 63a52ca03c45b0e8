//! `keys status`.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::keys;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::cli::targets::{self, TargetArgs};
use crate::ids::VmId;
use crate::keys::{KeyState, Verdict, look};
use crate::report::exit::Exit;

/// Show the key of each VM, and whether it is due for rotation.
///
/// Exits 1 if a key is missing, cannot be used or is older than
/// key_rotation_days. Looks at files only; nothing is connected to.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(default_value = "all", help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let hosts = args.narrow.select(context, &args.targets)?.selection;
    let config = context.config()?;
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &hosts);
    }
    let (limit, now) = (config.remote_execution.key_rotation_days, SystemTime::now());
    let keys = keys(&config, &hosts)?;
    let states: Vec<(&VmId, &Path, KeyState)> = keys
        .iter()
        .map(|(host, path)| (&host.id, path.as_path(), look(path, limit, now)))
        .collect();
    let good = states.iter().all(|(_, _, state)| state.verdict.is_good());
    if args.json {
        let hosts: Vec<Value> = states.iter().map(document).collect();
        print_json(&json!({"v": 1, "key_rotation_days": limit, "hosts": hosts}))?;
    } else {
        let mut table =
            Table::with_header(&["ID", "STATE", "AGE", "TYPE", "PASSPHRASE", "KEY", "FILE"]);
        states.iter().for_each(|state| table.row(row(state)));
        print(|out| Ok(table.write(out)?))?;
        for (vm, _, state) in &states {
            if let Some(next) = next_step(vm, state).filter(|_| !context.quiet()) {
                context.note("hint", &format!("{vm}: {next}"));
            }
        }
    }
    Ok(if good { Exit::Ok.code() } else { Exit::Failed.code() })
}

fn row((vm, path, state): &(&VmId, &Path, KeyState)) -> [String; 7] {
    let none = || "-".to_owned();
    let facts = state.facts.as_ref();
    let verdict = match &state.verdict {
        Verdict::Unusable(error) => format!("unusable: {error}"),
        other => other.as_str().to_owned(),
    };
    let age = state.age.map(|age| format!("{} of {} days", age.days, age.limit));
    let kind = facts.and_then(|facts| {
        Some(format!("{} {}", facts.algorithm.as_ref()?, facts.bits.unwrap_or_default()))
    });
    let encrypted = facts.map(|facts| if facts.encrypted { "yes" } else { "no" }.to_owned());
    let key = facts.and_then(|facts| facts.fingerprint.clone());
    [
        vm.to_string(),
        verdict,
        age.unwrap_or_else(none),
        kind.unwrap_or_else(none),
        encrypted.unwrap_or_else(none),
        key.unwrap_or_else(none),
        path.display().to_string(),
    ]
}

fn next_step(vm: &VmId, state: &KeyState) -> Option<String> {
    match &state.verdict {
        Verdict::Expired | Verdict::Expiring => Some(format!("orchestrator keys rotate {vm}")),
        Verdict::Missing(_) => Some(format!("orchestrator keys generate {vm}")),
        Verdict::Ok => None,
        Verdict::Unusable(error) => Some(error.hint()),
    }
}

fn document((vm, path, state): &(&VmId, &Path, KeyState)) -> Value {
    let facts = state.facts.as_ref();
    let reason = match &state.verdict {
        Verdict::Missing(reason) => Some(reason.clone()),
        Verdict::Unusable(error) => Some(error.to_string()),
        _ => None,
    };
    json!({
        "vm_id": vm.as_str(),
        "state": state.verdict.as_str(),
        "reason": reason,
        "next": next_step(vm, state),
        "file": path.display().to_string(),
        "age_days": state.age.map(|age| age.days),
        "type": facts.and_then(|facts| facts.algorithm.as_ref()),
        "bits": facts.and_then(|facts| facts.bits),
        "key": facts.and_then(|facts| facts.fingerprint.as_ref()),
        "encrypted": facts.map(|facts| facts.encrypted),
    })
}
