//! Several commands of one host, for people.

use std::convert::Infallible;

use super::escape::one_line;
use super::explain::{cause, fate};
use super::style::Style;
use crate::ids::VmId;
use crate::outcome::{CommandResult, HostResult, Status};
use crate::remote::{Capture, Captured};

/// How much of a command stands in the line that says how it failed.
const COMMAND_MAX: usize = 120;

/// Hands over, in pieces, what a host wrote to stdout: its own, or each command's
/// own under its `$` line. Those that were not started are left out.
pub(crate) fn stdout<E>(
    result: &HostResult,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if result.commands.is_empty() {
        return result.stdout.pieces(each);
    }
    for command in result.commands.iter().filter(|it| it.status != Status::NotStarted) {
        each(format!("$ {}\n", one_line(&command.command)).as_bytes())?;
        whole_lines(&command.stdout, &mut each)?;
    }
    Ok(())
}

/// Hands over, in pieces, what a host wrote to stderr, that of each command after
/// the other.
pub(super) fn stderr<E>(
    result: &HostResult,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut streams = result.commands.iter().map(|command| &command.stderr);
    whole_lines(&result.stderr, &mut each)?;
    streams.try_for_each(|stream| whole_lines(stream, &mut each))
}

/// Hands over a stream, with the line end that its last line may lack.
fn whole_lines<E>(
    stream: &Captured,
    each: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut last = b'\n';
    stream.pieces(|piece| {
        last = piece.last().copied().unwrap_or(last);
        each(piece)
    })?;
    if last == b'\n' { Ok(()) } else { each(b"\n") }
}

/// What a host wrote to stdout as one stream, of which `max` bytes are kept if it
/// is that of several commands.
pub(crate) fn joined(result: &HostResult, max: usize) -> Captured {
    if result.commands.is_empty() {
        return result.stdout.clone();
    }
    let mut capture = Capture::new(max);
    let Ok(()) = stdout(result, |piece| {
        capture.push(piece);
        Ok::<_, Infallible>(())
    });
    capture.finish()
}

/// Whether a host wrote anything to stdout.
pub(super) fn wrote(result: &HostResult) -> bool {
    result.stdouts().any(|stdout| !stdout.is_empty())
}

/// What makes the stdout of two hosts alike, of what was not kept too. Of several
/// commands it is how each of them ended, as well.
pub(crate) fn digest(result: &HostResult) -> String {
    if result.commands.is_empty() {
        return result.stdout.sha256().to_owned();
    }
    let each = result.commands.iter().map(|command| {
        let digest = if command.stdout.is_empty() { "" } else { command.stdout.sha256() };
        let code = command.exit.as_ref().and_then(|exit| exit.code());
        format!("{} {code:?} {digest}", command.status)
    });
    each.collect::<Vec<_>>().join("\n")
}

/// The line that says how a command failed; empty where none is needed, or where
/// it is the host's own trouble and told with the host.
pub(super) fn failed(
    vm: &VmId,
    (index, of): (usize, usize),
    result: &CommandResult,
    style: &Style,
) -> String {
    let name = format!("{}{vm}{}: command {} of {of}", style.err.bad, style.err.off, index + 1);
    let mut lines = String::new();
    if is_told(result) {
        let bare = bare(vm, result);
        let code = result.exit.as_ref().and_then(|exit| exit.code());
        let what = match (cause(&bare), code) {
            (Some(cause), _) if result.status == Status::Failed => format!("failed: {cause}"),
            (Some(cause), _) => cause,
            (None, Some(code)) => format!("failed: exit {code}"),
            (None, None) => "failed".to_owned(),
        };
        let fate = fate(&bare, style).unwrap_or_default();
        let command = one_line(&result.command);
        let short: String = command.chars().take(COMMAND_MAX).collect();
        let more = if short.len() < command.len() { "…" } else { "" };
        // "command 3 of 10 timed out …", but "command 3 of 10: the link was lost".
        let colon = if result.status == Status::Unknown { ":" } else { "" };
        lines += &format!("{name}{colon} {what}{fate}: {short}{more}\n");
        let hint = result.failure.as_ref().and_then(|failure| failure.hint.as_deref());
        if let Some(hint) = hint.filter(|_| !style.quiet) {
            lines += &format!("  hint: {}\n", one_line(hint));
        }
    }
    if let Some(why) = result.output_incomplete {
        lines += &format!("{name}: the output may be incomplete: {why}\n");
    }
    lines
}

/// Whether what the host failed by is told with one of its commands.
pub(super) fn explained(result: &HostResult) -> bool {
    let told = |it: &CommandResult| is_told(it) || it.status == Status::NotStarted;
    result.recorded() && result.decisive().is_some_and(told)
}

/// How many commands were not started, if some were and others not; and why,
/// where a failure alone does not say it.
pub(super) fn left(result: &HostResult) -> Option<String> {
    let of = result.commands.len();
    let mut left = result.commands.iter().filter(|it| it.status == Status::NotStarted);
    let first = left.next()?;
    let count = 1 + left.count();
    let why = first.failure.as_ref().map(|failure| format!(": {}", one_line(&failure.message)));
    (count < of).then(|| {
        let were = if count == 1 { "was" } else { "were" };
        format!("{count} of {of} commands {were} not started{}", why.unwrap_or_default())
    })
}

