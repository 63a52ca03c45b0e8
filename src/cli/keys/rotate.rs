//! `keys rotate`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::{new_passphrase, show};
use crate::Overrides;
use crate::cli::arguments;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::signals::cancel_on_signal;
use crate::cli::targets::{self, TargetArgs};

/// Replace the key of each VM by a new one.
///
/// A new key is made, added over the old one, tried, put in the old one's place
/// here, and the old one is removed there; it is kept here as NAME.backup.TIME.
/// At every moment the key in its place logs in. If it stops, run it again.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Make keys without a passphrase where key_storage_type asks for one
    #[arg(long, env = "ORCHESTRATOR_NO_PASSPHRASE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_passphrase: bool,
    /// Give up connecting after this long
    #[arg(long, env = "ORCHESTRATOR_CONNECT_TIMEOUT", value_parser = arguments::parse_duration, value_name = "DURATION")]
    connect_timeout: Option<Duration>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let hosts = args.narrow.select(context, &args.targets)?.selection;
    let mut config = context.config()?;
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &hosts);
    }
    arguments::limit_connecting(&mut config, args.connect_timeout);
    let passphrase = new_passphrase(context, &config, args.no_passphrase)?;
    let secrets = passphrase.iter().map(|it| SecretString::from(it.expose_secret())).collect();
    let orchestrator = context.orchestrator(config, Overrides::default(), secrets)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let interrupted = cancel_on_signal(cancel.clone(), context.quiet())?;
        let changes = orchestrator.rotate_keys(&hosts, passphrase.as_ref(), &cancel).await;
        orchestrator.shutdown().await;
        Ok::<_, Failure>((changes?, interrupted))
    });
    // Whoever still waits at a prompt or on a slow resolver is not waited for.
    runtime.shutdown_background();
    let (changes, interrupted) = done?;
    let code = show(context, &changes, args.json)?;
    Ok(interrupted.exit().unwrap_or(code))
}
