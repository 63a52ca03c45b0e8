//! `doctor`.

mod document;
mod show;

use tokio_util::sync::CancellationToken;

use super::arguments::{SshArgs, limit_connecting};
use super::context::Context;
use super::failure::Failure;
use super::signals::cancel_on_signal;
use super::stdout::{print, print_json};
use super::targets::{self, TargetArgs};
use super::terminal::Terminal;
use crate::outcome::HostResult;
use crate::report::exit;

/// Find out what stands between here and VMs, stage by stage.
///
/// Each VM is asked from the inventory to its disks: name, TCP, banner,
/// algorithms, host key, authentication, commands, SFTP, SHA-256, sudo, places
/// for scripts, clock and disks. Nothing is changed there, and no password is
/// given to sudo.
///
/// The exit code is 0 if nothing fails, 1 if something does after the login, 4
/// if a VM is not reached or does not let us in, 5 if its host key is refused.
#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(default_value = "all", help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Let warnings end with 1, too
    #[arg(long, env = "ORCHESTRATOR_STRICT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    strict: bool,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
    #[command(flatten)]
    ssh: SshArgs,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let hosts = args.narrow.select(context, &args.targets)?.selection;
    let mut config = context.config()?;
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &hosts);
    }
    limit_connecting(&mut config, args.ssh.connect_timeout);
    let orchestrator = context.orchestrator(config, args.ssh.overrides()?, Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let interrupted = cancel_on_signal(cancel.clone(), context.quiet())?;
        let diagnoses = orchestrator.doctor(&hosts, &cancel).await;
        orchestrator.shutdown().await;
        Ok::<_, Failure>((diagnoses?, interrupted))
    });
    // Whoever still waits at a prompt or on a slow resolver is not waited for.
    runtime.shutdown_background();
    let (diagnoses, interrupted) = done?;
    if args.json {
        print_json(&document::document(&diagnoses))?;
    } else {
        let palette = Terminal::palette(context.color(), Terminal::stdout());
        print(|out| Ok(show::show(out, &diagnoses, palette)?))?;
    }
    let results: Vec<HostResult> = diagnoses.iter().map(|it| it.result(args.strict)).collect();
    Ok(interrupted.exit().unwrap_or_else(|| exit::table(&results)))
}
