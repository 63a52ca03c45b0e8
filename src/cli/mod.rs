//! The command line: arguments in, library calls, exit code out.
//!
//! The only part of the program that reads the environment and the terminal.
//! One file per command; each has its arguments and one function.

mod apply;
mod approve;
mod arguments;
mod audit;
mod config;
mod context;
mod doctor;
mod exec;
mod failure;
mod fleet;
mod hosts;
mod keyboard;
mod keys;
mod meta;
mod output;
mod plan;
mod policy;
mod process;
mod request;
mod rerun;
mod runs;
mod script;
mod scripts;
mod signals;
mod stdout;
mod sudo;
mod table;
mod targets;
mod terminal;
mod time;
mod transfer;
mod verb;

use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use context::Context;
use failure::Failure;

use crate::report::{self, exit::Exit};

/// Runs commands over SSH on a fixed inventory of VMs: hosts verified, decided
/// by policy, recorded before it happens.
#[derive(Parser)]
#[command(name = "orchestrator", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: context::Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  orchestrator exec vm01 'uptime'                   one shell string, as ssh takes it
  orchestrator exec vm[01-04] -- systemctl is-active nginx
  orchestrator exec all 'df -h /' --timeout 10s --json
  orchestrator push vm01 app.tar /opt/app.tar       whole or not at all, proven by SHA-256
  orchestrator pull vm[01-04] /var/log/syslog logs  into logs/vm01/, logs/vm02/, …
  orchestrator script vm[01-04] check.sh -- --all   sent, verified, run, removed
  orchestrator hosts check                          can every VM be reached?
  orchestrator doctor vm01                          what is wrong with it, and what to do?
  orchestrator hosts trust vm01                     enrol its host key
  orchestrator runs rerun last --only failed        the same, where it failed
  orchestrator audit verify                         is the record intact?";

const QUOTING: &str = "\nA command is one argument in quotes, or words after --:
  orchestrator exec vm01 'ls -l /tmp'
  orchestrator exec vm01 -- ls -l /tmp";

const SCRIPT_QUOTING: &str = "\nThe arguments of a script are words after --:
  orchestrator script vm01 check.sh -- --all";

#[derive(Subcommand)]
enum Command {
    Exec(Box<exec::Args>),
    Push(Box<transfer::Push>),
    Pull(Box<transfer::Pull>),
    Script(Box<script::Args>),
    Plan(plan::Args),
    Approve(approve::Args),
    Apply(apply::Args),
    /// Find out what stands between here and VMs, stage by stage
    Doctor(doctor::Args),
    /// Show, check and trust the VMs of the inventory
    #[command(subcommand)]
    Hosts(hosts::Command),
    /// Make, deploy and rotate the keys that we log in with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show what was done, and do it again
    #[command(subcommand)]
    Runs(runs::Command),
    /// Read, verify and export the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show and check the scripts of the library
    #[command(subcommand)]
    Scripts(scripts::Command),
    /// Check the policy, and explain what it decides
    #[command(subcommand)]
    Policy(policy::Command),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Print the JSON Schema of --json and -o ndjson
    Schema,
    /// Print a completion script for a shell
    Completions(meta::Completions),
    /// Print the manual page, or write all of them into a directory
    Man(meta::Man),
}

/// Tells what is wrong with the arguments; help and version, which are nothing
/// wrong, go to stdout.
fn misread(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let quoting = match words.iter().find(|word| matches!(word.as_str(), "exec" | "script")) {
        Some(verb) if verb == "exec" => QUOTING,
        Some(_) => SCRIPT_QUOTING,
        None => "",
    };
    if is_of_the_command(error) && !quoting.is_empty() {
        let _ = writeln!(std::io::stderr(), "{quoting}");
    }
    if words.iter().any(|word| word == "--json") {
        let message = error.kind().to_string();
        let _ = report::write_error(&mut std::io::stdout(), &Failure::usage(message).outcome());
    }
    ExitCode::from(Exit::Usage.code())
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    let context = Context::new(cli.global);
    context.start_log();
    raise_file_limit();
    let outcome = match cli.command {
        Command::Exec(args) => exec::run(&context, &args),
        Command::Push(args) => transfer::push(&context, &args),
        Command::Pull(args) => transfer::pull(&context, &args),
        Command::Script(args) => script::run(&context, &args),
        Command::Plan(args) => plan::run(&context, &args),
        Command::Approve(args) => approve::run(&context, &args),
        Command::Apply(args) => apply::run(&context, &args),
        Command::Doctor(args) => {
            let json = args.json;
            doctor::run(&context, &args).map_err(|failure| failure.json(json))
        }
        Command::Hosts(command) => hosts::run(&context, command),
        Command::Keys(command) => keys::run(&context, command),
        Command::Runs(command) => runs::run(&context, command),
        Command::Audit(command) => audit::run(&context, command),
        Command::Config(command) => config::run(&context, command),
        Command::Scripts(command) => scripts::run(&context, command),
        Command::Policy(command) => policy::run(&context, command),
        Command::Schema => meta::schema(),
        Command::Completions(args) => meta::completions(&args, &mut Cli::command()),
        Command::Man(args) => meta::man(&args, Cli::command()),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(&context),
    }
}

/// Takes as many open files as the system lets us have: the usual limit is there
/// for programs that know no better than 1024, and many hosts need more.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Whether what clap did not take was probably meant for the VM: `ls /tmp`
/// without quotes, or the `-l` of `ls -l`, which lacks its value here.
fn is_of_the_command(error: &clap::Error) -> bool {
    let value = error.get(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => true,
        ErrorKind::InvalidValue => value.is_some_and(|value| value.to_string().is_empty()),
        _ => false,
    }
}
