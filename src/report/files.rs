//! What became of the files of a transfer, for people.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::escape::{escape, one_line};
use super::measure::size;
use crate::outcome::{FileOutcome, HostResult, Skipped, Transferred, VerifiedBy};
use crate::remote::Direction;

/// How many files are told one by one.
const LISTED_MAX: usize = 10;

/// The files that are in place, in one line; `None` where there are none for
/// something went wrong, or none were to be moved.
///
/// The file of a script is not told: what the script wrote is what was asked
/// for.
///
/// `timed` says how long it took. Without it the lines of hosts that have the
/// same are the same.
pub(super) fn in_place(result: &HostResult, timed: bool) -> Option<String> {
    let moved = result.transfer.as_ref().filter(|_| result.script_sha256.is_none())?;
    let time = timed.then(|| format!(" in {:.1} s", result.timing.run.as_secs_f64()));
    let time = time.unwrap_or_default();
    match moved.files.as_slice() {
        [file] => file.failure.is_none().then(|| one(moved, file, &time)),
        _ if moved.done().next().is_none() && !result.success() => None,
        _ => Some(several(moved, &time)),
    }
}

/// The files that are not in place, in a line or a few. A single file is told
/// by its host's own error.
pub(super) fn failures(result: &HostResult) -> Vec<String> {
    let Some(moved) = result.transfer.as_ref().filter(|moved| moved.files.len() > 1) else {
        return Vec::new();
    };
    let failed = moved.files.iter().filter_map(|file| Some((file, file.failure.as_ref()?)));
    let lines = failed.map(|(file, failure)| {
        let (path, message) = (name(&file.remote), one_line(&failure.message));
        if message.contains(&path) { message } else { format!("{path}: {message}") }
    });
    listed(lines.collect(), "failed")
}

/// What was left out although it was asked for.
pub(super) fn left_out(result: &HostResult) -> Vec<String> {
    let skipped = result.transfer.iter().flat_map(|moved| &moved.skipped);
    let line = |skipped: &Skipped| format!("left out {}: {}", name(&skipped.path), skipped.why);
    listed(skipped.map(line).collect(), "left out")
}

fn one(moved: &Transferred, file: &FileOutcome, time: &str) -> String {
    let mut line = name(&file.remote);
    if moved.direction == Direction::Download && !time.is_empty() {
        line += &format!(" → {}", name(&file.local));
    }
    line += &format!("  {}", size(file.bytes));
    if file.unchanged {
        line += " unchanged";
    } else {
        line += time;
    }
    if file.resumed_from > 0 {
        line += &format!(", resumed at {}", size(file.resumed_from));
    }
    if let Some(sha256) = &file.sha256 {
        line += &format!("  sha256 {}…", sha256.get(..8).unwrap_or(sha256));
    }
    if let Some(verifier) = file.verified_by {
        line += &format!("  verified by {}", verifier_name(verifier, "it"));
    }
    line
}