fn is_told(result: &CommandResult) -> bool {
    result.recorded()
        && matches!(
            result.status,
            Status::Cancelled | Status::Failed | Status::Killed | Status::Timeout | Status::Unknown
        )
}

/// The command as if it were all that its host did.
fn bare(vm: &VmId, result: &CommandResult) -> HostResult {
    let mut bare = HostResult::new(vm.clone(), String::new(), result.status);
    bare.effect = result.effect;
    bare.exit.clone_from(&result.exit);
    bare.failure.clone_from(&result.failure);
    bare.kill.clone_from(&result.kill);
    bare
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{commands, failure, vm};
    use super::*;
    use crate::outcome::{Effect, Kill, Phase};

    fn line(index: usize, result: &CommandResult) -> String {
        failed(&vm("vm01"), (index, 10), result, &Style::default())
    }

    #[test]
    fn a_failed_command_is_told_by_its_number() {
        let host = commands("vm01", &[("true", 0, ""), ("exit 3", 3, "")]);
        assert_eq!(line(1, &host.commands[0]), "");
        assert_eq!(line(2, &host.commands[1]), "vm01: command 3 of 10 failed: exit 3: exit 3\n");
        let long = CommandResult {
            command: format!("a\n{}", "é".repeat(200)).into(),
            ..host.commands[1].clone()
        };
        assert!(line(0, &long).ends_with("é…\n") && line(0, &long).lines().count() == 1);
    }

    #[test]
    fn a_kill_a_lost_link_and_a_missing_directory() {
        let host = commands("vm01", &[("x", 1, "")]);
        let with = |status, code, phase, message| CommandResult {
            status,
            exit: None,
            effect: Effect::Present,
            failure: Some(failure(code, phase, message)),
            ..host.commands[0].clone()
        };
        let late = CommandResult {
            kill: Some(Kill { ended: Some(1), survivors: Some(vec![]) }),
            ..with(Status::Timeout, "command_timeout", Phase::Exec, "timed out after 1 s")
        };
        let told = "vm01: command 1 of 10 timed out after 1 s: TERM, then KILL after 5 s; \
                    1 process ended, 0 survivors: x\n";
        assert_eq!(line(0, &late), told);
        let lost = with(Status::Unknown, "connection_lost", Phase::Exec, "the link was lost");
        assert_eq!(line(0, &lost), "vm01: command 1 of 10: the link was lost: x\n");
        let cwd = with(Status::Failed, "not_started", Phase::Cwd, "cannot change to /x");
        let told = "vm01: command 1 of 10 failed: cannot change to /x (phase cwd): x\n";
        assert_eq!(line(0, &cwd), told);
        let unreachable = with(Status::Unreachable, "connect_failed", Phase::Tcp, "refused");
        assert_eq!(line(0, &unreachable), "");
    }

    #[test]
    fn gathered_under_their_commands() {
        use super::super::fixture::{finished, started, watch_text};
        let same = [("uname", 0, "Linux\n"), ("echo -n a", 0, "a"), ("true", 0, "")];
        let mut other =
            commands("vm03", &[("uname", 0, "Linux\n"), ("echo -n a", 3, "a"), ("true", 0, "")]);
        other.commands[2].status = Status::NotStarted;
        let kinds = vec![
            started(&["vm01", "vm02", "vm03"]),
            finished(commands("vm01", &same)),
            finished(commands("vm02", &same)),
            finished(other),
        ];
        let (out, err) = watch_text(&mut super::super::Gathered::new(Style::default()), kinds);
        let rule = "---------------";
        let common = "$ uname\nLinux\n$ echo -n a\na\n";
        assert_eq!(
            out,
            format!(
                "{rule}\nvm[01-02] (2)\n{rule}\n{common}$ true\n\
                 {rule}\nvm03 (1), exit 3\n{rule}\n{common}"
            )
        );
        assert!(err.starts_with("vm03: 1 of 3 commands was not started\n"), "{err}");
    }

    #[test]
    fn lines_of_commands_that_run_at_once_stay_whole() {
        use super::super::fixture::{output, started, watch_text};
        use crate::event::EventKind;
        use crate::remote::Stream;
        let told = |index: usize, text: &str| {
            let EventKind::Output { vm, stream, bytes, .. } =
                output("vm01", Stream::Stdout, text.as_bytes())
            else {
                panic!("output")
            };
            EventKind::Output { vm, index: Some(index), stream, bytes }
        };
        let done = |index: usize| EventKind::CommandFinished {
            vm: vm("vm01"),
            index,
            of: 2,
            result: Box::new(commands("vm01", &[("x", 2, "")]).commands[0].clone()),
        };
        let kinds = vec![started(&["vm01"]), told(0, "a"), told(1, "b"), done(0), told(1, "c\n")];
        let (out, err) = watch_text(&mut super::super::Labelled::new(Style::default()), kinds);
        assert_eq!(out, "vm01 │ a\nvm01 │ bc\n");
        assert_eq!(err, "vm01: command 1 of 2 failed: exit 2: x\n");
    }

    #[test]
    fn what_was_left() {
        let mut host = commands("vm01", &[("a", 0, ""), ("b", 1, ""), ("c", 0, "")]);
        assert_eq!(left(&host), None);
        host.commands[2].status = Status::NotStarted;
        assert_eq!(left(&host).unwrap(), "1 of 3 commands was not started");
        host.commands.iter_mut().for_each(|it| it.status = Status::NotStarted);
        assert_eq!(left(&host), None);
    }
}
