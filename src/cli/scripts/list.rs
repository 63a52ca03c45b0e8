//! `scripts list`.

use serde_json::{Value, json};

use super::library;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::scripts::{Entry, Parameter};

/// List the scripts of the library, by id.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let library = library(&context.config().map_err(|failure| failure.json(args.json))?)
        .map_err(|failure| failure.json(args.json))?;
    if args.json {
        let scripts: Vec<Value> = library.entries().iter().map(document).collect();
        print_json(&json!({"v": 1, "scripts": scripts}))?;
    } else {
        let mut table = Table::with_header(&["ID", "OS", "PARAMETERS", "TITLE"]);
        for entry in library.entries() {
            let parameters: Vec<&str> = entry.parameters().iter().map(Parameter::name).collect();
            let title = entry.title().unwrap_or("-");
            table.row([entry.id(), &systems(entry), &parameters.join(", "), title]);
        }
        print(|out| Ok(table.write(out)?))?;
    }
    if !library.problems().is_empty() {
        let problems = library.problems().len();
        let note = format!("{problems} cannot be used: `orchestrator scripts lint` shows why");
        context.note("warning", &note);
    }
    Ok(0)
}

pub(super) fn systems(entry: &Entry) -> String {
    match entry.os() {
        [] => "any".to_owned(),
        os => os.iter().map(|os| os.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// A script under the names that its header has.
pub(super) fn document(entry: &Entry) -> Value {
    let parameters: Vec<Value> = entry.parameters().iter().map(parameter).collect();
    json!({
        "id": entry.id(),
        "title": entry.title(),
        "description": entry.description(),
        "interpreter": entry.interpreter(),
        "os": entry.os().iter().map(|os| os.as_str()).collect::<Vec<_>>(),
        "parameters": parameters,
        "timeout": entry.timeout().map(|timeout| timeout.as_secs_f64()),
        "run_as": entry.run_as(),
        "path": entry.path().to_string_lossy(),
        "sha256": entry.sha256(),
    })
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name(),
        "type": parameter.kind().as_str(),
        "values": parameter.kind().values(),
        "pattern": parameter.pattern(),
        "default": parameter.default(),
        "required": parameter.required(),
        "secret": parameter.secret(),
        "description": parameter.description(),
        "pass": parameter.pass().as_str(),
        "variable": parameter.variable(),
    })
}
