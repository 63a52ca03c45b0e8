//! `config show`.

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;

/// Show every setting in force. No setting holds a secret.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Say where each one comes from: file:line:column, or default
    #[arg(long, env = "ORCHESTRATOR_ORIGIN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    origin: bool,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.config()?;
    if args.json {
        let path = config.path().map(|path| path.display().to_string());
        let settings: Vec<Value> = config
            .settings()
            .map(|setting| {
                let origin = setting.origin.to_string();
                json!({"key": setting.key, "value": setting.value, "origin": origin})
            })
            .collect();
        print_json(&json!({"v": 1, "config": path, "settings": settings}))?;
        return Ok(0);
    }
    let mut table = Table::default();
    for setting in config.settings() {
        let value = if setting.value.is_empty() { "-" } else { &setting.value };
        match args.origin {
            true => table.row([&setting.key, value, &setting.origin.to_string()]),
            false => table.row([&setting.key, value]),
        }
    }
    print(|out| Ok(table.write(out)?))?;
    Ok(0)
}
