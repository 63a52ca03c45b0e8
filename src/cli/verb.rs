//! What can be asked about in place of being done.

use secrecy::SecretString;

use super::arguments::{Secrets, SshArgs};
use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::request::{RequestArgs, Then};
use super::{exec, script, transfer};
use crate::config::Config;
use crate::remote::Action;

/// A verb with its command line, as it would be given to be carried out. The
/// values of its secrets are not read.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    Exec(Box<exec::Args>),
    Push(Box<transfer::Push>),
    Pull(Box<transfer::Pull>),
    Script(Box<script::Args>),
}

impl Verb {
    pub(super) fn request(&self) -> &RequestArgs {
        match self {
            Self::Exec(args) => &args.request,
            Self::Push(args) => &args.transfer.request,
            Self::Pull(args) => &args.transfer.request,
            Self::Script(args) => &args.request,
        }
    }

    pub(super) fn ssh(&self) -> &SshArgs {
        match self {
            Self::Exec(args) => &args.ssh,
            Self::Push(args) => &args.transfer.ssh,
            Self::Pull(args) => &args.transfer.ssh,
            Self::Script(args) => &args.ssh,
        }
    }

    pub(super) fn output(&self) -> &OutputArgs {
        match self {
            Self::Exec(args) => &args.output,
            Self::Push(args) => &args.transfer.output,
            Self::Pull(args) => &args.transfer.output,
            Self::Script(args) => &args.output,
        }
    }

    /// What is asked for, and what must never be recorded.
    pub(super) fn action(&self, config: &Config) -> Result<(Action, Vec<SecretString>), Failure> {
        match self {
            Self::Exec(args) => args.action(Secrets::Named),
            Self::Push(args) => args.action(Secrets::Named),
            Self::Pull(args) => args.action(Secrets::Named),
            Self::Script(args) => args.action(config, Secrets::Named),
        }
    }

    /// Asks for it, and does with that what `then` does.
    pub(super) fn go(&self, context: &Context, then: Then<'_>) -> Result<u8, Failure> {
        match self {
            Self::Exec(args) => args.go(context, Secrets::Named, then),
            Self::Push(args) => args.transfer.go(context, || args.action(Secrets::Named), then),
            Self::Pull(args) => args.transfer.go(context, || args.action(Secrets::Named), then),
            Self::Script(args) => args.go(context, Secrets::Named, then),
        }
    }
}
