//! What is read when a log is opened: not more than matters, and not less.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use orchestrator::audit::{AuditError, AuditLog, Defect, VerifyOptions, verify};
use orchestrator::outcome::Status;

use crate::support::audit_log::{Place, attempt, child, entries, options, orders, result};

/// Writes attempts and their results, and signs them.
fn write(place: &Place, numbers: std::ops::Range<u32>) {
    let log = place.open();
    for number in numbers {
        let (record, op) = attempt(&format!("echo {number}."));
        log.append_blocking(record).unwrap();
        log.append_blocking(result(op, Status::Success)).unwrap();
    }
    log.close_blocking().unwrap();
}

fn alter(place: &Place, from: &str, to: &str) {
    let text = fs::read_to_string(&place.log).unwrap();
    assert!(text.contains(from));
    fs::write(&place.log, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_is_signed_and_done_is_left_to_verify() {
    let place = Place::new();
    // More than the first look from the end takes in.
    write(&place, 0..300);
    write(&place, 300..303);
    alter(&place, "echo 301.", "echo 309.");
    write(&place, 303..304);
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    let altered = found.first_bad.unwrap();
    assert_eq!((altered.seq, altered.defect), (604, Defect::Altered));
    assert_eq!(entries(&place.log).last().unwrap().seq(), 611);
}

#[test]
fn what_is_not_signed_is_read() {
    let place = Place::new();
    write(&place, 0..3);
    let log = place.open();
    for number in 3..5 {
        let (record, op) = attempt(&format!("echo {number}."));
        log.append_blocking(record).unwrap();
        log.append_blocking(result(op, Status::Success)).unwrap();
    }
    // Nothing is signed while it is open, and nothing after a crash.
    alter(&place, "echo 3.", "echo 9.");
    let refused = AuditLog::open(&place.log, options()).unwrap_err();
    assert!(
        matches!(refused, AuditError::Broken { seq: 8, defect: Defect::Altered, .. }),
        "{refused:?}"
    );
    drop(log);
}

#[test]
fn what_a_checkpoint_says_cannot_be_changed() {
    let place = Place::new();
    write(&place, 0..3);
    alter(&place, r#""oldest_open":"0""#, r#""oldest_open":"5""#);
    let refused = AuditLog::open(&place.log, options()).unwrap_err();
    assert!(
        matches!(refused, AuditError::Broken { seq: 7, defect: Defect::Altered, .. }),
        "{refused:?}"
    );
}

/// Records an attempt, says so, and does no more until it is killed. In an
/// ordinary run it is its own small test.
#[test]
fn one_that_is_never_done() {
    let own = Place::new();
    let ordered = orders();
    let path = ordered.as_ref().map_or(&own.log, |(path, _)| path);
    let log = AuditLog::open(path, options()).unwrap();
    let seq = log.append_blocking(attempt("sleep 1000").0).unwrap().seq;
    println!("durable {seq}");
    if ordered.is_some() {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::abort();
    }
}

#[test]
fn an_attempt_from_before_the_checkpoint_is_answered_when_its_process_is_gone() {
    let place = Place::new();
    write(&place, 0..300);
    let mut busy = child("audit::opening::one_that_is_never_done", &place.log, 1);
    let mut busy = busy.stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(busy.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("durable")), "it ended before its attempt");
    // Others come and go, and sign what they find.
    write(&place, 300..310);
    write(&place, 310..320);
    let unknown = |place: &Place| {
        let read = entries(&place.log);
        read.iter().filter(|entry| entry.text("/result/status") == Some("unknown")).count()
    };
    assert_eq!(unknown(&place), 0, "it is still running");

    busy.kill().unwrap();
    busy.wait().unwrap();
    write(&place, 320..321);
    assert_eq!(unknown(&place), 1);
    write(&place, 321..322);
    assert_eq!(unknown(&place), 1, "once");
    let last = entries(&place.log).pop().unwrap();
    assert_eq!(last.text("/metadata/oldest_open"), Some("0"));
    assert!(verify(&place.log, &VerifyOptions::default()).unwrap().is_intact());
}
