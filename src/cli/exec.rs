//! `exec`: run a command on one or more VMs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::arguments::{self, Fanout, SshArgs, parse_duration, parse_fanout};
use super::context::Context;
use super::failure::Failure;
use super::output::{Output, OutputArgs, follow};
use super::signals::cancel_on_signal;
use super::stdout::print;
use super::sudo::SudoArgs;
use super::targets;
use crate::config::Config;
use crate::nodeset::HostPattern;
use crate::plan::Plan;
use crate::redact::Redactor;
use crate::remote::{Command, OnDisconnect, Secret, Stdin, SudoPassword};
use crate::report::Rerun;
use crate::report::exit::Exit;
use crate::{Request, quote};

/// Run a command on one or more VMs.
///
/// CMD is one string for /bin/sh on each VM, whatever its login shell; words
/// after `--` arrive byte for byte. There is never a terminal, and stdin is
/// empty unless --stdin gives one.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where: vm01, vm01,vm02, vm[01-04] or all
    targets: String,
    /// What: one string for /bin/sh, in quotes
    #[arg(value_name = "CMD")]
    command: Option<OsString>,
    /// What: a program and its arguments, which no shell reads
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<OsString>,

    /// Print the VM ids, one a line, and run nothing
    #[arg(long, env = "ORCHESTRATOR_LIST_HOSTS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    list_hosts: bool,
    /// Show what would be run where, and whether it may be; run nothing
    #[arg(long, env = "ORCHESTRATOR_DRY_RUN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    dry_run: bool,
    /// How many VMs at once [default: max_parallel_commands, else 32]
    #[arg(short, long, env = "ORCHESTRATOR_FANOUT", value_parser = parse_fanout, value_name = "N|N%")]
    fanout: Option<Fanout>,
    /// How long the command may run on each VM, then it is killed there; 0 is no limit [default: default_timeout, else 30s]
    #[arg(long, env = "ORCHESTRATOR_TIMEOUT", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// How long it has between TERM and KILL [default: grace, else 5s]
    #[arg(long, env = "ORCHESTRATOR_GRACE", value_parser = parse_duration, value_name = "DURATION")]
    grace: Option<Duration>,
    /// How often to try again while nothing was sent [default: default_retry - 1, else 2]
    #[arg(long, env = "ORCHESTRATOR_RETRIES", value_name = "N")]
    retries: Option<u32>,
    /// Say that running it twice does no harm: then a lost link is retried too
    #[arg(long, env = "ORCHESTRATOR_IDEMPOTENT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    idempotent: bool,
    /// What becomes of the command if the connection is lost
    #[arg(
        long,
        env = "ORCHESTRATOR_ON_DISCONNECT",
        value_enum,
        default_value_t,
        value_name = "WHAT"
    )]
    on_disconnect: Disconnect,
    /// Run it even if it is known to need a terminal
    #[arg(long, env = "ORCHESTRATOR_ALLOW_INTERACTIVE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    allow_interactive: bool,
    /// Why it is run, for the audit log
    #[arg(long, env = "ORCHESTRATOR_REASON", value_name = "TEXT")]
    reason: Option<String>,

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
    /// What the command reads: a file, or - for our own stdin [default: nothing]
    #[arg(long, env = "ORCHESTRATOR_STDIN", value_name = "FILE|-")]
    stdin: Option<PathBuf>,
    /// The shell for CMD, as an absolute path on the VM [default: /bin/sh]
    #[arg(long, env = "ORCHESTRATOR_SHELL", value_name = "PATH")]
    shell: Option<String>,

    #[command(flatten)]
    ssh: SshArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Disconnect {
    /// It goes on, as under ssh
    #[default]
    Keep,
    /// Its process tree is killed
    Kill,
}

pub(super) fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let json = args.output.mode() == Output::Json;
    exec(context, args).map_err(|failure| failure.json(json))
}

