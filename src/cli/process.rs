//! What a command and a script have in common: whom they run as, in which
//! directory and environment, on what input.

use std::ffi::OsString;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::arguments::{self, Secrets};
use super::failure::Failure;
use super::sudo::SudoArgs;
use crate::remote::{Command, OnDisconnect, Stdin, SudoPassword};

/// The flags of what becomes a process on the VM.
#[derive(clap::Args)]
pub(super) struct ProcessArgs {
    /// Say that running it twice does no harm: then a lost link is retried too
    #[arg(long, env = "ORCHESTRATOR_IDEMPOTENT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    idempotent: bool,
    /// What becomes of it if the connection is lost
    #[arg(
        long,
        env = "ORCHESTRATOR_ON_DISCONNECT",
        value_enum,
        default_value_t,
        value_name = "WHAT"
    )]
    on_disconnect: Disconnect,

    #[command(flatten)]
    sudo: SudoArgs,
    /// Change to this directory first; if that fails, nothing runs
    #[arg(short = 'C', long, env = "ORCHESTRATOR_CWD", value_name = "DIR")]
    cwd: Option<OsString>,
    /// Set a variable; its value can be seen in ps on the VM
    #[arg(short, long, env = "ORCHESTRATOR_ENV", value_name = "NAME=VALUE")]
    env: Vec<OsString>,
    /// Set a variable from env:VAR, file:PATH or prompt; its value is seen and recorded nowhere
    #[arg(long, env = "ORCHESTRATOR_SECRET_ENV", value_name = "NAME=SOURCE")]
    secret_env: Vec<String>,
    /// Start from an empty environment, with a standard PATH
    #[arg(long, env = "ORCHESTRATOR_CLEAN_ENV", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    clean_env: bool,
    /// What it reads: a file, or - for our own stdin [default: nothing]
    #[arg(long, env = "ORCHESTRATOR_STDIN", value_name = "FILE|-")]
    stdin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Disconnect {
    /// It goes on, as under ssh
    #[default]
    Keep,
    /// Its process tree is killed
    Kill,
}

impl ProcessArgs {
    /// Gives a command these settings; beside it, what must never be recorded.
    pub(super) fn apply(
        &self,
        mut command: Command,
        named: Secrets,
    ) -> Result<(Command, Vec<SecretString>), Failure> {
        let mut secrets = Vec::new();
        let mut remember = |secret: &SecretString| {
            secrets.push(SecretString::from(secret.expose_secret().to_owned()));
        };
        for text in &self.env {
            let (name, value) = arguments::variable(text)?;
            command = command.env(name, value);
        }
        for text in &self.secret_env {
            let (name, value) = arguments::secret(text, named)?;
            if named == Secrets::Read {
                remember(&value.0);
            }
            command = command.secret_env(name, value);
        }
        if let Some(run_as) = self.sudo.run_as(named)? {
            if let SudoPassword::Given(password) = &run_as.password
                && named == Secrets::Read
            {
                remember(&password.0);
            }
            command = command.run_as(run_as);
        }
        if let Some(cwd) = &self.cwd {
            command = command.current_dir(cwd);
        }
        let on_disconnect = match self.on_disconnect {
            Disconnect::Keep => OnDisconnect::Keep,
            Disconnect::Kill => OnDisconnect::Kill,
        };
        let command = command
            .clean_env(self.clean_env)
            .stdin(self.stdin())
            .on_disconnect(on_disconnect)
            .idempotent(self.idempotent);
        Ok((command, secrets))
    }

    /// Whether it reads what we are given on our own stdin.
    pub(super) fn reads_our_stdin(&self) -> bool {
        matches!(self.stdin(), Stdin::Inherit)
    }

    fn stdin(&self) -> Stdin {
        match &self.stdin {
            None => Stdin::Empty,
            Some(path) if path.as_os_str() == "-" => Stdin::Inherit,
            Some(path) => Stdin::File(path.clone()),
        }
    }
}
