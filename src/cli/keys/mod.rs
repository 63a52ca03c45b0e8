//! `keys`: the keys that we log in with.

mod deploy;
mod generate;
mod rotate;
mod status;

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::stdout::{print, print_json};
use super::table::Table;
use super::terminal::Terminal;
use crate::KeyChange;
use crate::config::{Config, KeyStorageType};
use crate::inventory::Host;
use crate::nodeset::Selection;
use crate::prompt::Prompter;
use crate::report::exit;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Generate(generate::Args),
    Deploy(deploy::Args),
    Status(status::Args),
    Rotate(rotate::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Generate(args) => generate::run(context, &args),
        Command::Deploy(args) => {
            let json = args.json;
            deploy::run(context, args).map_err(|failure| failure.json(json))
        }
        Command::Status(args) => {
            status::run(context, &args).map_err(|failure| failure.json(args.json))
        }
        Command::Rotate(args) => {
            rotate::run(context, &args).map_err(|failure| failure.json(args.json))
        }
    }
}

/// The VMs that were named, and where the key of each is or would be.
fn keys<'a>(config: &'a Config, hosts: &Selection) -> Result<Vec<(&'a Host, PathBuf)>, Failure> {
    let hosts = crate::orchestrator::resolve(&config.inventory, hosts)?;
    let hosts = hosts.iter().filter_map(|vm| config.inventory.get(vm));
    hosts
        .map(|host| match crate::orchestrator::key_path(config, host) {
            Ok(path) => Ok((host, path)),
            Err(failure) => Err(Failure { hint: failure.hint, ..Failure::usage(failure.message) }),
        })
        .collect()
}

/// What encrypts new keys: what the configuration gives, else what is typed
/// twice.
fn new_passphrase(
    context: &Context,
    config: &Config,
    without: bool,
) -> Result<Option<SecretString>, Failure> {
    if config.remote_execution.key_storage_type == KeyStorageType::PlainDir {
        return Ok(None);
    }
    if without {
        if !context.quiet() {
            let text = "key_storage_type is encrypted_dir, and the new key has no passphrase";
            context.note("warning", text);
        }
        return Ok(None);
    }
    if let Some(given) = context.configured_passphrase(config)? {
        return Ok(Some(given));
    }
    let ask = |question: &str| {
        Terminal.secret(question).map_err(|error| {
            Failure::usage(format!("the new key needs a passphrase: {error}")).hint(
                "set ssh.passphrase_file or ssh.passphrase_env, or choose --no-passphrase or \
                 key_storage_type: plain_dir",
            )
        })
    };
    let first = ask("Passphrase for new keys: ")?;
    let again = ask("The same again: ")?;
    if first.expose_secret().is_empty() {
        return Err(Failure::usage("the passphrase is empty").hint("--no-passphrase means none"));
    }
    if first.expose_secret() != again.expose_secret() {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok(Some(first))
}

/// Shows what became of each VM's key, and gives the exit code.
fn show(context: &Context, changes: &[KeyChange], json: bool) -> Result<u8, Failure> {
    if json {
        let hosts: Vec<Value> = changes.iter().map(document).collect();
        print_json(&json!({"v": 1, "hosts": hosts}))?;
    } else {
        let mut table = Table::with_header(&["ID", "RESULT", "KEY", ""]);
        for change in changes {
            table.row(row(change));
        }
        print(|out| Ok(table.write(out)?))?;
        for change in changes {
            let hint = change.host.failure.as_ref().and_then(|failure| failure.hint.as_ref());
            if let Some(hint) = hint.filter(|_| !context.quiet()) {
                let hint = crate::report::escape(hint.as_bytes());
                context.note("hint", &format!("{}: {hint}", change.host.vm));
            }
        }
    }
    let results: Vec<_> = changes.iter().map(|change| change.host.clone()).collect();
    Ok(exit::table(&results))
}

fn row(change: &KeyChange) -> [String; 4] {
    let failure = change.host.failure.as_ref();
    let result = match change.done {
        Some(done) if failure.is_none() => done.as_str().to_owned(),
        _ => change.host.status.to_string(),
    };
    let backup = change.backup.as_ref();
    let remark = match (failure, backup) {
        (Some(failure), _) => failure.message.clone(),
        (None, Some(backup)) => format!("the old one is kept as {}", backup.display()),
        (None, None) => String::new(),
    };
    let key = change.key.clone().unwrap_or_else(|| "-".into());
    [change.host.vm.to_string(), result, key, remark]
}

fn document(change: &KeyChange) -> Value {
    json!({
        "vm_id": change.host.vm.as_str(),
        "success": change.host.success(),
        "status": change.host.status,
        "did": change.done.map(|done| done.as_str().replace(' ', "_")),
        "key": change.key,
        "backup": change.backup.as_ref().map(|path| path.display().to_string()),
        "error": change.host.failure,
    })
}
