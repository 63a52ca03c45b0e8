//! `exec`: run a command on one or more VMs.

use std::ffi::OsString;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::arguments::{Secrets, SshArgs};
use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::process::ProcessArgs;
use super::request::{RequestArgs, Then, perform, run_request};
use super::rerun::typed;
use crate::remote::{Action, Command, CommandList, InvalidCommandList, read_commands};

/// Run a command on one or more VMs.
///
/// CMD is one string for /bin/sh on each VM, whatever its login shell; words
/// after `--` arrive byte for byte. There is never a terminal, and stdin is
/// empty unless --stdin gives one.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// What: one string for /bin/sh, in quotes
    #[arg(value_name = "CMD")]
    command: Option<OsString>,
    /// What: a program and its arguments, which no shell reads
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<OsString>,

    /// What: a file with one command a line, or - for stdin; # begins a comment line
    #[arg(long, env = "ORCHESTRATOR_COMMANDS", value_name = "FILE|-", conflicts_with_all = ["command", "argv", "stdin"])]
    commands: Option<PathBuf>,
    /// Go on with the next command after one that failed
    #[arg(long, env = "ORCHESTRATOR_KEEP_GOING", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    keep_going: bool,
    /// How many commands run at once on each VM, at most max_channels [default: 1]
    #[arg(long, env = "ORCHESTRATOR_COMMANDS_PARALLEL", value_name = "N")]
    commands_parallel: Option<NonZeroUsize>,
    /// Run them in one shell on each VM, so that cd and variables persist
    #[arg(long, env = "ORCHESTRATOR_SHELL_SESSION", conflicts_with = "commands_parallel", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    shell_session: bool,

    /// Run it even if it is known to need a terminal
    #[arg(long, env = "ORCHESTRATOR_ALLOW_INTERACTIVE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    allow_interactive: bool,
    /// The shell for CMD, as an absolute path on the VM [default: /bin/sh]
    #[arg(long, env = "ORCHESTRATOR_SHELL", value_name = "PATH")]
    shell: Option<String>,

    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    pub(super) ssh: SshArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    args.go(context, Secrets::Read, &perform)
}

impl Args {
    /// Asks for it, and does with that what `then` does.
    pub(super) fn go(
        &self,
        context: &Context,
        secrets: Secrets,
        then: Then<'_>,
    ) -> Result<u8, Failure> {
        let action = || self.action(secrets);
        run_request(context, &self.request, &self.ssh, &self.output, action, then)
    }

    /// What is asked for, and what must never be recorded.
    pub(super) fn action(&self, secrets: Secrets) -> Result<(Action, Vec<SecretString>), Failure> {
        self.refuse_swallowed_flag()?;
        let Some(path) = &self.commands else {
            refuse_flags_of_lists()?;
            let (command, known) = self.process.apply(self.command()?, secrets)?;
            return Ok((command.into(), known));
        };
        let text = self.read(path)?;
        let (like, known) = self.process.apply(self.with_shell(Command::shell("")), secrets)?;
        let wrong = |error: InvalidCommandList| {
            let hint = "one command a line; lines that begin with # are left out";
            Failure::usage(format!("{}: {error}", path.display())).hint(hint)
        };
        let list = CommandList::from_lines(&text, &like).map_err(wrong)?;
        let list = list
            .keep_going(self.keep_going)
            .parallel(self.commands_parallel.unwrap_or(NonZeroUsize::MIN))
            .shell_session(self.shell_session);
        Ok((list.into(), known))
    }

    fn command(&self) -> Result<Command, Failure> {
        let command = match (&self.command, self.argv.split_first()) {
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
        Ok(self.with_shell(command))
    }

    fn with_shell(&self, command: Command) -> Command {
        let command = command.allow_interactive(self.allow_interactive);
        match &self.shell {
            Some(shell) => command.shell_path(shell),
            None => command,
        }
    }

    /// The text with one command a line.
    fn read(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let ours = path.as_os_str() == "-";
        if ours && self.request.targets.trim() == "-" {
            let message = "stdin has the targets, and cannot have the commands, too";
            return Err(Failure::usage(message).hint("put one of them into a file"));
        }
        let text = match ours {
            true => read_commands(&mut std::io::stdin().lock()),
            false => File::open(path).and_then(|mut file| read_commands(&mut file)),
        };
        text.map_err(|error| Failure::usage(format!("--commands {}: {error}", path.display())))
    }

    /// A flag of ours that was probably meant for the command.
    fn refuse_swallowed_flag(&self) -> Result<(), Failure> {
        let Some(command) = &self.command else { return Ok(()) };
        let command = command.to_string_lossy();
        let words = typed();
        let Some(at) = words.iter().position(|word| *word == command) else { return Ok(()) };
        let Some(flag) = joined_flag(&words[at + 1..]) else { return Ok(()) };
        let message = format!("{flag} after {command} would be a flag of ours, as ssh has it");
        let hint = "quote the whole command, or put it after --; flags stand before the VMs";
        Err(Failure::usage(message).hint(hint))
    }
}

/// What is typed and only means something for several commands.
fn refuse_flags_of_lists() -> Result<(), Failure> {
    const FLAGS: [&str; 3] = ["--commands-parallel", "--keep-going", "--shell-session"];
    let words = typed();
    let mut flags = words.iter().take_while(|word| *word != "--");
    let of_lists = |word: &String| FLAGS.iter().find(|flag| word.split('=').next() == Some(flag));
    match flags.find_map(of_lists) {
        Some(flag) => {
            let hint = "name a file with one command a line: --commands FILE";
            Err(Failure::usage(format!("{flag} is for several commands")).hint(hint))
        }
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
