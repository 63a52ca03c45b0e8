//! What went wrong on one host, in a line or two.

use super::commands;
use super::cuts::cuts;
use super::escape::one_line;
use super::files;
use super::style::Style;
use crate::outcome::{Effect, HostResult, Kill, Phase, Status};
use crate::remote::ExitStatus;

/// The lines that say why a host did not succeed, with the next step; empty
/// where nothing needs saying, as after an exit code, which speaks for itself.
pub fn explain(result: &HostResult, style: &Style) -> String {
    let vm = format!("{}{}{}", style.err.bad, result.vm, style.err.off);
    let mut lines = String::new();
    let failed_files = files::failures(result);
    let told = !failed_files.is_empty() && is_of_a_file(result) || commands::explained(result);
    if let Some(cause) = cause(result).filter(|_| !told) {
        // "vm03: connection refused", but "vm03 timed out: TERM, …".
        lines += &match fate(result, style) {
            Some(fate) => format!("{vm} {cause}{fate}\n"),
            None => format!("{vm}: {cause}\n"),
        };
    }
    for file in failed_files {
        lines += &format!("{vm}: {file}\n");
    }
    let hint = result.failure.as_ref().and_then(|failure| failure.hint.as_deref());
    if let Some(hint) = hint.filter(|_| !style.quiet && !commands::explained(result)) {
        lines += &format!("  hint: {}\n", one_line(hint));
    }
    if let Some(left) = commands::left(result) {
        lines += &format!("{vm}: {left}\n");
    }
    if let Some(why) = result.output_incomplete {
        lines += &format!("{vm}: the output may be incomplete: {why}\n");
    }
    for cut in cuts(result) {
        lines += &format!("{vm}: {cut}\n");
    }
    for skipped in files::left_out(result).iter().filter(|_| !style.quiet) {
        lines += &format!("{vm}: {skipped}\n");
    }
    lines
}

/// Whether what the host failed by is the failure of one of its files, which
/// is told with the file.
fn is_of_a_file(result: &HostResult) -> bool {
    let causes = result.transfer.iter().flat_map(|moved| &moved.files);
    let mut causes = causes.filter_map(|file| file.failure.as_ref());
    // "2 of 3 files failed: " may stand before it.
    result.failure.as_ref().is_some_and(|failure| {
        causes.any(|cause| cause.code == failure.code && failure.message.ends_with(&cause.message))
    })
}

pub(super) fn cause(result: &HostResult) -> Option<String> {
    if let Some(failure) = &result.failure {
        let message = one_line(&failure.message);
        // That the command itself failed needs no phase.
        return Some(match failure.phase {
            Phase::Exec => message,
            phase => format!("{message} (phase {phase})"),
        });
    }
    match (result.status, &result.exit) {
        (Status::Success | Status::NotStarted, _) => None,
        (_, Some(ExitStatus::Signal(name))) => Some(format!("ended by signal {}", one_line(name))),
        (_, Some(ExitStatus::Missing)) => {
            Some("the server did not say how the command ended".to_owned())
        }
        (Status::Failed, Some(ExitStatus::Code(_))) => None,
        (status, _) => Some(status.as_str().replace('_', " ")),
    }
}

