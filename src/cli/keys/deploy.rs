//! `keys deploy`.

use std::io::{self, BufRead, IsTerminal, Read};

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::show;
use crate::Login;
use crate::cli::arguments::{SshArgs, limit_connecting};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::signals::cancel_on_signal;
use crate::cli::targets::{self, TargetArgs};
use crate::cli::terminal::Terminal;
use crate::prompt::Prompter;

/// A password is not longer; what is longer is another file.
const PASSWORD_MAX: u64 = 4096;

/// Put the key of each VM into its authorized_keys, and log in with it.
///
/// The first login is by -i, a key that is there already; by the ssh-agent, if
/// ssh.use_agent is set; or by --ask-pass. The host key must be trusted before
/// (hosts trust): nothing is sent to a host that is not.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Log in by password this once: asked for on the terminal, else the first line of stdin; one password for all the VMs, offered once to each
    #[arg(long, env = "ORCHESTRATOR_ASK_PASS", conflicts_with = "identity", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    ask_pass: bool,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
    #[command(flatten)]
    ssh: SshArgs,
}

pub(super) fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let hosts = args.narrow.select(context, &args.targets)?.selection;
    let mut config = context.config()?;
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &hosts);
    }
    limit_connecting(&mut config, args.ssh.connect_timeout);
    // -i is how we log in this once, not the key that is put there.
    let mut overrides = args.ssh.overrides()?;
    let identity_file = overrides.identity_file.take();
    let password = if args.ask_pass { Some(password()?) } else { None };
    let secrets = password.iter().map(|it| SecretString::from(it.expose_secret())).collect();
    let login = match (password, identity_file) {
        (Some(password), _) => Login::Password(password),
        (None, Some(path)) => Login::Key(path),
        (None, None) if config.ssh.use_agent => Login::Agent,
        (None, None) => Login::Own,
    };
    let orchestrator = context.orchestrator(config, overrides, secrets)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let interrupted = cancel_on_signal(cancel.clone(), context.quiet())?;
        let changes = orchestrator.deploy_keys(&hosts, &login, &cancel).await;
        orchestrator.shutdown().await;
        Ok::<_, Failure>((changes?, interrupted))
    });
    // Whoever still waits at a prompt or on a slow resolver is not waited for.
    runtime.shutdown_background();
    let (changes, interrupted) = done?;
    let code = show(context, &changes, args.json)?;
    Ok(interrupted.exit().unwrap_or(code))
}

/// The password, from whoever sits at the terminal or from stdin.
fn password() -> Result<SecretString, Failure> {
    if io::stdin().is_terminal() {
        return Terminal
            .secret("SSH password: ")
            .map_err(|error| Failure::usage(error.to_string()).hint("or give it on stdin"));
    }
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    io::stdin().lock().take(PASSWORD_MAX).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(Failure::usage("--ask-pass: stdin has no password")
            .hint("run it on a terminal, or give the password as the first line of stdin")),
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(Failure::usage("--ask-pass: the password on stdin is not UTF-8")),
    }
}
