//! Decisions: may this operator do this on this host?
//!
//! Deciding is pure: a request goes in, a decision with the name of its rule
//! comes out, and nothing is read or sent in between.

#[allow(dead_code, reason = "the rules that ask it come next")]
mod escapes;
mod interactive;
#[allow(dead_code, reason = "the rules that ask it come next")]
mod shell;

use std::ffi::{OsStr, OsString};

use crate::ids::VmId;

/// The rule that allows what no other rule denies.
const ALLOW_ALL: &str = "allow-all";
/// The rule that confines everything to the hosts which the inventory allows.
const ALLOWED_VMS: &str = "builtin/allowed-vms";
/// The rule against commands that would wait for a terminal.
const INTERACTIVE: &str = "builtin/interactive";

/// What is asked for, on one host.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub operator: &'a str,
    /// Where it is to happen.
    pub host: &'a VmId,
    /// Whether the inventory allows anything to happen there.
    pub allowed: bool,
    /// What is to be done.
    pub action: ActionView<'a>,
    /// The user whom sudo is asked to run it as, if it is.
    pub sudo: Option<&'a str>,
    /// Whether the command gets a stdin of its own; it is empty otherwise.
    pub stdin_given: bool,
    /// Whether the operator insists on a command that seems to need a terminal.
    pub allow_interactive: bool,
}

/// An action as policy sees it: byte for byte what the host gets.
#[derive(Clone, Copy, Debug)]
pub enum ActionView<'a> {
    /// A program and its arguments, which no shell reads.
    Argv(&'a [OsString]),
    /// Files are read on the host.
    Download {
        /// Their paths there.
        paths: &'a [OsString],
    },
    /// A script is run.
    Script {
        /// The SHA-256 of its bytes, in hexadecimal; `None` if it is on the
        /// host already.
        sha256: Option<&'a str>,
        /// Where on the host it is, or will stay; `None` if it is removed
        /// again.
        path: Option<&'a OsStr>,
        /// Its arguments.
        args: &'a [OsString],
    },
    /// Text for a shell.
    Shell(&'a str),
    /// Files are written on the host.
    Upload {
        /// Where: a file, or the directory that they go into.
        path: &'a OsStr,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may happen.
    pub allow: bool,
    /// The rule that decided.
    pub rule: String,
    /// Why it was denied, in one sentence without the host's name.
    pub reason: Option<String>,
    /// What to do instead.
    pub hint: Option<String>,
    /// What else the audit log must tell, such as an overridden rule.
    pub notes: Vec<String>,
}

/// The rules of a run.
#[derive(Clone, Debug)]
pub struct Policy(());

impl Policy {
    /// Allows everything but what the built-in rules deny: a host that the
    /// inventory does not allow, and a command that needs a terminal.
    pub fn allow_all() -> Self {
        Self(())
    }

    /// Decides a request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        if !request.allowed {
            let reason = format!("vm_id {} not in allowed list", request.host);
            let hint = "add it to remote_execution.allowed_vm_ids in the configuration";
            return Decision::deny(ALLOWED_VMS, reason, hint.into());
        }
        let mut decision = Decision::allow(ALLOW_ALL);
        if let Some(finding) = interactive::find(request) {
            let reason = finding.to_string();
            if !request.allow_interactive {
                let hint = format!("{}; to run it anyway: --allow-interactive", finding.hint);
                return Decision::deny(INTERACTIVE, reason, hint);
            }
            decision.notes.push(format!("{INTERACTIVE} (overridden): {reason}"));
        }
        decision
    }
}

impl Decision {
    fn allow(rule: &str) -> Self {
        Self { allow: true, rule: rule.into(), reason: None, hint: None, notes: Vec::new() }
    }

    fn deny(rule: &str, reason: String, hint: String) -> Self {
        Self {
            allow: false,
            rule: rule.into(),
            reason: Some(reason),
            hint: Some(hint),
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(action: ActionView<'_>, change: impl Fn(&mut Request<'_>)) -> Decision {
        let host = "vm01".parse().unwrap();
        let mut request = Request {
            operator: "alice",
            host: &host,
            allowed: true,
            action,
            sudo: None,
            stdin_given: false,
            allow_interactive: false,
        };
        change(&mut request);
        Policy::allow_all().decide(&request)
    }

    #[test]
    fn allows_what_no_rule_denies() {
        let decision = decide(ActionView::Shell("uptime"), |_| {});
        assert_eq!(decision, Decision::allow("allow-all"));
    }

    #[test]
    fn a_host_that_is_not_allowed_is_denied_before_all_else() {
        let decision = decide(ActionView::Shell("vi x"), |request| {
            request.allowed = false;
            request.allow_interactive = true;
        });
        assert!(!decision.allow);
        assert_eq!(decision.rule, "builtin/allowed-vms");
        assert_eq!(decision.reason.unwrap(), "vm_id vm01 not in allowed list");
    }

    #[test]
    fn a_command_that_needs_a_terminal_is_denied() {
        for argv in [false, true] {
            let words = ["top".into(), "-d1".into()];
            let command = match argv {
                true => ActionView::Argv(&words),
                false => ActionView::Shell("cd /tmp && top -d1"),
            };
            let decision = decide(command, |_| {});
            assert!(!decision.allow);
            assert_eq!(decision.rule, "builtin/interactive");
            assert_eq!(decision.reason.unwrap(), "`top` draws on a terminal, and there is none");
            let hint = "use: top -b -n1; to run it anyway: --allow-interactive";
            assert_eq!(decision.hint.unwrap(), hint);
        }
    }

    #[test]
    fn overriding_is_noted() {
        let decision = decide(ActionView::Shell("top"), |request| request.allow_interactive = true);
        assert!(decision.allow);
        assert_eq!(decision.rule, "allow-all");
        let note = "builtin/interactive (overridden): `top` draws on a terminal, and there is none";
        assert_eq!(decision.notes, [note]);
    }
}
