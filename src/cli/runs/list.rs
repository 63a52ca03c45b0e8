//! `runs list`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{counts, fold, moment, open, short, took};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::cli::time::parse_moment;
use crate::store::{Filter, Remembered};

/// How much of a command stands in a row, in characters.
const COMMAND_MAX: usize = 48;

/// List the runs that are remembered, newest first.
///
/// With --operator, those that NAME asked for.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// How many at most
    #[arg(
        short = 'n',
        long,
        env = "ORCHESTRATOR_LIST_LIMIT",
        default_value_t = 20,
        value_name = "N"
    )]
    limit: usize,
    /// Only those in which some VM did not succeed
    #[arg(long, env = "ORCHESTRATOR_FAILED", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    failed: bool,
    /// Begun then or later: 2026-11-21T02:40:00Z, 2026-11-21, or 2d for two days ago
    #[arg(long, env = "ORCHESTRATOR_SINCE", value_parser = parse_moment, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let filter = Filter {
        limit: Some(args.limit),
        failed: args.failed,
        operator: context.named_operator().map(str::to_owned),
        since: args.since,
    };
    let runs = match open(&context.config()?)? {
        Some(store) => store.runs(&filter)?,
        None => Vec::new(),
    };
    if args.json {
        let runs: Vec<Value> = runs.iter().map(document).collect();
        print_json(&json!({"v": 1, "runs": runs}))?;
        return Ok(0);
    }
    if runs.is_empty() {
        if !context.quiet() {
            context.note("note", "no such run is remembered");
        }
        return Ok(0);
    }
    let header = ["RUN", "BEGAN", "WHO", "WHAT", "WHERE", "RESULT", "TOOK"];
    let mut table = Table::with_header(&header);
    for run in &runs {
        table.row([
            short(run.id),
            moment(run.started),
            run.operator.clone(),
            clip(&run.command),
            fold(run.hosts.iter().map(|(vm, _)| vm)),
            counts(&run.hosts),
            took(run).map_or_else(|| "no end".into(), |seconds| format!("{seconds:.1} s")),
        ]);
    }
    print(|out| Ok(table.write(out)?))?;
    Ok(0)
}

fn clip(command: &str) -> String {
    if command.chars().count() <= COMMAND_MAX {
        return command.to_owned();
    }
    command.chars().take(COMMAND_MAX - 1).chain(['…']).collect()
}

fn document(run: &Remembered) -> Value {
    let hosts = run.hosts.iter().map(|(vm, status)| (vm.to_string(), status.as_str().into()));
    json!({
        "run": run.id,
        "started": format!("{:.3}", run.started),
        "ended": run.ended.map(|at| format!("{at:.3}")),
        "operator": run.operator,
        "reason": run.reason,
        "metadata": run.metadata,
        "kind": run.kind,
        "command": run.command,
        "config": run.config.as_ref().map(|path| path.display().to_string()),
        "type_again": run.recipe.as_ref().err(),
        "hosts": hosts.collect::<Map<String, Value>>(),
    })
}
