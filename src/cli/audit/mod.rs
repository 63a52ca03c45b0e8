//! `audit`: reading, proving and passing on what was recorded. None of it
//! writes to the log, or makes one.

mod export;
mod search;
mod tail;
mod verify;

use std::path::PathBuf;

use super::context::Context;
use super::failure::Failure;
use crate::audit::AuditError;
use crate::report::exit::Exit;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Tail(tail::Args),
    Search(search::Args),
    Verify(verify::Args),
    Export(export::Args),
}

/// Which log.
#[derive(clap::Args)]
pub(super) struct Log {
    /// The log to read [default: audit.path of the configuration]
    #[arg(long, env = "ORCHESTRATOR_LOG", value_name = "FILE")]
    log: Option<PathBuf>,
}

pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Tail(args) => tail::run(context, &args),
        Command::Search(args) => search::run(context, &args),
        Command::Verify(args) => {
            verify::run(context, &args).map_err(|failure| failure.json(args.json))
        }
        Command::Export(args) => export::run(context, &args),
    }
}

impl Log {
    pub(super) fn path(&self, context: &Context) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.log {
            return Ok(path.clone());
        }
        context.config()?.audit.path.ok_or_else(|| {
            Failure::usage("no audit log is configured")
                .hint("set audit.path in the configuration, or name one with --log")
        })
    }
}

/// A log that cannot be read stops nothing else, unlike one that cannot be
/// written.
pub(super) fn unreadable(error: AuditError) -> Failure {
    let exit = match &error {
        AuditError::Missing(_) | AuditError::Key(_) => Exit::Usage,
        AuditError::Broken { .. } => Exit::Verification,
        _ => Exit::Failed,
    };
    let code = match &error {
        AuditError::Missing(_) => "audit_missing",
        _ => "audit_unreadable",
    };
    Failure { exit, code, ..Failure::from(error) }
}
