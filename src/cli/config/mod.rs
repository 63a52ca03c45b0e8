//! `config`: what is configured, and whether it can work.

pub(super) mod check;
mod show;

use super::context::Context;
use super::failure::Failure;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Check,
    Show(show::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Check => check::run(context),
        Command::Show(args) => show::run(context, &args).map_err(|failure| failure.json(args.json)),
    }
}
