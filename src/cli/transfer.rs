//! `push` and `pull`: move files to VMs and from them.

use std::ffi::OsString;

use secrecy::SecretString;

use super::arguments::{Secrets, SshArgs};
use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::request::{RequestArgs, Then, perform, run_request};
use super::sudo::SudoArgs;
use crate::config::size;
use crate::remote::{Action, SudoPassword, Transfer};

/// Put files on one or more VMs.
///
/// Each file arrives whole or not at all: it is written beside its target,
/// proven there by its SHA-256, and renamed over it. A target that has the same
/// content already is left as it is.
#[derive(clap::Args)]
#[command(override_usage = "orchestrator push [OPTIONS] <TARGETS> <LOCAL>... <REMOTE>")]
#[command(mut_args(arg))]
pub(super) struct Push {
    #[command(flatten)]
    pub(super) transfer: Args,
}

/// Fetch files from one or more VMs.
///
/// Each file arrives whole or not at all: it is written beside its target,
/// compared with the VM's own SHA-256 of it, and renamed over it. From several
/// VMs, each one's files go to LOCAL/<vm_id>/.
#[derive(clap::Args)]
#[command(override_usage = "orchestrator pull [OPTIONS] <TARGETS> <REMOTE>... <LOCAL>")]
#[command(mut_args(arg))]
pub(super) struct Pull {
    #[command(flatten)]
    pub(super) transfer: Args,
}

/// What both directions take.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// What is moved, and last where to; a directory, or a path that ends in /, means into it
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,

    /// Take directories with everything in them
    #[arg(short, long, env = "ORCHESTRATOR_RECURSIVE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    recursive: bool,
    /// Keep permissions and times of modification
    #[arg(short = 'p', long, env = "ORCHESTRATOR_PRESERVE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    preserve: bool,
    /// Give each file these permissions, in octal
    #[arg(long, env = "ORCHESTRATOR_MODE", value_parser = parse_mode, value_name = "MODE")]
    mode: Option<u32>,
    /// Make the directories that are missing above the target
    #[arg(long, env = "ORCHESTRATOR_MKDIR", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    mkdir: bool,
    /// Go on where an interrupted transfer of the same file stopped, and keep what arrives for the next time
    #[arg(long, env = "ORCHESTRATOR_RESUME", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    resume: bool,
    /// Move at most so many bytes a second on each VM (500K, 10Mi)
    #[arg(long, env = "ORCHESTRATOR_BWLIMIT", value_parser = parse_size, value_name = "SIZE")]
    bwlimit: Option<u64>,

    #[command(flatten)]
    sudo: SudoArgs,
    #[command(flatten)]
    pub(super) ssh: SshArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What flags that other verbs have, too, mean here.
fn arg(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "port" => arg.short('P'),
        "timeout" => arg.help("How long it may take on each VM; 0, the default, is no limit"),
        // It is always the table's.
        "exit_code" => arg.hide(true),
        _ => arg,
    }
}

pub(super) fn push(context: &Context, args: &Push) -> Result<u8, Failure> {
    args.transfer.go(context, || args.action(Secrets::Read), &perform)
}

pub(super) fn pull(context: &Context, args: &Pull) -> Result<u8, Failure> {
    args.transfer.go(context, || args.action(Secrets::Read), &perform)
}

impl Push {
    /// What is asked for, and what must never be recorded.
    pub(super) fn action(&self, secrets: Secrets) -> Result<Asked, Failure> {
        self.transfer.action(secrets, |(first, rest), target| {
            rest.iter().fold(Transfer::upload(first, target), Transfer::and)
        })
    }
}

impl Pull {
    /// What is asked for, and what must never be recorded.
    pub(super) fn action(&self, secrets: Secrets) -> Result<Asked, Failure> {
        self.transfer.action(secrets, |(first, rest), target| {
            rest.iter().fold(Transfer::download(first, target), Transfer::and)
        })
    }
}

type Asked = (Action, Vec<SecretString>);

impl Args {
    /// Asks for what `action` says, and does with that what `then` does.
    pub(super) fn go(
        &self,
        context: &Context,
        action: impl FnOnce() -> Result<Asked, Failure>,
        then: Then<'_>,
    ) -> Result<u8, Failure> {
        run_request(context, &self.request, &self.ssh, &self.output, action, then)
    }

    fn action(
        &self,
        named: Secrets,
        new: impl FnOnce((&OsString, &[OsString]), &OsString) -> Transfer,
    ) -> Result<Asked, Failure> {
        let [first, rest @ .., target] = &self.paths[..] else {
            return Err(Failure::usage("a source and a target are needed"));
        };
        let mut transfer = new((first, rest), target)
            .recursive(self.recursive)
            .preserve(self.preserve)
            .mkdir(self.mkdir)
            .resume(self.resume)
            .bytes_per_second(self.bwlimit.unwrap_or(0));
        if let Some(mode) = self.mode {
            transfer = transfer.mode(mode);
        }
        let mut secrets = Vec::new();
        if let Some(run_as) = self.sudo.run_as(named)? {
            if let SudoPassword::Given(password) = &run_as.password
                && named == Secrets::Read
            {
                secrets.push(password.reveal());
            }
            transfer = transfer.run_as(run_as);
        }
        Ok((transfer.into(), secrets))
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o7777);
    let octal = text.len() >= 3 && text.bytes().all(|digit| digit.is_ascii_digit());
    mode.filter(|_| octal)
        .ok_or_else(|| format!("{text:?} is no mode: write three or four octal digits, as 644"))
}

fn parse_size(text: &str) -> Result<u64, String> {
    size::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, mode) in [("644", 0o644), ("0755", 0o755), ("4755", 0o4755)] {
            assert_eq!(parse_mode(text), Ok(mode));
        }
        for text in ["", "7", "888", "10000", "u+x", "+644", "-644"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
