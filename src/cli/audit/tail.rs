//! `audit tail`.

use std::thread;
use std::time::Duration;

use super::{Log, unreadable};
use crate::audit::{Entry, Follower, Format, tail};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::print;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Show the latest records, oldest first, one a line.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// How many
    #[arg(short = 'n', long, env = "ORCHESTRATOR_LINES", default_value_t = 10, value_name = "N")]
    lines: usize,
    /// Go on with records as they are written, until interrupted
    #[arg(short, long, env = "ORCHESTRATOR_FOLLOW", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    follow: bool,
    /// Print the records themselves, one JSON object a line
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
    #[command(flatten)]
    log: Log,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let log = args.log.path(context)?;
    let format = if args.json { Format::Jsonl } else { Format::Text };
    // One record more is read when none is shown: it says where to go on.
    let latest = tail(&log, args.lines.max(1)).map_err(unreadable)?;
    let mut follower = match (args.follow, latest.last()) {
        (true, last) => {
            Some(Follower::after(&log, last.map_or(0, Entry::seq)).map_err(unreadable)?)
        }
        (false, _) => None,
    };
    print(|out| {
        let shown = latest.len().min(args.lines);
        for entry in &latest[latest.len() - shown..] {
            writeln!(out, "{}", format.render(entry))?;
        }
        out.flush()?;
        while let Some(follower) = &mut follower {
            thread::sleep(LOOK);
            for entry in follower.poll().map_err(unreadable)? {
                writeln!(out, "{}", format.render(&entry))?;
            }
            out.flush()?;
        }
        Ok(())
    })?;
    Ok(0)
}
