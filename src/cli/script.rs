//! `script`: run a script on one or more VMs.

use std::ffi::OsString;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::arguments::{self, Secrets, SshArgs};
use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::process::ProcessArgs;
use super::request::{RequestArgs, Search, Then, perform, run_script};
use super::scripts::library;
use crate::config::Config;
use crate::remote::{Action, Command, RunAs, Script, SudoPassword, read_script};
use crate::scan::RuleName;
use crate::scripts::{Entry, Given};

/// Run a script on one or more VMs.
///
/// FILE is sent to a directory that only its user can enter, proven there by
/// its SHA-256, run, and removed whatever becomes of it. Its first line (#!)
/// says what reads it, else it is /bin/sh. Words after `--` arrive byte for
/// byte.
///
/// lib:ID is a script of the library. Its parameters are checked before anything
/// runs, and so is what it looks like: what a scan finds dangerous is denied.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// What: a local file, - for our own stdin, lib:ID of the library, or with --remote a file there
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

    /// Give a parameter of a lib:ID; a secret one as NAME=env:VAR, file:PATH or prompt
    #[arg(long, env = "ORCHESTRATOR_PARAM", value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// Search any script for what is dangerous, not only those of the library
    #[arg(long, env = "ORCHESTRATOR_SCAN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, conflicts_with = "remote")]
    scan: bool,
    /// Run it although this rule finds something; needs --reason, and is recorded
    #[arg(long, env = "ORCHESTRATOR_ALLOW_THREAT", value_name = "RULE")]
    allow_threat: Vec<RuleName>,

    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    pub(super) ssh: SshArgs,
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
  orchestrator script vm01 --remote /opt/app/bin/restart
  orchestrator script @web lib:restart-web --param service=nginx";

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    args.go(context, Secrets::Read, &perform)
}

/// `755`, as chmod takes it.
fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).map_err(|_| format!("{text:?} is no mode: write 755"))
}

impl Args {
    /// What is to be looked for in it.
    pub(super) fn search(&self) -> Search<'_> {
        Search { all: self.scan, accepted: &self.allow_threat }
    }

    /// Asks for it, and does with that what `then` does.
    pub(super) fn go(
        &self,
        context: &Context,
        secrets: Secrets,
        then: Then<'_>,
    ) -> Result<u8, Failure> {
        let Self { request, ssh, output, .. } = self;
        let action = |config: &Config| self.action(config, secrets);
        run_script(context, request, ssh, output, self.search(), action, then)
    }

    /// What is asked for, and what must never be recorded.
    pub(super) fn action(
        &self,
        config: &Config,
        named: Secrets,
    ) -> Result<(Action, Vec<SecretString>), Failure> {
        let id = self.file.to_str().and_then(|file| file.strip_prefix("lib:"));
        if let Some(id) = id.filter(|_| !self.remote) {
            return self.library_action(config, id, named);
        }
        if !self.param.is_empty() {
            let failure = Failure::usage("--param is for scripts of the library");
            return Err(failure.hint("give arguments after --, or variables by -e"));
        }
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
        let (settings, secrets) = self.process.apply(Command::new(""), named)?;
        Ok((script.settings(|_| settings).into(), secrets))
    }

    /// A script of the library, which says itself what reads it.
    fn library_action(
        &self,
        config: &Config,
        id: &str,
        named: Secrets,
    ) -> Result<(Action, Vec<SecretString>), Failure> {
        if self.interpreter.is_some() || !self.args.is_empty() {
            let failure = Failure::usage("a script of the library takes parameters only");
            return Err(failure.hint("give them by --param NAME=VALUE"));
        }
        let library = library(config)?;
        let entry = library.get(id)?;
        let mut secrets = Vec::new();
        // A secret is looked at here even for a plan: its pattern is checked.
        let mut script = entry.script(given(entry, &self.param, &mut secrets)?)?;
        note_sources(entry, &self.param, &mut script)?;
        if let Some(path) = &self.at {
            script = script.place(path);
        }
        if let Some(mode) = self.mode {
            script = script.mode(mode);
        }
        let settings = std::mem::replace(&mut script.settings, Command::new(""));
        let (mut settings, more) = self.process.apply(settings, named)?;
        secrets.extend(more);
        run_as(entry, &mut settings)?;
        if let Some(timeout) = entry.timeout().filter(|_| !self.request.has_timeout()) {
            settings = settings.timeout(timeout);
        }
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

/// The parameters as they were typed; `secrets` gets what must never be recorded.
fn given(
    entry: &Entry,
    typed: &[String],
    secrets: &mut Vec<SecretString>,
) -> Result<Vec<(String, Given)>, Failure> {
    let mut given = Vec::new();
    for text in typed {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage("--param: there is no =").hint("write --param NAME=VALUE"));
        };
        let value = match entry.parameter(name)?.secret() {
            false => Given::Plain(value.to_owned()),
            true => {
                let secret = arguments::secret_from(&format!("--param {name}"), name, value)?;
                secrets.push(SecretString::from(secret.expose_secret().to_owned()));
                Given::Secret(secret)
            }
        };
        given.push((name.to_owned(), value));
    }
    Ok(given)
}

/// Notes where the secrets among the parameters came from.
fn note_sources(entry: &Entry, typed: &[String], script: &mut Script) -> Result<(), Failure> {
    for (name, source) in typed.iter().filter_map(|text| text.split_once('=')) {
        let parameter = entry.parameter(name)?;
        let variable = parameter.variable();
        let secrets = script.settings.secret_env.iter_mut();
        for (_, secret) in secrets.filter(|(name, _)| name.as_str() == variable) {
            let source = arguments::lasting_source(&format!("--param {name}"), source)?;
            *secret = secret.clone().from_source(source);
        }
    }
    Ok(())
}

/// A script that says whom it runs as runs as nobody else.
fn run_as(entry: &Entry, settings: &mut Command) -> Result<(), Failure> {
    let Some(user) = entry.run_as() else { return Ok(()) };
    match &settings.run_as {
        None => {
            let user = Some(user.to_owned()).filter(|user| user != "root");
            settings.run_as = Some(RunAs { user, password: SudoPassword::NotNeeded });
        }
        Some(asked) => {
            let asked = asked.user.as_deref().unwrap_or("root");
            if asked != user {
                let message = format!("the script {} runs as {user}, not as {asked}", entry.id());
                return Err(Failure::usage(message).hint(format!("write --sudo={user}")));
            }
        }
    }
    Ok(())
}
