//! `script`: run a script on one or more VMs.

use std::ffi::OsString;
use std::path::Path;

use secrecy::SecretString;

use super::arguments::SshArgs;
use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::process::ProcessArgs;
use super::request::{RequestArgs, run_request};
use crate::remote::{Action, Command, Script, read_script};

/// Run a script on one or more VMs.
///
/// FILE is sent to a directory that only its user can enter, proven there by
/// its SHA-256, run, and removed whatever becomes of it. Its first line (#!)
/// says what reads it, else it is /bin/sh. Words after `--` arrive byte for
/// byte.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// What: a local file, - for our own stdin, or with --remote a file there
    #[arg(value_name = "FILE")]
    file: OsString,
    /// Its arguments, which no shell reads
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,

    /// FILE is on the VMs already
    #[arg(long, env = "ORCHESTRATOR_REMOTE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    remote: bool,
    /// Put it there, whole or not at all and executable, run it and leave it
    #[arg(long, env = "ORCHESTRATOR_AT", value_name = "PATH", conflicts_with = "remote")]
    at: Option<OsString>,
    /// Its permission bits with --at [default: those of the file that is there, else 755 under the umask]
    #[arg(long, env = "ORCHESTRATOR_MODE", value_parser = parse_mode, value_name = "MODE", requires = "at")]
    mode: Option<u32>,
    /// What reads it, in place of its first line: a program and words before the path
    #[arg(long, env = "ORCHESTRATOR_INTERPRETER", value_name = "WORDS")]
    interpreter: Option<String>,

    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    ssh: SshArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  orchestrator script vm01 check.sh
  orchestrator script vm[01-04] upgrade.py --sudo -- --verbose 'two words'
  orchestrator script vm01 report.py --interpreter 'python3 -u'
  generate | orchestrator script vm01 -
  orchestrator script vm01 deploy.sh --at /usr/local/bin/deploy --sudo
  orchestrator script vm01 --remote /opt/app/bin/restart";

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    run_request(context, &args.request, &args.ssh, &args.output, || args.action())
}

/// `755`, as chmod takes it.
fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).map_err(|_| format!("{text:?} is no mode: write 755"))
}

impl Args {
    /// What is asked for, and what must never be recorded.
    pub(super) fn action(&self) -> Result<(Action, Vec<SecretString>), Failure> {
        let mut script = self.script()?.args(&self.args);
        if let Some(words) = &self.interpreter {
            let words: Vec<&str> = words.split_ascii_whitespace().collect();
            if words.is_empty() {
                return Err(Failure::usage("--interpreter names no program"));
            }
            script = script.interpreter(words);
        }
        if let Some(path) = &self.at {
            script = script.place(path);
        }
        if let Some(mode) = self.mode {
            script = script.mode(mode);
        }
        let (settings, secrets) = self.process.apply(Command::new(""))?;
        Ok((script.settings(|_| settings).into(), secrets))
    }

    fn script(&self) -> Result<Script, Failure> {
        if self.remote {
            return Ok(Script::on_host(&self.file));
        }
        if self.file != "-" {
            return Ok(Script::upload(Path::new(&self.file)));
        }
        if self.process.reads_our_stdin() {
            let message = "our stdin cannot be both the script and what it reads";
            return Err(Failure::usage(message).hint("give one of them as a file"));
        }
        let bytes = read_script(&mut std::io::stdin().lock())
            .map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
        Ok(Script::text("stdin", bytes))
    }
}
