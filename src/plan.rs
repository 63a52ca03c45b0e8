//! What will be done, decided before anything is: `--dry-run` shows exactly
//! this.

mod approved;
mod label;
mod threats;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use crate::ids::{RunId, VmId};
use crate::inventory::Host;
use crate::outcome::Failure;
use crate::policy::{ActionView, Constraints, Decision, HostView, Policy, Request};
use crate::remote::{
    Action, Command, Direction, EnvName, Program, RunAs, Script, ScriptSource, Stdin, Transfer,
};
use crate::transport::Endpoint;

pub use approved::{Applied, Approver};
pub(crate) use label::LABELS_MAX;
pub use label::{InvalidLabel, Label};
pub use threats::RULE_PREFIX;

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
    /// The plan file that it comes from. Private, so that nobody else can claim
    /// an approval.
    pub(crate) applied: Option<Arc<Applied>>,
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
    /// Within which bounds each of several commands is allowed there; empty
    /// where the action is one.
    pub each: Vec<Arc<Constraints>>,
}

/// A host that was asked for, before anything is decided.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host.
    pub vm: VmId,
    /// Whether the inventory lets this host be used.
    pub allowed: bool,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
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
    /// The account whose process asks, by which policy gives roles.
    pub os_user: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Whatever else the records shall carry.
    pub metadata: BTreeMap<String, String>,
    /// Whether a script is wanted although a scan finds something in it.
    pub allow_threat: bool,
}

impl Target {
    /// A host of an inventory, which is in these groups.
    pub fn new(host: &Host, groups: Vec<String>, endpoint: Result<Endpoint, Failure>) -> Self {
        Self {
            vm: host.id.clone(),
            allowed: host.allowed,
            groups,
            tags: host.tags.clone(),
            shell: host.shell.clone(),
            endpoint,
        }
    }
}

impl PlannedHost {
    /// Within which bounds the action may run, or which of several commands.
    pub fn constraints(&self, index: Option<usize>) -> &Constraints {
        let own = index.and_then(|index| self.each.get(index));
        own.map_or(&self.decision.constraints, |own| own)
    }
}

