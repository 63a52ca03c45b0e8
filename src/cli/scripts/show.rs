//! `scripts show`.

use serde_json::json;

use super::{library, list};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::config::duration;
use crate::scripts::{Entry, Kind, Parameter, Pass};

/// Show what a script of the library is, takes and looks like to the scan.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, with or without lib: before it
    #[arg(value_name = "ID")]
    id: String,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    shown(context, args).map_err(|failure| failure.json(args.json))
}

fn shown(context: &Context, args: &Args) -> Result<u8, Failure> {
    let library = library(&context.config()?)?;
    let entry = library.get(args.id.strip_prefix("lib:").unwrap_or(&args.id))?;
    let findings = entry.scan();
    if args.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({"rule": finding.rule, "severity": finding.severity.as_str(),
                    "line": finding.line, "finds": finding.finds, "why": finding.why})
            })
            .collect();
        let mut document = list::document(entry);
        document["findings"] = findings.into();
        print_json(&json!({"v": 1, "script": document}))?;
        return Ok(0);
    }
    let mut parameters = Table::indented();
    for parameter in entry.parameters() {
        parameters.row([parameter.name(), &wanted(parameter), &way(parameter)]);
        if let Some(description) = parameter.description() {
            parameters.row(["", description]);
        }
    }
    let mut table = Table::default();
    for (name, value) in facts(entry) {
        table.row([name, &value]);
    }
    print(|out| {
        table.write(out)?;
        if !entry.parameters().is_empty() {
            writeln!(out, "parameters")?;
            parameters.write(out)?;
        }
        for finding in &findings {
            let crate::scan::Finding { rule, severity, line, finds, .. } = finding;
            writeln!(out, "scan  line {line}: {finds} ({severity}, {rule})")?;
        }
        Ok(())
    })?;
    Ok(0)
}

fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let first_line = "as its first line says".to_owned();
    let interpreter = Some(entry.interpreter().join(" ")).filter(|words| !words.is_empty());
    let mut facts = vec![("id", entry.id().to_owned())];
    facts.extend(entry.title().map(|title| ("title", title.to_owned())));
    facts.extend(entry.description().map(|text| ("description", text.trim().to_owned())));
    facts.push(("read by", interpreter.unwrap_or(first_line)));
    facts.push(("os", list::systems(entry)));
    facts.extend(entry.timeout().map(|timeout| ("timeout", duration::format(timeout))));
    facts.extend(entry.run_as().map(|user| ("run as", user.to_owned())));
    facts.push(("file", entry.path().display().to_string()));
    facts.push(("sha256", entry.sha256()));
    facts
}

/// What a value has to be.
fn wanted(parameter: &Parameter) -> String {
    let mut words = vec![match parameter.kind() {
        Kind::Enum(values) => values.join("|"),
        kind => kind.as_str().to_owned(),
    }];
    words.extend(parameter.pattern().map(|pattern| format!("matching {pattern}")));
    match parameter.default() {
        Some(default) => words.push(format!("default {default:?}")),
        None if parameter.required() => words.push("required".into()),
        None => {}
    }
    words.extend(parameter.secret().then(|| "secret".to_owned()));
    words.join(", ")
}

fn way(parameter: &Parameter) -> String {
    match parameter.pass() {
        Pass::Argv => "argument".into(),
        Pass::Env => format!("${}", parameter.variable()),
    }
}
