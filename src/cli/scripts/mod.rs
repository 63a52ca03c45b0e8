//! `scripts`: what the script library holds, and what is wrong with it.

mod lint;
mod list;
mod shellcheck;
mod show;

use super::context::Context;
use super::failure::Failure;
use crate::config::Config;
use crate::report::exit::Exit;
use crate::scripts::{Library, LibraryError, ParameterError};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    Lint(lint::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list::run(context, &args),
        Command::Show(args) => show::run(context, &args),
        Command::Lint(args) => lint::run(context, &args),
    }
}

/// The library that the configuration names.
pub(super) fn library(config: &Config) -> Result<Library, Failure> {
    let Some(folder) = &config.scripts.path else {
        let failure = Failure::usage("there is no script library");
        return Err(failure.hint("name its folder in the configuration: scripts: { path: … }"));
    };
    Ok(Library::load(folder)?)
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        let hint = match &error {
            LibraryError::Unknown { .. } => "`orchestrator scripts list` shows what there is",
            LibraryError::Unusable { .. } => "`orchestrator scripts lint` shows where",
            _ => "scripts.path of the configuration names it",
        };
        Self { code: "script_library", exit: Exit::Usage, ..Self::usage(error.to_string()) }
            .hint(hint)
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Self { code: "script_parameter", ..Self::usage(error.to_string()) }
            .hint("`orchestrator scripts show ID` shows what it takes")
    }
}
