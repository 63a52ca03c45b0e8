//! `--sudo` and `-K`.

use secrecy::SecretString;

use super::arguments::Secrets;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::prompt::Prompter;
use crate::remote::{RunAs, Secret, SudoPassword};

/// Flags that make a command run as somebody else.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct SudoArgs {
    /// Run by sudo, as root or USER
    #[arg(long, env = "ORCHESTRATOR_SUDO", value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    sudo: Option<String>,
    /// Ask for the sudo password; without it sudo must need none
    #[arg(short = 'K', long, env = "ORCHESTRATOR_ASK_SUDO_PASS", requires = "sudo", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    ask_sudo_pass: bool,
}

impl SudoArgs {
    /// Whom to run as; asks for the password if it is to be asked for.
    pub(super) fn run_as(&self, named: Secrets) -> Result<Option<RunAs>, Failure> {
        let Some(user) = &self.sudo else { return Ok(None) };
        let password = if self.ask_sudo_pass {
            let secret = match named {
                Secrets::Named => SecretString::default(),
                Secrets::Read => Terminal.secret("sudo password: ").map_err(|error| {
                    Failure::usage(error.to_string()).hint("-K needs a terminal")
                })?,
            };
            SudoPassword::Given(Secret::new(secret).from_source("prompt"))
        } else {
            SudoPassword::NotNeeded
        };
        let user = Some(user.clone()).filter(|user| user != "root");
        Ok(Some(RunAs { user, password }))
    }
}
