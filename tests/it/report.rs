//! What is documented about exit codes is what the program does.

use orchestrator::outcome::{HostResult, Status};
use orchestrator::remote::ExitStatus;
use orchestrator::report::exit::{self, Exit};

const DOC: &str = include_str!("../../docs/exit-codes.md");

/// The cells of the table that begins with this header.
fn rows(header: &str) -> Vec<Vec<&'static str>> {
    let table = DOC.lines().skip_while(|line| *line != header).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn result(status: Status, exit: Option<ExitStatus>) -> HostResult {
    let vm = "vm01".parse().unwrap();
    HostResult { exit, ..HostResult::new(vm, "true".into(), status) }
}

#[test]
fn the_documented_table_is_the_table() {
    let documented = rows("| Code | Name | Meaning |");
    let codes = Exit::ALL.map(|exit| {
        let (code, name, meaning) = exit.row();
        vec![code.to_string(), name.to_owned(), meaning.to_owned()]
    });
    assert_eq!(documented, codes);
}

#[test]
fn the_documented_precedence_is_the_precedence() {
    let codes = Exit::PRECEDENCE.map(|exit| exit.code().to_string()).join(", ");
    assert!(DOC.contains(&format!("the first of these is given: {codes}.")), "{codes}");
}

#[test]
fn the_documented_codes_of_statuses_are_given() {
    let given = Status::ALL.map(|status| {
        let code = exit::table(&[result(status, None)]);
        vec![format!("`{status}`"), code.to_string()]
    });
    assert_eq!(rows("| Status | Code |"), given);
}

#[test]
fn the_documented_examples_are_true() {
    let code = |code| Some(ExitStatus::Code(code));
    let killed = Some(ExitStatus::Signal("KILL".into()));
    let results = [
        ("`exec vm01 true`", result(Status::Success, code(0))),
        ("`exec vm01 \"exit 3\"`", result(Status::Failed, code(3))),
        ("`exec vm01 \"kill -9 $$\"`", result(Status::Failed, killed)),
        ("`exec vm01 \"sleep 60\" --timeout 5`", result(Status::Timeout, None)),
        ("`exec vm01 id`, sshd is not running", result(Status::Unreachable, None)),
        ("`exec vm01 id`, the host key has changed", result(Status::HostKeyRejected, None)),
        ("`exec vm01 vi`, refused because it needs a terminal", result(Status::PolicyDenied, None)),
        (
            "`exec vm01 ./job`, the link is lost while it runs",
            result(Status::Unknown, Some(ExitStatus::Missing)),
        ),
    ];
    let documented = rows("| What happened | One literal host | Table |");
    for (what, result) in results {
        let row = documented.iter().find(|row| row[0] == what).unwrap();
        assert_eq!(row[1], exit::pass_through(&result).to_string(), "{what}");
        assert_eq!(row[2], exit::table(&[result]).to_string(), "{what}");
    }
}

#[test]
fn transfers_always_have_the_tables_code() {
    let documented = rows("| What happened | One literal host | Table |");
    let examples = [
        ("`", Status::Success),
        ("`, the disk there is full", Status::Failed),
        (" --timeout 5`, it takes longer", Status::Timeout),
        ("`, its digest there is another", Status::ChecksumMismatch),
        ("`, the link is lost while it is put in place", Status::Unknown),
    ];
    for (what, status) in examples {
        let what = format!("`push vm01 a.tar /opt/{what}");
        let row = documented.iter().find(|row| row[0] == what).unwrap();
        assert_eq!(row[1..], ["–", &exit::table(&[result(status, None)]).to_string()], "{what}");
    }
}
