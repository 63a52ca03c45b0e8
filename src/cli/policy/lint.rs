//! `policy lint`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::policy::{self, Finding, Severity};
use crate::report::escape;
use crate::report::exit::Exit;

/// Say what in a policy is allowed and should not be, or is of no use.
///
/// Each finding has a rule's name, how bad it is, where it stands, and what to
/// do. Nothing found proves nothing. The exit code is 1 if something of severity
/// high was found.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The policy [default: policy.path of the configuration]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let file = super::named_or_configured(context, args.file.as_deref())?;
    let findings = policy::lint(&file)?;
    let high = findings.iter().filter(|finding| finding.severity == Severity::High).count();
    if args.json {
        let list: Vec<Value> = findings.iter().map(document).collect();
        print_json(&json!({"v": 1, "policy": file.display().to_string(), "findings": list}))?;
    } else {
        print(|out| {
            for finding in &findings {
                let text = |text: &str| escape(text.as_bytes());
                let severity = finding.severity.as_str();
                writeln!(out, "{}: {severity}: {}", finding.place, finding.rule)?;
                writeln!(out, "  {}: {}", text(&finding.subject), text(&finding.reason))?;
                writeln!(out, "  to do: {}", text(&finding.hint))?;
            }
            let total = findings.len();
            Ok(writeln!(out, "found {total}, {high} of severity high")?)
        })?;
    }
    Ok(if high > 0 { Exit::Failed.code() } else { Exit::Ok.code() })
}

fn document(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.severity.as_str(),
        "place": finding.place.to_string(),
        "line": finding.place.line(),
        "column": finding.place.column(),
        "subject": finding.subject,
        "reason": finding.reason,
        "hint": finding.hint,
    })
}