fn exec(context: &Context, args: Args) -> Result<u8, Failure> {
    let pattern = arguments::pattern(&args.targets)?;
    let config = context.config()?;
    let skipped = targets::skipped(&config.inventory, &pattern);
    if !skipped.is_empty() && !context.quiet() {
        context.note("note", &format!("all leaves out {skipped}: disabled or not allowed"));
    }
    if args.list_hosts {
        return list_hosts(&config, &pattern);
    }
    if let (Some(command), Some(flag)) = (&args.command, args.swallowed()) {
        let command = command.to_string_lossy();
        let message = format!("{flag} after {command} would be a flag of ours, as ssh has it");
        let hint = "quote the whole command, or put it after --; flags stand before the VMs";
        return Err(Failure::usage(message).hint(hint));
    }
    let (command, secrets) = args.command()?;
    command.validate().map_err(|error| Failure::usage(error.to_string()))?;
    let mut config = config;
    arguments::limit_connecting(&mut config, args.ssh.connect_timeout);
    // Targets that cannot be used are the request's to refuse: it records that.
    let total = pattern.resolve(&crate::orchestrator::Names(&config.inventory));
    let total = total.map_or(0, |hosts| hosts.len());
    let grace = args.grace.unwrap_or(config.remote_execution.grace);
    let overrides = args.ssh.overrides()?;
    let orchestrator = context.orchestrator(config, overrides, secrets)?;
    let mut request = orchestrator.on(pattern.clone()).command(command);
    request = args.settings(request, total);
    if args.dry_run {
        return dry_run(&request.plan()?);
    }
    // This thread shows the run and may wait for whoever reads our output; the
    // other one keeps the deadlines meanwhile.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let done = runtime.block_on(async {
        let handle = request.start()?;
        let interrupted = cancel_on_signal(handle.canceller(), context.quiet())?;
        let single = pattern.is_single_literal();
        let view = args.output.view(context, single, grace, args.rerun());
        let results = follow(handle, view).await?;
        orchestrator.shutdown().await;
        Ok::<_, Failure>(args.output.exit_code(&results, single, &interrupted))
    });
    // Whoever still waits on our stdin or on a slow resolver is not waited for.
    runtime.shutdown_background();
    done
}

fn list_hosts(config: &Config, pattern: &HostPattern) -> Result<u8, Failure> {
    let hosts = crate::orchestrator::resolve(&config.inventory, pattern)?;
    print(|out| Ok(hosts.iter().try_for_each(|vm| writeln!(out, "{vm}"))?))?;
    Ok(0)
}

fn dry_run(plan: &Plan) -> Result<u8, Failure> {
    print(|out| {
        writeln!(out, "{}", plan.action.display())?;
        for host in &plan.hosts {
            let verdict = if host.decision.allow { "allowed" } else { "DENIED" };
            let way = match &host.endpoint {
                Ok(endpoint) => format!("{}@{}", endpoint.user, endpoint.authority()),
                Err(failure) => failure.message.clone(),
            };
            let reason = host.decision.reason.as_deref().map(|reason| format!(": {reason}"));
            let (rule, reason) = (&host.decision.rule, reason.unwrap_or_default());
            writeln!(out, "{}  {way}  {verdict} by {rule}{reason}", host.vm)?;
        }
        Ok(())
    })?;
    let denied = plan.hosts.iter().any(|host| !host.decision.allow);
    Ok(if denied { Exit::Denied.code() } else { Exit::Ok.code() })
}

fn command_stdin(args: &Args) -> Stdin {
    match &args.stdin {
        None => Stdin::Empty,
        Some(path) if path.as_os_str() == "-" => Stdin::Inherit,
        Some(path) => Stdin::File(path.clone()),
    }
}

impl Args {
    /// The command, and what must never be recorded.
    fn command(&self) -> Result<(Command, Vec<SecretString>), Failure> {
        let mut command = match (&self.command, self.argv.split_first()) {
            (Some(text), None) => Command::shell(text),
            (None, Some((program, rest))) => Command::new(program).args(rest),
            (Some(_), Some(_)) => {
                let message = "a command string and words after -- cannot both be given";
                return Err(Failure::usage(message));
            }
            (None, None) => {
                let hint =
                    "orchestrator exec vm01 'uptime', or: orchestrator exec vm01 -- uptime -p";
                return Err(Failure::usage("there is no command").hint(hint));
            }
        };
        let mut secrets = Vec::new();
        let mut remember = |secret: &SecretString| {
            secrets.push(SecretString::from(secret.expose_secret().to_owned()));
        };
        for text in &self.env {
            let (name, value) = arguments::variable(text)?;
            command = command.env(name, value);
        }
        for text in &self.secret_env {
            let (name, value) = arguments::secret(text)?;
            remember(&value);
            command = command.secret_env(name, Secret::new(value));
        }
        if let Some(run_as) = self.sudo.run_as()? {
            if let SudoPassword::Given(password) = &run_as.password {
                remember(&password.0);
            }
            command = command.run_as(run_as);
        }
        if let Some(cwd) = &self.cwd {
            command = command.current_dir(cwd);
        }
        if let Some(shell) = &self.shell {
            command = command.shell_path(shell);
        }
        let on_disconnect = match self.on_disconnect {
            Disconnect::Keep => OnDisconnect::Keep,
            Disconnect::Kill => OnDisconnect::Kill,
        };
        let command = command
            .clean_env(self.clean_env)
            .stdin(command_stdin(self))
            .on_disconnect(on_disconnect)
            .idempotent(self.idempotent)
            .allow_interactive(self.allow_interactive);
        Ok((command, secrets))
    }

