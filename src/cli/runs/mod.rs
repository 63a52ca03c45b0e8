//! `runs`: what was done, and the same again.

mod diff;
mod list;
mod rerun;
mod show;

use jiff::Timestamp;

use super::context::Context;
use super::failure::Failure;
use crate::config::Config;
use crate::ids::{RunId, VmId};
use crate::nodeset::NodeSet;
use crate::outcome::Status;
use crate::store::{Remembered, Store, StoreError};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    Rerun(Box<rerun::Args>),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list::run(context, &args).map_err(|failure| failure.json(args.json)),
        Command::Show(args) => show::run(context, &args),
        Command::Rerun(args) => rerun::run(context, &args),
    }
}

/// The store that the configuration names; `None` if nothing was remembered yet.
fn open(config: &Config) -> Result<Option<Store>, Failure> {
    let Some(path) = &config.runs.path else {
        return Err(Failure::usage("there is no place where runs are remembered")
            .hint("set runs.path in the configuration"));
    };
    match Store::open_existing(path) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Nothing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A store in which there is a run.
pub(super) fn opened(config: &Config) -> Result<Store, Failure> {
    let nothing = || StoreError::Nothing(config.runs.path.clone().unwrap_or_default());
    Ok(open(config)?.ok_or_else(nothing)?)
}

/// Enough of an id to tell runs apart: its random end, since runs of one hour
/// begin alike.
fn short(id: RunId) -> String {
    let id = id.to_string();
    id[id.len().saturating_sub(8)..].to_owned()
}

/// To the second, in UTC.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn took(run: &Remembered) -> Option<f64> {
    Some(run.ended?.duration_since(run.started).as_secs_f64())
}

/// Ids as people read them.
fn fold<'a>(hosts: impl IntoIterator<Item = &'a VmId>) -> String {
    hosts.into_iter().cloned().collect::<NodeSet>().fold()
}

/// How many hosts ended how: `2 ok, 1 failed`.
fn counts(hosts: &[(VmId, Status)]) -> String {
    let count = |wanted: Status| hosts.iter().filter(|(_, status)| *status == wanted).count();
    let counted = Status::ALL.into_iter().filter_map(|status| match (status, count(status)) {
        (Status::Success, count) => Some(format!("{count} ok")),
        (_, 0) => None,
        (status, count) => Some(format!("{count} {status}")),
    });
    counted.collect::<Vec<_>>().join(", ")
}
