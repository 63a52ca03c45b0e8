//! `audit export`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Log;
use super::search::{Period, render};
use crate::audit::Format;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::print;
use crate::report::exit::Exit;

/// Write the log in a form that other programs read, one record a line.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// jsonl (the records themselves), text, ecs, ocsf, cef or scripts (what became of scripts, only)
    #[arg(
        long,
        env = "ORCHESTRATOR_FORMAT",
        default_value_t = Format::Jsonl,
        value_parser = |text: &str| text.parse::<Format>().map_err(|error| error.to_string()),
        value_name = "FORMAT"
    )]
    format: Format,
    #[command(flatten)]
    period: Period,
    /// Write into this file, which is replaced when all is written
    #[arg(short, long, env = "ORCHESTRATOR_EXPORT_OUTPUT", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    log: Log,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let log = args.log.path(context)?;
    let filter = args.period.filter();
    let mut code = 0;
    let mut write = |out: &mut dyn Write| -> Result<(), Failure> {
        code = render(context, &log, &filter, args.format, out)?;
        Ok(())
    };
    match args.output.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => write_whole(path, write)?,
        None => print(&mut write)?,
    }
    Ok(code)
}

/// The file is there complete or as it was. What it holds is as private as the
/// log: 0600.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure {
        exit: Exit::Failed,
        code: "io",
        ..Failure::usage(format!("{} cannot be written: {error}", path.display()))
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let part = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
    let mut out = BufWriter::new(part.map_err(failed)?);
    write(&mut out)?;
    let part = out.into_inner().map_err(|error| failed(error.into_error()))?;
    part.as_file().sync_all().map_err(failed)?;
    part.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