    fn settings(&self, mut request: Request, total: usize) -> Request {
        // A document holds what was collected; everything else is told as it
        // comes.
        let streams = matches!(self.output.mode(), Output::Stream | Output::Ndjson);
        request = request.stream(streams);
        if self.output.mode() == Output::Stream {
            // What is shown need not be kept.
            request = request.output_max(0);
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(grace) = self.grace {
            request = request.grace(grace);
        }
        if let Some(retries) = self.retries {
            request = request.retries(retries);
        }
        if let Some(fanout) = self.fanout {
            request = request.fanout(fanout.of(total));
        }
        if let Some(reason) = &self.reason {
            request = request.reason(reason);
        }
        request
    }

    /// A flag of ours that was probably meant for the command.
    fn swallowed(&self) -> Option<String> {
        let command = self.command.as_ref()?.to_string_lossy();
        let words = typed();
        let after = words.iter().position(|word| *word == command)? + 1;
        joined_flag(&words[after..]).cloned()
    }

    /// The command line around its targets, unless it would be shown with a
    /// secret in it or be too long to read.
    fn rerun(&self) -> Option<Rerun> {
        const LENGTH_MAX: usize = 400;
        let words = typed();
        let secret = Redactor::builtin().redact_argv(&words).iter().any(|it| !it.hits.is_empty());
        let (before, after) = around(&words, &self.targets)?;
        let before = format!("orchestrator {}", shell_words(before));
        let rerun = Rerun { before: before.trim_end().into(), after: shell_words(after) };
        let short = rerun.before.len() + rerun.after.len() <= LENGTH_MAX;
        (short && !secret).then_some(rerun)
    }
}

/// The command line, without the program's name.
fn typed() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The first flag among `words` that has its value in the same word, as `-la`
/// of an unquoted `ls -la` seems to.
fn joined_flag(words: &[String]) -> Option<&String> {
    let flags = words.iter().take_while(|word| *word != "--");
    flags.into_iter().find(|word| {
        let mut letters = word.chars();
        letters.next() == Some('-')
            && letters.next().is_some_and(|letter| "lipJ".contains(letter))
            && letters.next().is_some()
    })
}

/// What stands before and after the only word that can be the targets.
fn around<'a>(words: &'a [String], targets: &str) -> Option<(&'a [String], &'a [String])> {
    let flags = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut found = words[..flags].iter().enumerate().filter(|(_, word)| *word == targets);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some((&words[..at], &words[at + 1..])),
        _ => None,
    }
}

fn shell_words(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quote::word(word.as_bytes()));
    let quoted = quoted.map(|word| String::from_utf8_lossy(&word).into_owned());
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_the_one_word_that_can_be_them() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = around(&words, "vm01");
            let found = found.map(|(before, after)| (before.join(" "), after.join(" ")));
            assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{line}");
        };
        check("exec --sudo vm01 id", Some(("exec --sudo", "id")));
        check("exec vm01 -- ping vm01", Some(("exec", "-- ping vm01")));
        check("exec -l vm01 vm01 id", None);
        check("exec x", None);
    }

    #[test]
    fn a_flag_joined_with_its_value_is_found() {
        let found = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            joined_flag(&words).cloned()
        };
        assert_eq!(found("ls -la").as_deref(), Some("-la"));
        for line in ["ls -l ops", "id --login=ops", "id -- -la", "id -N"] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn words_can_be_copied() {
        assert_eq!(shell_words(&["-e".into(), "A=b c".into()]), "-e 'A=b c'");
    }
}
