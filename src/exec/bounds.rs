//! What policy holds a command to on its host, and what it means when that
//! cannot be, or was not enough for it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::Ending;
use crate::policy::{Constraints, Limits, Sandbox};
use crate::remote::ExitStatus;
use crate::units::{duration, size};

/// What a command is held to on its host, beside the bounds of the attempt.
/// The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The rule that wants it, for messages.
    pub(super) rule: String,
    /// What it may use up.
    pub(super) limits: Limits,
    /// What it is confined in.
    pub(super) sandbox: Option<Sandbox>,
    /// Names of variables, with `*` and `?`, that are taken out of the host's own
    /// environment.
    pub(super) unset: Vec<String>,
    /// A file that it must see whatever it is confined in.
    pub(super) visible: Option<OsString>,
}

/// How one shell text sets one limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cap {
    /// The field of the policy.
    pub(super) name: &'static str,
    pub(super) soft: u64,
    pub(super) hard: u64,
    /// The options of `ulimit` that may stand for it: the first one that the
    /// shell knows does.
    pub(super) options: &'static str,
}

impl Bounds {
    /// What a decision wants, which rests on this rule.
    pub fn of(rule: &str, constraints: &Constraints) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_*?".contains(&b);
        let names = constraints.unset_env.iter().map(|names| names.clone().into_owned());
        Self {
            rule: rule.to_owned(),
            limits: constraints.all_limits(),
            sandbox: constraints.sandbox(),
            unset: names.filter(|names| names.bytes().all(plain)).collect(),
            visible: None,
        }
    }

    /// The same for a command that must see this file, such as its script.
    pub fn seeing(self, file: &OsStr) -> Self {
        let whole = file.as_bytes().starts_with(b"/");
        Self { visible: whole.then(|| file.to_owned()), ..self }
    }

    /// The same for a shell that runs several commands: what each of them has for
    /// itself is not the shell's.
    pub(super) fn of_shell(&self) -> Self {
        let limits = Limits { max_wall_time: None, max_output: None, ..self.limits };
        Self { limits, ..self.clone() }
    }

    /// The time that is left of this one; with it whether policy narrowed it.
    pub(super) fn time(&self, given: Option<Duration>) -> (Option<Duration>, bool) {
        match self.limits.max_wall_time {
            Some(wall) if given.is_none_or(|given| wall < given) => (Some(wall), true),
            _ => (given, false),
        }
    }

    /// How many bytes it may write.
    pub(super) fn output(&self) -> Option<u64> {
        self.limits.max_output
    }

    /// What `ulimit` sets, in an order in which one does not hinder the next.
    pub(super) fn caps(&self) -> Vec<Cap> {
        let limits = &self.limits;
        let whole = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let at = |name, soft: Option<u64>, options| {
            soft.map(|soft| Cap { name, soft, hard: soft, options })
        };
        // At the soft limit the kernel sends XCPU, which says what happened; at
        // the hard one KILL, which says nothing.
        let cpu = limits.max_cpu_time.map(whole).map(|soft| Cap {
            name: "max_cpu_time",
            soft,
            hard: soft + 1,
            options: "t",
        });
        [
            cpu,
            // Blocks of 512 bytes and KiB, of which a part is none.
            at("max_file_size", limits.max_file_size.map(|bytes| bytes / 512), "f"),
            at("max_open_files", limits.max_open_files.map(u64::from), "n"),
            at("max_memory", limits.max_memory.map(|bytes| bytes / 1024), "v"),
            at("max_processes", limits.max_processes.map(u64::from), "u p"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether anything is set or put on right before the command.
    pub(super) fn confine(&self) -> bool {
        self.needs_tool() || !self.caps().is_empty()
    }

    /// Whether the host must have a tool for it.
    pub(super) fn needs_tool(&self) -> bool {
        self.sandbox.as_ref().is_some_and(Sandbox::needs_tool)
    }

    /// What it means that our `/bin/sh` said `what` in place of starting the
    /// command; `None` if that has nothing to do with policy.
    pub(super) fn refused(&self, what: &str) -> Option<Ending> {
        let (kind, said) = what.split_once(' ').unwrap_or((what, ""));
        let said: String = said.chars().filter(|c| !c.is_control()).collect();
        let rule = &self.rule;
        let (code, message, hint) = match kind {
            "limit" if said == "root" => (
                "limit_unavailable",
                format!("max_processes does not hold root, and the rule wants it (rule {rule})"),
                "run it as another user, or take max_processes out of the rule",
            ),
            "limit" => (
                "limit_unavailable",
                format!("the host's /bin/sh cannot set {said} (rule {rule})"),
                "take the limit out of the rule for this host, or give the host another /bin/sh",
            ),
            "sandbox" => {
                let name = self.sandbox.as_ref().map_or("", |sandbox| &sandbox.name);
                let (why, hint) = match said.as_str() {
                    "absent" => {
                        ("it has no bwrap".into(), "install bubblewrap there, or change the rule")
                    }
                    "root" => (
                        "it does not hold root".into(),
                        "log in as another user, or change the rule",
                    ),
                    said => (
                        format!("its bwrap does not work for this login: {said}"),
                        "let this login use user namespaces there, or change the rule",
                    ),
                };
                let message =
                    format!("the host cannot give the sandbox {name}: {why} (rule {rule})");
                ("sandbox_unavailable", message, hint)
            }
            "scrub" => (
                "environment_unsafe",
                format!("the host cannot tell what its variables are (rule {rule})"),
                "see whether the host has /usr/bin/env",
            ),
            _ => return None,
        };
        Some(Ending::NotConfined { code, message, hint: hint.into() })
    }

    /// Why the command cannot even be sent.
    pub(super) fn obstacle(&self, interpreted: bool) -> Option<Ending> {
        (interpreted && self.confine()).then(|| Ending::NotConfined {
            code: "limit_unavailable",
            message: format!(
                "a shell string this long is read by the shell that holds it to its limits (rule {})",
                self.rule
            ),
            hint: "send it as a script".into(),
        })
    }

    /// The end of a command, seen in the light of its limits. `narrowed` says
    /// whether policy set its time.
    pub(super) fn judge(&self, ending: Ending, narrowed: bool) -> Ending {
        let exceeded = match &ending {
            Ending::TimedOut if narrowed => Some("max_wall_time"),
            Ending::Exited(exit) => self.exceeded_at(exit),
            _ => None,
        };
        match (exceeded, ending) {
            (None, ending) => ending,
            (Some(field), Ending::Exited(exit)) => self.exceeded(field, Some(exit)),
            (Some(field), _) => self.exceeded(field, None),
        }
    }

    /// A command that went beyond what this field allows.
    pub(super) fn exceeded(&self, field: &'static str, exit: Option<ExitStatus>) -> Ending {
        let limits = &self.limits;
        let bound = match field {
            "max_cpu_time" => limits.max_cpu_time.map(duration::format),
            "max_wall_time" => limits.max_wall_time.map(duration::format),
            "max_file_size" => limits.max_file_size.map(size::format),
            _ => limits.max_output.map(size::format),
        };
        let message =
            format!("exceeded {field}, {} (rule {})", bound.unwrap_or_default(), self.rule);
        Ending::Exceeded { message, exit }
    }

    /// Which of the limits that the kernel enforces by a signal ended it.
    fn exceeded_at(&self, exit: &ExitStatus) -> Option<&'static str> {
        let by = |name: &str, number: u32| match exit {
            ExitStatus::Signal(signal) => signal == name,
            // As shells tell it; ksh93 has another number for it.
            ExitStatus::Code(code) => [128 + number, 256 + number].contains(code),
            ExitStatus::Missing => false,
        };
        if self.limits.max_cpu_time.is_some() && by("XCPU", 24) {
            return Some("max_cpu_time");
        }
        (self.limits.max_file_size.is_some() && by("XFSZ", 25)).then_some("max_file_size")
    }
}