impl Plan {
    /// Decides an action for each target.
    pub fn decide(action: Action, targets: Vec<Target>, asker: Asker, policy: &Policy) -> Self {
        let deeds = deeds(&action);
        let hosts = targets
            .into_iter()
            .map(|target| {
                let decide = |deed: &Deed<'_>| policy.decide(&deed.ask(&target, &asker));
                let mut each = Vec::new();
                let (decision, denied_command) = match deeds.as_slice() {
                    [deed] if !matches!(action, Action::Commands(_)) => (decide(deed), None),
                    deeds => all_of(deeds.iter().map(decide), deeds.len(), &mut each),
                };
                PlannedHost {
                    vm: target.vm,
                    endpoint: target.endpoint,
                    shell: target.shell,
                    decision,
                    denied_command,
                    each,
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
            applied: None,
        }
    }

    /// Makes a plan for the same hosts a probe of this one. Where the probe is
    /// denied, so is the action: what cannot be checked is not begun.
    pub fn probe_by(&mut self, mut probe: Self) {
        probe.run = self.run;
        for (host, probed) in self.hosts.iter_mut().zip(&probe.hosts) {
            if host.decision.allow && probed.decision.allow {
                host.decision.requires_approval |= probed.decision.requires_approval;
            } else if host.decision.allow {
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

/// One thing that is decided, in the form in which policy looks at it.
struct Deed<'a> {
    what: What<'a>,
    /// The settings of what becomes a process.
    command: Option<&'a Command>,
    run_as: Option<&'a RunAs>,
    /// The names of the variables that are set.
    env: Vec<&'a str>,
}

enum What<'a> {
    Argv(&'a [OsString]),
    Script(&'a Script),
    Shell(Cow<'a, str>),
    Transfer(&'a Transfer),
}

/// Everything that an action does, in order.
fn deeds(action: &Action) -> Vec<Deed<'_>> {
    match action {
        Action::Command(command) => vec![Deed::command(command)],
        Action::Commands(list) => list.commands().iter().map(Deed::command).collect(),
        Action::Script(script) => vec![Deed::process(What::Script(script), &script.settings)],
        Action::Transfer(transfer) => vec![Deed {
            what: What::Transfer(transfer),
            command: None,
            run_as: transfer.run_as.as_ref(),
            env: Vec::new(),
        }],
    }
}

/// What is decided of several commands together: all of them may run, by every
/// rule that was needed for it, or none may because of one. The bounds of each
/// are added to `each`.
fn all_of(
    decisions: impl Iterator<Item = Decision>,
    of: usize,
    each: &mut Vec<Arc<Constraints>>,
) -> (Decision, Option<usize>) {
    let mut together: Option<Decision> = None;
    for (index, decision) in decisions.enumerate() {
        if !decision.allow {
            let reason = decision.reason.as_deref().unwrap_or("denied");
            let reason = Some(format!("command {} of {of}: {reason}", index + 1));
            return (Decision { reason, ..decision }, Some(index));
        }
        // Many commands have few bounds.
        let same = each.last().filter(|last| ***last == decision.constraints).cloned();
        each.push(same.unwrap_or_else(|| Arc::new(decision.constraints.clone())));
        together = Some(match together {
            None => decision,
            Some(together) => together.with(decision),
        });
    }
    let nothing = || {
        let hint = "give one command a line".to_owned();
        Decision::deny("builtin/no-command", "there is no command".into(), hint)
    };
    (together.unwrap_or_else(nothing), None)
}

impl<'a> Deed<'a> {
    fn command(command: &'a Command) -> Self {
        let what = match &command.program {
            Program::Argv(argv) => What::Argv(argv),
            Program::Shell(text) => What::Shell(text.to_string_lossy()),
        };
        Self::process(what, command)
    }

    fn process(what: What<'a>, command: &'a Command) -> Self {
        let plain = command.env.iter().map(|(name, _)| name);
        let names = plain.chain(command.secret_env.iter().map(|(name, _)| name));
        let env = names.map(EnvName::as_str).collect();
        Self { what, command: Some(command), run_as: command.run_as.as_ref(), env }
    }

    /// What policy is asked.
    fn ask<'b>(&'b self, target: &'b Target, asker: &'b Asker) -> Request<'b> {
        let command = self.command;
        let shell = command.and_then(|command| command.shell.as_deref());
        let shell = shell.or(target.shell.as_deref());
        Request {
            operator: &asker.operator,
            os_user: asker.os_user.as_deref(),
            host: HostView {
                id: &target.vm,
                allowed: target.allowed,
                groups: &target.groups,
                tags: &target.tags,
                reached: target.endpoint.as_ref().ok(),
            },
            action: self.what.view(),
            shell: shell.filter(|shell| *shell != "/bin/sh"),
            run_as: self.run_as.map(|run_as| run_as.user.as_deref().unwrap_or("root")),
            env: &self.env,
            cwd: command.and_then(|command| command.cwd.as_deref()),
            allow_interactive: command.is_some_and(|command| command.allow_interactive),
            allow_threat: asker.allow_threat,
            stdin_given: command.is_some_and(|command| !matches!(command.stdin, Stdin::Empty)),
        }
    }
}

impl What<'_> {
    fn view(&self) -> ActionView<'_> {
        match self {
            Self::Argv(argv) => ActionView::Argv(argv),
            Self::Script(script) => {
                let path = match &script.source {
                    ScriptSource::Host(path) => Some(path.as_os_str()),
                    _ => script.place.as_deref(),
                };
                ActionView::Script {
                    sha256: script.sha256(),
                    path,
                    interpreter: &script.interpreter,
                    args: &script.args,
                }
            }
            Self::Shell(text) => ActionView::Shell(text),
            Self::Transfer(transfer) => match transfer.direction {
                Direction::Download => {
                    ActionView::Download { paths: &transfer.sources, recursive: transfer.recursive }
                }
                Direction::Upload => ActionView::Upload {
                    path: &transfer.target,
                    sources: &transfer.sources,
                    recursive: transfer.recursive,
                },
            },
        }
    }
}
