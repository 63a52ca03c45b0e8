//! `plan`: write down what would be done, for somebody else to approve.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::arguments::parse_duration;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;
use super::request::{Shown, show_plan};
use super::stdout::{print, print_json};
use super::verb::Verb;
use crate::Request;
use crate::approval::{EXPIRES, PlanFile};
use crate::plan::Plan;
use crate::report::{self, exit::Exit};

/// Show exactly what would be done, and write it to a file that can be approved
/// and applied.
///
/// What follows is the command line as it would be without `plan`. The file
/// holds everything but secrets, of which it says where they come from, and the
/// files that are sent, of which it has the SHA-256. How output is shown is said
/// to `apply`. The exit code is 7 if it is denied anywhere.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Write the plan to this new file
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long it can be applied, at most 7 days [default: 24h]
    #[arg(long, global = true, env = "ORCHESTRATOR_EXPIRES", value_parser = parse_duration, value_name = "DURATION")]
    expires: Option<Duration>,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  orchestrator plan exec @web 'systemctl restart app' --out restart.json
  orchestrator approve restart.json --identity ~/.ssh/id_ed25519
  orchestrator apply restart.json";

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    args.verb.go(context, &|_, orchestrator, request, shown| {
        let code = args.write(&request, &shown);
        // What is on record is to be complete.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(orchestrator.shutdown());
        code
    })
}

impl Args {
    fn write(&self, request: &Request, shown: &Shown<'_>) -> Result<u8, Failure> {
        let plan = request.plan()?;
        if plan.hosts.iter().any(|host| !host.decision.allow) {
            return show_plan(&plan, &shown.schedule);
        }
        let expires = self.expires.unwrap_or(EXPIRES);
        let out = self.out.as_deref().filter(|_| !shown.dry_run);
        let file = match out {
            Some(out) => {
                refuse_existing(out)?;
                let file = request.plan_file(expires)?;
                file.write_new(out)?;
                file
            }
            None => request.draft(&plan, expires)?,
        };
        match self.verb.output().mode() {
            Output::Json => print_json(&document(&file, &plan, out))?,
            _ => print(|to| {
                show(to, &file)?;
                match out {
                    Some(out) => writeln!(to, "written to {}", out.display())?,
                    None => writeln!(to, "not written: --out FILE does that")?,
                }
                Ok(())
            })?,
        }
        Ok(Exit::Ok.code())
    }
}

/// Before that it was made is on record.
fn refuse_existing(out: &Path) -> Result<(), Failure> {
    match out.symlink_metadata() {
        Ok(_) => {
            let message = format!("{} is there already, and is not replaced", out.display());
            Err(Failure::usage(message).hint("name another file"))
        }
        Err(_) => Ok(()),
    }
}

/// What a plan file says, a line each.
pub(super) fn show(to: &mut dyn Write, file: &PlanFile) -> Result<(), Failure> {
    for (name, text) in file.describe() {
        let text = report::escape(text.as_bytes()).replace('\n', "\n            ");
        writeln!(to, "{name:<10}  {}", text.trim_end())?;
    }
    Ok(())
}

fn document(file: &PlanFile, plan: &Plan, out: Option<&Path>) -> serde_json::Value {
    let hosts = plan.hosts.iter().map(|host| {
        json!({
            "vm_id": host.vm.as_str(),
            "rule": host.decision.rule,
            "requires_approval": host.decision.requires_approval,
        })
    });
    json!({
        "v": 1,
        "file": out.map(|out| out.display().to_string()),
        "sha256": file.sha256(),
        "nonce": file.nonce(),
        "created": file.created().to_string(),
        "expires": file.expires().to_string(),
        "requires_approval": plan.needs_approval(),
        "hosts": hosts.collect::<Vec<_>>(),
    })
}
