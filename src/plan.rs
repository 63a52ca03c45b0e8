//! What will be done, decided before anything is: `--dry-run` shows exactly
//! this.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::ids::{RunId, VmId};
use crate::outcome::Failure;
use crate::policy::{ActionView, Decision, Policy, Request};
use crate::remote::{Action, Command, Direction, Program, Script, ScriptSource, Stdin, Transfer};
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
    pub action: Action,
    /// Where, in this order, and whether it may be.
    pub hosts: Vec<PlannedHost>,
    /// What is run on each batch to learn whether the next one may follow, on
    /// the same hosts in the same order.
    pub probes: Vec<Plan>,
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
    /// Which of several commands is not allowed there, from 0: none of them runs.
    pub denied_command: Option<usize>,
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
    /// Decides an action for each target.
    pub fn decide(action: Action, targets: Vec<Target>, asker: Asker, policy: &Policy) -> Self {
        let deeds = deeds(&action);
        let hosts = targets
            .into_iter()
            .map(|target| {
                let decide = |deed: &Deed<'_>| policy.decide(&deed.ask(&target, &asker.operator));
                let (decision, denied_command) = match deeds.as_slice() {
                    [deed] if !matches!(action, Action::Commands(_)) => (decide(deed), None),
                    deeds => all_of(deeds.iter().map(decide), deeds.len()),
                };
                PlannedHost {
                    vm: target.vm,
                    endpoint: target.endpoint,
                    shell: target.shell,
                    decision,
                    denied_command,
                }
            })
            .collect();
        Self {
            run: RunId::new(),
            operator: asker.operator,
            reason: asker.reason,
            metadata: asker.metadata,
            action,
            hosts,
            probes: Vec::new(),
        }
    }

    /// Makes a plan for the same hosts a probe of this one. Where the probe is
    /// denied, so is the action: what cannot be checked is not begun.
    pub fn probe_by(&mut self, mut probe: Self) {
        probe.run = self.run;
        for (host, probed) in self.hosts.iter_mut().zip(&probe.hosts) {
            if host.decision.allow && !probed.decision.allow {
                let reason = probed.decision.reason.as_deref().unwrap_or("denied");
                host.decision = Decision {
                    reason: Some(format!("the gate's probe: {reason}")),
                    ..probed.decision.clone()
                };
            }
        }
        self.probes.push(probe);
    }
}

/// One thing that is decided.
enum Deed<'a> {
    Command(&'a Command, Cow<'a, str>),
    Script(&'a Script),
    Transfer(&'a Transfer),
}

/// Everything that an action does, in order.
fn deeds(action: &Action) -> Vec<Deed<'_>> {
    let command = |command| Deed::Command(command, shell_text(command));
    match action {
        Action::Command(one) => vec![command(one)],
        Action::Commands(list) => list.commands().iter().map(command).collect(),
        Action::Script(script) => vec![Deed::Script(script)],
        Action::Transfer(transfer) => vec![Deed::Transfer(transfer)],
    }
}

/// The shell string as text; empty for anything else.
fn shell_text(command: &Command) -> Cow<'_, str> {
    match &command.program {
        Program::Shell(text) => text.to_string_lossy(),
        Program::Argv(_) => Cow::Borrowed(""),
    }
}

/// What is decided of several commands together: all of them may run, by every
/// rule that was needed for it, or none may because of one.
fn all_of(decisions: impl Iterator<Item = Decision>, of: usize) -> (Decision, Option<usize>) {
    let mut together: Option<Decision> = None;
    for (index, decision) in decisions.enumerate() {
        if !decision.allow {
            let reason = decision.reason.as_deref().unwrap_or("denied");
            let reason = Some(format!("command {} of {of}: {reason}", index + 1));
            return (Decision { reason, ..decision }, Some(index));
        }
        match &mut together {
            None => together = Some(decision),
            Some(together) => {
                for rule in std::iter::once(decision.rule).chain(decision.notes) {
                    if together.rule != rule && !together.notes.contains(&rule) {
                        together.notes.push(rule);
                    }
                }
            }
        }
    }
    let nothing = || Decision {
        allow: false,
        rule: "builtin/no-command".into(),
        reason: Some("there is no command".into()),
        hint: None,
        notes: Vec::new(),
    };
    (together.unwrap_or_else(nothing), None)
}

impl Deed<'_> {
    /// What policy is asked.
    fn ask<'a>(&'a self, target: &'a Target, operator: &'a str) -> Request<'a> {
        let (view, command, run_as) = match self {
            Self::Command(command, text) => {
                let view = match &command.program {
                    Program::Argv(argv) => ActionView::Argv(argv),
                    Program::Shell(_) => ActionView::Shell(text),
                };
                (view, Some(*command), command.run_as.as_ref())
            }
            Self::Script(script) => {
                let path = match &script.source {
                    ScriptSource::Host(path) => Some(path.as_os_str()),
                    _ => script.place.as_deref(),
                };
                let view = ActionView::Script { sha256: script.sha256(), path, args: &script.args };
                (view, Some(&script.settings), script.settings.run_as.as_ref())
            }
            Self::Transfer(transfer) => {
                let view = match transfer.direction {
                    Direction::Download => ActionView::Download { paths: &transfer.sources },
                    Direction::Upload => ActionView::Upload { path: &transfer.target },
                };
                (view, None, transfer.run_as.as_ref())
            }
        };
        Request {
            operator,
            host: &target.vm,
            allowed: target.allowed,
            action: view,
            sudo: run_as.map(|run_as| run_as.user.as_deref().unwrap_or("root")),
            allow_interactive: command.is_some_and(|command| command.allow_interactive),
            stdin_given: command.is_some_and(|command| !matches!(command.stdin, Stdin::Empty)),
        }
    }
}
