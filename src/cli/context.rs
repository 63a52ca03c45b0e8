//! What every command needs: the global flags, the configuration, an
//! orchestrator.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::failure::Failure;
use super::terminal::{Color, Terminal};
use crate::audit::AuditLog;
use crate::config::{Config, Environment};
use crate::plan::Label;
use crate::ssh::known_hosts::KnownHosts;
use crate::{Builder, NeedsKnownHosts, Orchestrator, Overrides};

/// Flags of every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Every command")]
pub(super) struct Global {
    /// The configuration [default: the first of ./configs/config.yml, ~/.config/orchestrator/config.yml, /etc/orchestrator/config.yml]
    #[arg(long, global = true, env = "ORCHESTRATOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// When to use colour; NO_COLOR is obeyed
    #[arg(
        long,
        global = true,
        env = "ORCHESTRATOR_COLOR",
        value_enum,
        default_value_t,
        value_name = "WHEN"
    )]
    color: Color,
    /// Who is asking, for the audit log [env: ORCHESTRATOR_OPERATOR=] [default: the account that runs this]
    #[arg(long, global = true, value_name = "NAME")]
    operator: Option<String>,
    /// Put NAME=VALUE into every record; may be repeated
    #[arg(long = "label", global = true, env = "ORCHESTRATOR_LABEL", value_name = "NAME=VALUE")]
    labels: Vec<Label>,
    /// Print results and errors only
    #[arg(short, long, global = true, env = "ORCHESTRATOR_QUIET", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    quiet: bool,
    /// Tell connections and retries on stderr; -vv adds the SSH library's own log
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// The global flags and the environment.
pub(super) struct Context {
    global: Global,
    environment: Environment,
}

impl Context {
    pub(super) fn new(global: Global) -> Self {
        Self { global, environment: Environment::from_process() }
    }

    /// Sends the log where -v asks for it: to stderr.
    pub(super) fn start_log(&self) {
        let filter = match self.global.verbose {
            0 => return,
            1 => "orchestrator=debug",
            _ => "orchestrator=trace,russh=debug",
        };
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .try_init();
    }

    pub(super) fn color(&self) -> Color {
        self.global.color
    }

    pub(super) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// Whether the log goes to stderr.
    pub(super) fn verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// What is put into every record.
    pub(super) fn labels(&self) -> &[Label] {
        &self.global.labels
    }

    /// Who asks, if it was said.
    pub(super) fn named_operator(&self) -> Option<&str> {
        self.global.operator.as_deref()
    }

    /// Who asks.
    pub(super) fn operator(&self) -> String {
        // Read here and not by the flag: a search is by the flag alone.
        let variable = std::env::var("ORCHESTRATOR_OPERATOR").ok();
        let variable = variable.filter(|name| !name.is_empty());
        let named = self.global.operator.clone().or(variable);
        let named = named.or_else(|| self.environment.user.clone());
        named.unwrap_or_else(|| format!("uid:{}", rustix::process::getuid().as_raw()))
    }

    /// The configuration, its warnings told.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let config = self.load_config()?;
        if !self.quiet() {
            for warning in config.warnings() {
                self.note("warning", &warning.to_string());
            }
        }
        Ok(config)
    }

    /// The configuration.
    pub(super) fn load_config(&self) -> Result<Config, Failure> {
        let path = self.environment.find_config(self.global.config.as_deref())?;
        let mut config = Config::load_with(path, &self.environment)?;
        crate::orchestrator::record_as_machine(&mut config);
        Ok(config)
    }

    /// The account whose process this is.
    pub(super) fn os_user(&self) -> Option<&str> {
        self.environment.user.as_deref()
    }

    /// A line on stderr.
    pub(super) fn note(&self, kind: &str, text: &str) {
        use std::io::Write;
        let _ = writeln!(std::io::stderr().lock(), "{kind}: {text}");
    }

    /// The host keys that the configuration names.
    pub(super) fn known_hosts(&self, config: &Config) -> Result<KnownHosts, Failure> {
        let known_hosts =
            KnownHosts::load(&config.ssh.known_hosts).map_err(crate::BuildError::KnownHosts)?;
        if !self.quiet() {
            for warning in known_hosts.warnings() {
                self.note("warning", &warning.to_string());
            }
        }
        Ok(known_hosts)
    }

    /// The audit log that the configuration names, open for writing.
    pub(super) fn audit(&self, config: &Config) -> Result<AuditLog, Failure> {
        Ok(crate::orchestrator::open_audit(config)?)
    }

    /// The passphrase that the configuration gives, from wherever it says.
    pub(super) fn configured_passphrase(
        &self,
        config: &Config,
    ) -> Result<Option<SecretString>, Failure> {
        if let Some(passphrase) = passphrase(config)? {
            return Ok(Some(passphrase));
        }
        let file = config.ssh.passphrase_file.as_deref();
        Ok(file.map(crate::orchestrator::read_passphrase).transpose()?)
    }

    /// An orchestrator for the configuration.
    pub(super) fn orchestrator(
        &self,
        config: Config,
        overrides: Overrides,
        secrets: Vec<SecretString>,
    ) -> Result<Orchestrator, Failure> {
        let known_hosts = self.known_hosts(&config)?;
        let audit = self.audit(&config)?;
        let policy = crate::orchestrator::policy_or_none(&config);
        let passphrase = passphrase(&config)?;
        let mut builder: Builder<NeedsKnownHosts> = Orchestrator::builder(config)
            .operator(self.operator())
            .prompter(Arc::new(Terminal))
            .overrides(overrides);
        for Label { name, value } in &self.global.labels {
            builder = builder.metadata(name, value);
        }
        if let Some(socket) = std::env::var_os("SSH_AUTH_SOCK") {
            builder = builder.agent_socket(socket);
        }
        if let Some(passphrase) = passphrase {
            builder = builder.passphrase(passphrase);
        }
        for secret in secrets {
            builder = builder.secret(secret);
        }
        let builder = builder.known_hosts(known_hosts).policy(policy).audit(audit);
        Ok(builder.build()?)
    }
}

/// The passphrase from the variable that the configuration names.
fn passphrase(config: &Config) -> Result<Option<SecretString>, Failure> {
    let Some(name) = &config.ssh.passphrase_env else { return Ok(None) };
    match std::env::var(name) {
        Ok(value) => Ok(Some(value.into())),
        Err(_) => {
            let message = format!("ssh.passphrase_env names {name}, which is not set");
            Err(Failure::usage(message).hint(format!("export {name}, or take it out")))
        }
    }
}
