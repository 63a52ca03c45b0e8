//! `policy check`.

use std::path::PathBuf;

use crate::cli::config::check::machine;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::print;
use crate::policy::Policy;

/// Check whether a policy file can be used.
///
/// Everything that is wrong in it is told, with its place. The names in `hosts`
/// are held against the inventory, where there is a configuration. The policy of
/// this machine, /etc/orchestrator/policy.yml, is named too, since it applies
/// beside any other.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The policy [default: policy.path of the configuration]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Check it as what it would be in place of /etc/orchestrator/policy.yml
    #[arg(long, requires = "file")]
    machine: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.load_config();
    let file = match (&args.file, &config) {
        (Some(file), _) => file.clone(),
        (None, Ok(config)) => config.policy.path.clone().ok_or_else(|| {
            let failure = Failure::usage("the configuration names no policy");
            failure.hint("name a file, or set policy.path")
        })?,
        (None, Err(_)) => return config.map(|_| 0),
    };
    let policy = match (args.machine, &config) {
        // Its hosts are those of the machine, which it was held against.
        (true, _) => Policy::load_for_machine(&file)?,
        (false, Ok(config)) => {
            let policy = Policy::load(&file)?;
            policy.check_hosts(&config.inventory)?;
            policy
        }
        (false, Err(failure)) => {
            let policy = Policy::load(&file)?;
            let why = failure.message.lines().next().unwrap_or_default();
            context.note("note", &format!("the hosts it names are not checked: {why}"));
            policy
        }
    };
    let in_force = Policy::machine();
    for trouble in in_force.troubles() {
        context.note("warning", trouble);
    }
    print(|out| {
        writeln!(out, "policy  {}", file.display())?;
        for line in policy.summary() {
            writeln!(out, "holds   {line}")?;
        }
        if let Some(sha256) = policy.sha256() {
            writeln!(out, "sha256  {sha256}")?;
        }
        writeln!(out, "machine {}", machine(&in_force))?;
        Ok(())
    })?;
    Ok(0)
}