fn several(moved: &Transferred, time: &str) -> String {
    let (all, done) = (moved.files.len(), moved.done().count());
    let count = if done == all { format!("{all} files") } else { format!("{done} of {all} files") };
    let mut line = format!("{count}, {}{time}", size(moved.bytes()));
    let unchanged = moved.done().filter(|file| file.unchanged).count();
    let resumed = moved.done().filter(|file| file.resumed_from > 0).count();
    let notes: Vec<String> = [(unchanged, "unchanged"), (resumed, "resumed")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !notes.is_empty() {
        line += &format!(" ({})", notes.join(", "));
    }
    let mut verifiers: Vec<VerifiedBy> = moved.done().filter_map(|file| file.verified_by).collect();
    verifiers.sort_by_key(|verifier| verifier.as_str());
    verifiers.dedup();
    if !verifiers.is_empty() {
        let names = verifiers.into_iter().map(|verifier| verifier_name(verifier, "them"));
        line += &format!(", verified by {}", names.collect::<Vec<_>>().join(" and "));
    }
    line
}

/// That nothing on the host could prove a file is said so that nobody reads
/// over it.
fn verifier_name(verifier: VerifiedBy, what: &str) -> String {
    match verifier {
        VerifiedBy::Readback => format!("reading {what} back"),
        other => other.as_str().to_owned(),
    }
}

fn listed(mut lines: Vec<String>, what: &str) -> Vec<String> {
    let more = lines.len().saturating_sub(LISTED_MAX);
    lines.truncate(LISTED_MAX);
    if more > 0 {
        lines.push(format!("{more} more {what}; --json lists all"));
    }
    lines
}

/// A path within a line: its own line ends and tabs are shown too.
fn name(path: &OsStr) -> String {
    let lines = path.as_bytes().split(|byte| *byte == b'\n').map(escape);
    lines.collect::<Vec<_>>().join("\\x0a").replace('\t', "\\x09")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed_file, failure, file, moved, result};
    use super::*;
    use crate::outcome::{Phase, Status};

    fn check(result: &HostResult, expected: &str) {
        assert_eq!(in_place(result, true).as_deref(), Some(expected));
    }

    #[test]
    fn one_file() {
        check(
            &moved("vm01", vec![file("/opt/a.tar")]),
            "/opt/a.tar  12.3 MiB in 1.2 s  sha256 abababab…  verified by sha256sum",
        );
        let resumed = FileOutcome { resumed_from: 6_396_313, ..file("/opt/a") };
        check(
            &moved("vm01", vec![resumed]),
            "/opt/a  12.3 MiB in 1.2 s, resumed at 6.1 MiB  sha256 abababab…  verified by sha256sum",
        );
        let unchanged = FileOutcome { unchanged: true, ..file("/opt/a") };
        check(
            &moved("vm01", vec![unchanged]),
            "/opt/a  12.3 MiB unchanged  sha256 abababab…  verified by sha256sum",
        );
    }

    #[test]
    fn reading_back_is_not_overlooked() {
        let back = FileOutcome { verified_by: Some(VerifiedBy::Readback), ..file("/a") };
        check(
            &moved("vm01", vec![back.clone()]),
            "/a  12.3 MiB in 1.2 s  sha256 abababab…  verified by reading it back",
        );
        check(
            &moved("vm01", vec![file("/b"), back.clone(), back]),
            "3 files, 36.9 MiB in 1.2 s, verified by reading them back and sha256sum",
        );
    }

    #[test]
    fn a_tree() {
        let unchanged = FileOutcome { unchanged: true, ..file("/d/2") };
        let resumed = FileOutcome { resumed_from: 1, ..file("/d/3") };
        check(
            &moved("vm01", vec![file("/d/1"), unchanged, resumed]),
            "3 files, 36.9 MiB in 1.2 s (1 unchanged, 1 resumed), verified by sha256sum",
        );
        check(&moved("vm01", vec![]), "0 files, 0 B in 1.2 s");
        check(
            &moved("vm01", vec![file("/d/1"), failed_file("/d/2", "no space")]),
            "1 of 2 files, 12.3 MiB in 1.2 s, verified by sha256sum",
        );
    }

    #[test]
    fn hosts_with_the_same_say_the_same_without_the_time() {
        let line = in_place(&moved("vm01", vec![file("/a")]), false);
        assert_eq!(line.as_deref(), Some("/a  12.3 MiB  sha256 abababab…  verified by sha256sum"));
    }

    #[test]
    fn nothing_in_place_is_no_result() {
        assert_eq!(in_place(&result("vm01", Status::Success), true), None);
        assert_eq!(in_place(&moved("vm01", vec![failed_file("/a", "no")]), true), None);
        let both = vec![failed_file("/a", "no"), failed_file("/b", "no")];
        assert_eq!(in_place(&moved("vm01", both), true), None);
        let none = HostResult { status: Status::Failed, ..moved("vm01", vec![]) };
        assert_eq!(in_place(&none, true), None);
    }

    #[test]
    fn the_first_failures_are_told_and_how_many_there_are_more() {
        let files = (0..12).map(|n| failed_file(&format!("/d/{n}"), "permission denied"));
        let told = failures(&moved("vm01", files.collect()));
        assert_eq!(told.len(), 11);
        assert_eq!(told[0], "/d/0: permission denied");
        assert_eq!(told[10], "2 more failed; --json lists all");
        let named = vec![file("/d/1"), failed_file("/d/2", "cannot write /d/2: no space")];
        assert_eq!(failures(&moved("vm01", named)), ["cannot write /d/2: no space"]);
        assert!(failures(&moved("vm01", vec![failed_file("/a", "no")])).is_empty());
    }

    #[test]
    fn what_was_left_out_is_told() {
        let mut result = moved("vm01", vec![file("/d/1")]);
        let skipped = Skipped { path: "/d/s\x1b\n".into(), why: "it is a socket" };
        result.transfer.as_mut().unwrap().skipped = vec![skipped];
        assert_eq!(left_out(&result), ["left out /d/s\\x1b\\x0a: it is a socket"]);
    }

    #[test]
    fn a_name_cannot_act_on_a_terminal_or_end_its_line() {
        let shown = name(OsStr::from_bytes(b"/a\r\nvm02: ok\t\x1b[2J\xff\xe2\x80\xae\r"));
        assert_eq!(shown, "/a\\x0d\\x0avm02: ok\\x09\\x1b[2J\\xff\\u{202e}\\x0d");
    }

    #[test]
    fn a_message_with_several_lines_stays_in_one() {
        let mut bad = failed_file("/b", "x");
        bad.failure = Some(failure("transfer_failed", Phase::Transfer, "odd\nvm02: ok"));
        assert_eq!(failures(&moved("vm01", vec![file("/a"), bad])), ["/b: odd vm02: ok"]);
    }
}
