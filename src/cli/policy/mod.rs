//! `policy`: whether the policy can be used, and what it decides.

mod check;
mod explain;

use super::context::Context;
use super::failure::Failure;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Check(check::Args),
    Explain(explain::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Check(args) => check::run(context, &args),
        Command::Explain(args) => {
            let json = args.json();
            explain::run(context, &args).map_err(|failure| failure.json(json))
        }
    }
}
