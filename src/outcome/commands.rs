//! What became of one of several commands.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Effect, Failure, HostResult, Kill, Phase, Status};
use crate::remote::{Captured, ExitStatus};

/// The result of one of several commands on one host.
#[derive(Clone, Debug)]
pub struct CommandResult {
    /// The command as it was given, which all hosts share.
    pub command: Arc<str>,
    /// How it ended; `not_started` if its turn never came.
    pub status: Status,
    /// What may have changed on the host.
    pub effect: Effect,
    /// How the remote process ended, if one ran.
    pub exit: Option<ExitStatus>,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
    /// What became of its processes, if they had to be ended.
    pub kill: Option<Kill>,
    /// Why the output may be incomplete although the command ended.
    pub output_incomplete: Option<&'static str>,
    /// How many attempts were made.
    pub attempts: u32,
    /// From its first attempt to the end of the last.
    pub elapsed: Duration,
    /// When it ended.
    pub finished_at: Timestamp,
}

impl CommandResult {
    /// What a host whose only action it was would have had.
    pub(crate) fn of(command: Arc<str>, host: HostResult) -> Self {
        Self {
            command,
            status: host.status,
            effect: host.effect,
            exit: host.exit,
            stdout: host.stdout,
            stderr: host.stderr,
            failure: host.failure,
            kill: host.kill,
            output_incomplete: host.output_incomplete,
            attempts: host.attempts,
            elapsed: host.elapsed,
            finished_at: host.finished_at,
        }
    }

    /// Whether it was done, and is on record.
    pub fn success(&self) -> bool {
        self.status == Status::Success && self.recorded()
    }

    /// Whether the audit log took what it had to.
    pub fn recorded(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| failure.phase != Phase::Audit)
    }
}

impl HostResult {
    /// Takes the results of its commands, and what they make of the host.
    pub(crate) fn conclude(&mut self, commands: Vec<CommandResult>) {
        self.status = Status::Success;
        self.exit = commands.last().and_then(|last| last.exit.clone());
        if let Some((index, decisive)) = decisive(&commands) {
            self.status = decisive.status;
            self.exit.clone_from(&decisive.exit);
            self.kill.clone_from(&decisive.kill);
            self.failure.clone_from(&decisive.failure);
            // What kept the first one from beginning is the host's own trouble.
            let of_command = decisive.effect != Effect::Absent
                || matches!(decisive.status, Status::Failed | Status::NotStarted);
            if let Some(failure) = self.failure.as_mut().filter(|_| of_command) {
                let (number, of) = (index + 1, commands.len());
                failure.message = format!("command {number} of {of}: {}", failure.message);
            }
        }
        let any = |effect| commands.iter().any(|command| command.effect == effect);
        self.effect = match () {
            () if any(Effect::Unknown) => Effect::Unknown,
            () if any(Effect::Present) => Effect::Present,
            () => Effect::Absent,
        };
        self.attempts = commands.iter().map(|command| command.attempts).max().unwrap_or(0);
        self.commands = commands;
    }

    /// The command that gave the host its status: the first that is no success.
    /// One that was not started counts only where all others succeeded.
    pub fn decisive(&self) -> Option<&CommandResult> {
        decisive(&self.commands).map(|(_, command)| command)
    }

    /// What was written to stdout, whole and in order: once, or by each command
    /// that ran.
    pub fn stdouts(&self) -> impl Iterator<Item = &Captured> {
        let own = self.commands.is_empty().then_some(&self.stdout);
        own.into_iter().chain(self.commands.iter().map(|command| &command.stdout))
    }
}

fn decisive(commands: &[CommandResult]) -> Option<(usize, &CommandResult)> {
    let first = |of: fn(&CommandResult) -> bool| {
        commands.iter().enumerate().find(|(_, command)| of(command))
    };
    first(|command| !command.recorded())
        .or_else(|| first(|it| !it.success() && it.status != Status::NotStarted))
        .or_else(|| first(|it| !it.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statuses: &[Status], status: Status, message: Option<&str>) {
        let of = |&status: &Status| {
            let mut host = HostResult::new("vm01".parse().unwrap(), String::new(), status);
            host.effect = match status {
                Status::Failed | Status::Success | Status::Timeout => Effect::Present,
                _ => Effect::Absent,
            };
            host.failure = (status != Status::Success).then(|| Failure {
                code: "x",
                phase: Phase::Exec,
                message: "no".into(),
                hint: None,
                retryable: false,
            });
            CommandResult::of("x".into(), host)
        };
        let mut host = HostResult::new("vm01".parse().unwrap(), String::new(), Status::Unknown);
        host.conclude(statuses.iter().map(of).collect());
        assert_eq!((host.status, host.success()), (status, status == Status::Success));
        assert_eq!(host.failure.as_ref().map(|failure| failure.message.as_str()), message);
    }

    #[test]
    fn the_first_that_is_no_success_decides() {
        use Status::{Failed, NotStarted, PolicyDenied, Success, Timeout, Unreachable};
        check(&[Success, Success], Success, None);
        check(&[Success, Timeout, Failed], Timeout, Some("command 2 of 3: no"));
        check(&[NotStarted, Failed, NotStarted], Failed, Some("command 2 of 3: no"));
        check(&[Success, NotStarted], NotStarted, Some("command 2 of 2: no"));
        check(&[Unreachable, NotStarted], Unreachable, Some("no"));
        check(&[NotStarted, PolicyDenied], PolicyDenied, Some("no"));
    }
}
