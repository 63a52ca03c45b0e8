//! `policy check`.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::print;
use crate::policy::Policy;

/// Check whether a policy file can be used.
///
/// Everything that is wrong in it is told, with its place. The names in `hosts`
/// are held against the inventory, where there is a configuration.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The policy [default: policy.path of the configuration]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
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
    let policy = Policy::load(&file)?;
    match &config {
        Ok(config) => policy.check_hosts(&config.inventory)?,
        Err(failure) => {
            let why = failure.message.lines().next().unwrap_or_default();
            context.note("note", &format!("the hosts it names are not checked: {why}"));
        }
    }
    print(|out| {
        writeln!(out, "policy  {}", file.display())?;
        for line in policy.summary() {
            writeln!(out, "holds   {line}")?;
        }
        if let Some(sha256) = policy.sha256() {
            writeln!(out, "sha256  {sha256}")?;
        }
        Ok(())
    })?;
    Ok(0)
}
