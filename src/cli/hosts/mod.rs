//! `hosts`: the VMs of the inventory.

mod check;
mod import;
mod list;
mod show;
mod trust;

use super::context::Context;
use super::failure::Failure;
use crate::config::Config;
use crate::ids::VmId;
use crate::inventory::{Host, SelectError};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    Check(check::Args),
    Trust(trust::Args),
    Import(import::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list::run(context, &args).map_err(|failure| failure.json(args.json)),
        Command::Show(args) => show::run(context, &args).map_err(|failure| failure.json(args.json)),
        Command::Check(args) => {
            check::run(context, &args).map_err(|failure| failure.json(args.json))
        }
        Command::Trust(args) => trust::run(context, args),
        Command::Import(args) => import::run(context, &args),
    }
}

/// One VM by its id, whether it may be used or not.
fn find<'a>(config: &'a Config, vm: &str) -> Result<&'a Host, Failure> {
    let id = vm.parse::<VmId>().map_err(|error| {
        Failure::usage(error.to_string()).hint("`orchestrator hosts list` names them all")
    })?;
    config.inventory.get(&id).ok_or_else(|| match config.inventory.require(&id) {
        Err(error) => unusable(&error),
        Ok(_) => Failure::usage(format!("vm_id {id} not found in config")),
    })
}

fn unusable(error: &SelectError) -> Failure {
    Failure { code: "host_not_usable", ..Failure::usage(error.to_string()) }
        .hint("`orchestrator hosts list` names them all")
}
