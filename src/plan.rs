//! What will be done, decided before anything is: `--dry-run` shows exactly
//! this.

use std::collections::BTreeMap;

use crate::ids::{RunId, VmId};
use crate::outcome::Failure;
use crate::policy::{CommandView, Decision, Policy, Request};
use crate::remote::{Command, Program, Stdin};
use crate::transport::Endpoint;

/// A decided run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The run that will carry it out.
    pub run: RunId,
    /// Who asks.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Whatever else the records shall carry.
    pub metadata: BTreeMap<String, String>,
    /// What is done.
    pub command: Command,
    /// Where, in this order, and whether it may be.
    pub hosts: Vec<PlannedHost>,
}

/// One host of a plan.
#[derive(Clone, Debug)]
pub struct PlannedHost {
    /// The host.
    pub vm: VmId,
    /// How it is reached, or why it cannot be.
    pub endpoint: Result<Endpoint, Failure>,
    /// The shell for a shell string, where this host wants another.
    pub shell: Option<String>,
    /// Whether the action is allowed there, and by which rule.
    pub decision: Decision,
}

/// A host that was asked for, before anything is decided.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host.
    pub vm: VmId,
    /// Whether the inventory lets this host be used.
    pub allowed: bool,
    /// The shell for a shell string, where this host wants another.
    pub shell: Option<String>,
    /// How it is reached, or why it cannot be.
    pub endpoint: Result<Endpoint, Failure>,
}

/// Who asks, and why.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// Who asks: the name that the records carry.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Whatever else the records shall carry.
    pub metadata: BTreeMap<String, String>,
}

impl Plan {
    /// Decides a command for each target.
    pub fn decide(command: Command, targets: Vec<Target>, asker: Asker, policy: &Policy) -> Self {
        let text = shell_text(&command);
        let hosts = targets
            .into_iter()
            .map(|target| {
                let decision = policy.decide(&request(&command, &text, &target, &asker.operator));
                PlannedHost {
                    vm: target.vm,
                    endpoint: target.endpoint,
                    shell: target.shell,
                    decision,
                }
            })
            .collect();
        Self {
            run: RunId::new(),
            operator: asker.operator,
            reason: asker.reason,
            metadata: asker.metadata,
            command,
            hosts,
        }
    }
}

/// The shell string as text; empty for a list of words.
fn shell_text(command: &Command) -> String {
    match &command.program {
        Program::Argv(_) => String::new(),
        Program::Shell(text) => text.to_string_lossy().into_owned(),
    }
}

fn request<'a>(
    command: &'a Command,
    text: &'a str,
    target: &'a Target,
    operator: &'a str,
) -> Request<'a> {
    let view = match &command.program {
        Program::Argv(argv) => CommandView::Argv(argv),
        Program::Shell(_) => CommandView::Shell(text),
    };
    Request {
        operator,
        host: &target.vm,
        allowed: target.allowed,
        command: view,
        sudo: command.run_as.as_ref().map(|run_as| run_as.user.as_deref().unwrap_or("root")),
        allow_interactive: command.allow_interactive,
        stdin_given: !matches!(command.stdin, Stdin::Empty),
    }
}
