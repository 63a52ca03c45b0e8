//! `audit search`.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::{Log, unreadable};
use crate::audit::{AuditError, Filter, Format, Reader};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::print;
use crate::cli::time::parse_moment;
use crate::report::exit::Exit;

/// Find records: those that have everything that is asked for.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Anywhere in the record's texts
    text: Option<String>,
    /// About this VM
    #[arg(long, env = "ORCHESTRATOR_HOST", value_name = "VM")]
    host: Option<String>,
    /// How it ended (success, failed, timeout, host_key_rejected, …)
    #[arg(long, env = "ORCHESTRATOR_STATUS", value_name = "STATUS")]
    status: Option<String>,
    /// What happened (exec.result), or a family of it (exec, hostkey, keys, session, audit)
    #[arg(long, env = "ORCHESTRATOR_EVENT", value_name = "EVENT")]
    event: Option<String>,
    /// Any part of the run's id
    #[arg(long, env = "ORCHESTRATOR_RUN", value_name = "ID")]
    run: Option<String>,
    #[command(flatten)]
    period: Period,
    /// Print the records themselves, one JSON object a line
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
    #[command(flatten)]
    log: Log,
}

/// From when to when.
#[derive(clap::Args)]
pub(super) struct Period {
    /// Written then or later: 2026-11-21T02:40:00Z, 2026-11-21, or 2h for two hours ago
    #[arg(long, env = "ORCHESTRATOR_SINCE", value_parser = parse_moment, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Written before then
    #[arg(long, env = "ORCHESTRATOR_UNTIL", value_parser = parse_moment, value_name = "TIME")]
    until: Option<Timestamp>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let filter = Filter {
        host: args.host.clone(),
        // --operator is who asks, here as everywhere; it has no default here.
        operator: context.named_operator().map(str::to_owned),
        status: args.status.clone(),
        event: args.event.clone(),
        run: args.run.clone(),
        text: args.text.clone(),
        ..args.period.filter()
    };
    let format = if args.json { Format::Jsonl } else { Format::Text };
    let log = args.log.path(context)?;
    let mut code = 0;
    print(|out| {
        code = render(context, &log, &filter, format, out)?;
        Ok(())
    })?;
    Ok(code)
}

impl Period {
    pub(super) fn filter(&self) -> Filter {
        Filter { since: self.since, until: self.until, ..Filter::default() }
    }
}

/// Writes the records that `filter` lets through; lines that are none are told
/// on stderr, and the exit code says that there were some.
pub(super) fn render(
    context: &Context,
    log: &Path,
    filter: &Filter,
    format: Format,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let mut code = Exit::Ok;
    for entry in Reader::open(log).map_err(unreadable)? {
        match entry {
            Ok(entry) if filter.matches(&entry) && format.covers(&entry) => {
                writeln!(out, "{}", format.render(&entry))?
            }
            Ok(_) => {}
            Err(error @ AuditError::Broken { .. }) => {
                context.note("warning", &format!("{}: left out", chain(&error)));
                code = Exit::Verification;
            }
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(code.code())
}
