//! What will be done, decided before anything is: `--dry-run` shows exactly
//! this.

use std::collections::BTreeMap;

use crate::ids::{RunId, VmId};
use crate::outcome::Failure;
use crate::policy::{ActionView, Decision, Policy, Request};
use crate::remote::{Action, Command, Direction, Program, ScriptSource, Stdin};
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
        let text = shell_text(&action);
        let hosts = targets
            .into_iter()
            .map(|target| {
                let decision = policy.decide(&request(&action, &text, &target, &asker.operator));
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

/// The shell string as text; empty for anything else.
fn shell_text(action: &Action) -> String {
    match action {
        Action::Command(Command { program: Program::Shell(text), .. }) => {
            text.to_string_lossy().into_owned()
        }
        _ => String::new(),
    }
}

fn request<'a>(
    action: &'a Action,
    text: &'a str,
    target: &'a Target,
    operator: &'a str,
) -> Request<'a> {
    let (view, command) = match action {
        Action::Command(command) => match &command.program {
            Program::Argv(argv) => (ActionView::Argv(argv), Some(command)),
            Program::Shell(_) => (ActionView::Shell(text), Some(command)),
        },
        Action::Script(script) => {
            let path = match &script.source {
                ScriptSource::Host(path) => Some(path.as_os_str()),
                _ => script.place.as_deref(),
            };
            let view = ActionView::Script { sha256: script.sha256(), path, args: &script.args };
            (view, Some(&script.settings))
        }
        Action::Transfer(transfer) => {
            let view = match transfer.direction {
                Direction::Download => ActionView::Download { paths: &transfer.sources },
                Direction::Upload => ActionView::Upload { path: &transfer.target },
            };
            (view, None)
        }
    };
    Request {
        operator,
        host: &target.vm,
        allowed: target.allowed,
        action: view,
        sudo: action.run_as().map(|run_as| run_as.user.as_deref().unwrap_or("root")),
        allow_interactive: command.is_some_and(|command| command.allow_interactive),
        stdin_given: command.is_some_and(|command| !matches!(command.stdin, Stdin::Empty)),
    }
}
