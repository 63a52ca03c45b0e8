//! `policy`: whether the policy can be used, what it decides and would decide.

mod check;
mod explain;
mod lint;
mod replay;

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::Failure;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Check(check::Args),
    Explain(explain::Args),
    Lint(lint::Args),
    Replay(replay::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Check(args) => check::run(context, &args),
        Command::Explain(args) => {
            let json = args.json();
            explain::run(context, &args).map_err(|failure| failure.json(json))
        }
        Command::Replay(args) => {
            replay::run(context, &args).map_err(|failure| failure.json(args.json))
        }
        Command::Lint(args) => lint::run(context, &args).map_err(|failure| failure.json(args.json)),
    }
}

/// The policy that is named, else the one of the configuration.
fn named_or_configured(context: &Context, named: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(file) => Ok(file.to_owned()),
        None => context.load_config()?.policy.path.ok_or_else(|| {
            let failure = Failure::usage("the configuration names no policy");
            failure.hint("name a file, or set policy.path")
        }),
    }
}