/// What became of the processes, if they had to be ended or should have been.
pub(super) fn fate(result: &HostResult, style: &Style) -> Option<String> {
    let stopped = matches!(result.status, Status::Cancelled | Status::Killed | Status::Timeout);
    let only_files = result.transfer.is_some() && result.script_sha256.is_none();
    if !stopped || only_files {
        return None;
    }
    let unknown = "; what became of its processes is unknown".to_owned();
    let Some(Kill { ended, survivors }) = &result.kill else {
        return (result.effect != Effect::Absent).then_some(unknown);
    };
    let ended = ended.map(|count| match count {
        1 => "1 process ended".to_owned(),
        _ => format!("{count} processes ended"),
    });
    let survivors = survivors.as_ref().map(|left| match left.as_slice() {
        [] => "0 survivors".to_owned(),
        [one] => format!("1 survivor: {}", one_line(one)),
        several => format!("{} survivors: {}", several.len(), one_line(&several.join(", "))),
    });
    if ended.is_none() && survivors.is_none() {
        return Some(unknown);
    }
    Some(format!(
        ": TERM, then KILL after {} s; {}, {}",
        style.grace.as_secs_f32(),
        ended.unwrap_or_else(|| "how many processes ended is unknown".into()),
        survivors.unwrap_or_else(|| "whether any survived is unknown".into()),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed_file, failure, file, moved, result};
    use super::super::style::Palette;
    use super::*;
    use crate::outcome::Skipped;

    fn check(result: &HostResult, expected: &str) {
        assert_eq!(explain(result, &Style::default()), expected);
    }

    fn timed_out(kill: Option<Kill>) -> HostResult {
        let failure = failure("command_timeout", Phase::Exec, "timed out after 60.0 s");
        let effect = Effect::Present;
        HostResult { effect, kill, failure: Some(failure), ..result("vm03", Status::Timeout) }
    }

    fn survivors(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn success_and_exit_codes_need_no_words() {
        check(&result("vm01", Status::Success), "");
        let exit = Some(ExitStatus::Code(3));
        check(&HostResult { exit, ..result("vm01", Status::Failed) }, "");
        check(&result("vm01", Status::NotStarted), "");
    }

    #[test]
    fn cause_phase_and_hint() {
        let mut refused = failure("connect_failed", Phase::Tcp, "10.0.0.1:22: connection refused");
        refused.hint = Some("check that sshd runs there".into());
        let result = HostResult { failure: Some(refused), ..result("vm05", Status::Unreachable) };
        check(
            &result,
            "vm05: 10.0.0.1:22: connection refused (phase tcp)\n\
             \x20 hint: check that sshd runs there\n",
        );
        let quiet = Style { quiet: true, ..Style::default() };
        assert_eq!(explain(&result, &quiet).lines().count(), 1);
    }

    #[test]
    fn a_kill_with_proof() {
        let kill = Kill { ended: Some(4), survivors: survivors(&[]) };
        check(
            &timed_out(Some(kill)),
            "vm03 timed out after 60.0 s: TERM, then KILL after 5 s; 4 processes ended, \
             0 survivors\n",
        );
    }

    #[test]
    fn survivors_are_named() {
        let kill = Kill { ended: Some(1), survivors: survivors(&["71 dd", "72 rm\x1b[2J"]) };
        check(
            &timed_out(Some(kill)),
            "vm03 timed out after 60.0 s: TERM, then KILL after 5 s; 1 process ended, \
             2 survivors: 71 dd, 72 rm\\x1b[2J\n",
        );
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let expected = "vm03 timed out after 60.0 s; what became of its processes is unknown\n";
        check(&timed_out(None), expected);
        check(&timed_out(Some(Kill { ended: None, survivors: None })), expected);
        let half = Kill { ended: Some(2), survivors: None };
        assert!(
            explain(&timed_out(Some(half)), &Style::default())
                .ends_with("2 processes ended, whether any survived is unknown\n")
        );
        let half = Kill { ended: None, survivors: survivors(&["9 sh"]) };
        assert!(
            explain(&timed_out(Some(half)), &Style::default())
                .ends_with("how many processes ended is unknown, 1 survivor: 9 sh\n")
        );
    }

    #[test]
    fn nothing_was_killed_where_nothing_was_sent() {
        check(&result("vm01", Status::Cancelled), "vm01: cancelled\n");
    }

    #[test]
    fn death_by_signal() {
        let exit = Some(ExitStatus::Signal("KILL".into()));
        check(
            &HostResult { exit, ..result("vm01", Status::Failed) },
            "vm01: ended by signal KILL\n",
        );
    }

    #[test]
    fn no_exit_status() {
        let exit = Some(ExitStatus::Missing);
        check(
            &HostResult { exit, ..result("vm01", Status::Unknown) },
            "vm01: the server did not say how the command ended\n",
        );
        check(&result("vm01", Status::CircuitOpen), "vm01: circuit open\n");
    }

    #[test]
    fn output_that_may_be_incomplete() {
        let output_incomplete = Some("a process holds stdout");
        check(
            &HostResult { output_incomplete, ..result("vm01", Status::Success) },
            "vm01: the output may be incomplete: a process holds stdout\n",
        );
    }

    #[test]
    fn a_host_cannot_write_lines_of_ours() {
        let mut forged = failure("protocol_error", Phase::Banner, "odd\nvm02: ok \u{202e}\x1b[0m");
        forged.hint = Some("a\nb".into());
        check(
            &HostResult { failure: Some(forged), ..result("vm01", Status::Unreachable) },
            "vm01: odd vm02: ok \\u{202e}\\x1b[0m (phase banner)\n  hint: a b\n",
        );
    }

    #[test]
    fn a_file_by_its_cause_and_hint() {
        let mut mismatch = failure(
            "checksum_mismatch",
            Phase::Verify,
            "SHA256 mismatch: /opt/a is abab there and should be cdcd",
        );
        mismatch.hint = Some("try again".into());
        let mut result = moved("vm01", vec![failed_file("/opt/a", "")]);
        result.failure = Some(mismatch.clone());
        result.transfer.as_mut().unwrap().files[0].failure = Some(mismatch);
        check(
            &result,
            "vm01: SHA256 mismatch: /opt/a is abab there and should be cdcd (phase verify)\n\
             \x20 hint: try again\n",
        );
    }

    #[test]
    fn each_file_that_failed_and_what_was_left_out() {
        let files = vec![failed_file("/d/1", "no space"), file("/d/2"), failed_file("/d/3", "no")];
        let mut result = moved("vm01", files);
        result.transfer.as_mut().unwrap().skipped =
            vec![Skipped { path: "/d/s".into(), why: "a socket" }];
        check(&result, "vm01: /d/1: no space\nvm01: /d/3: no\nvm01: left out /d/s: a socket\n");
        let quiet = Style { quiet: true, ..Style::default() };
        assert_eq!(explain(&result, &quiet), "vm01: /d/1: no space\nvm01: /d/3: no\n");
        result.failure = Some(failure("connection_lost", Phase::Transfer, "the link was lost"));
        check(
            &result,
            "vm01: the link was lost (phase transfer)\nvm01: /d/1: no space\nvm01: /d/3: no\n\
             vm01: left out /d/s: a socket\n",
        );
    }

    #[test]
    fn a_transfer_has_no_processes_to_end() {
        let late = failure("transfer_timeout", Phase::Transfer, "timed out after 60 s");
        let result = HostResult {
            status: Status::Timeout,
            failure: Some(late),
            ..moved("vm01", vec![file("/d/1")])
        };
        check(&result, "vm01: timed out after 60 s (phase transfer)\n");
    }

    #[test]
    fn the_host_is_coloured() {
        let style = Style { err: Palette::ANSI, ..Style::default() };
        let shown = explain(&result("vm01", Status::Unknown), &style);
        assert_eq!(shown, "\x1b[31mvm01\x1b[0m: unknown\n");
    }
}
