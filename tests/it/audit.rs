//! The audit log: what it proves, and what it does when it cannot be written.

mod disk;
mod opening;
mod processes;
mod tamper;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use orchestrator::audit::{
    AuditError, AuditLog, Defect, Event, FileFacts, Filter, Follower, Format, Record,
    TransferFacts, VerifyOptions, tail, verify,
};
use orchestrator::outcome::Status;

use crate::support::audit_log::{Place, attempt, entries, options, result};

#[tokio::test]
async fn what_was_acknowledged_is_there_and_verifies() {
    let place = Place::new();
    let log = place.open();
    let (record, op) = attempt("echo hello");
    let first = log.append(record).await.unwrap();
    let second = log.append(result(op, Status::Success)).await.unwrap();
    assert_eq!((first.seq, second.seq), (1, 2));
    log.close().await.unwrap();

    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "{found:?}");
    assert_eq!((found.records, found.checkpoints, found.covered_seq), (3, 1, 3));
    let read = entries(&place.log);
    assert_eq!(read[1].text("/hash"), Some(second.hash.as_str()));
    assert_eq!(read[2].event(), "audit.checkpoint");
    assert!(matches!(log.append(attempt("x").0).await, Err(AuditError::Closed(_))));
}

#[tokio::test]
async fn a_record_is_written_though_its_future_is_dropped() {
    let place = Place::new();
    let log = place.open();
    drop(log.append(attempt("kept").0));
    log.close().await.unwrap();
    assert_eq!(entries(&place.log)[0].text("/action/command"), Some("kept"));
}

#[test]
fn the_end_is_signed_by_age_and_by_count() {
    let place = Place::new();
    let mut at_once = options();
    at_once.checkpoint_age = Duration::ZERO;
    let log = AuditLog::open(&place.log, at_once).unwrap();
    assert_eq!(log.append_blocking(attempt("one").0).unwrap().seq, 1);
    assert_eq!(log.append_blocking(attempt("two").0).unwrap().seq, 3, "2 is the checkpoint");

    let place = Place::new();
    let log = place.open();
    for seq in 1..=1000 {
        assert_eq!(log.append_blocking(attempt("x").0).unwrap().seq, seq);
    }
    assert_eq!(log.append_blocking(attempt("y").0).unwrap().seq, 1002);
}

#[test]
fn only_the_owner_can_read() {
    let place = Place::new();
    let log = place.dir.path().join("state/audit.jsonl");
    AuditLog::open(&log, options()).unwrap().append_blocking(attempt("x").0).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(log.parent().unwrap()), 0o700);
    for entry in fs::read_dir(log.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.extension().unwrap() == "pub" { 0o644 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let place = Place::new();
    place.open().close_blocking().unwrap();
    for suffix in [".key", ".ed25519"] {
        let key = place.beside(suffix);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = AuditLog::open(&place.log, options());
        assert!(matches!(refused, Err(AuditError::Exposed { mode: 0o644, .. })), "{refused:?}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn no_secret_reaches_the_file() {
    let place = Place::new();
    let log = place.open();
    for command in ["mysql -phunter2", "curl -u me:hunter2"] {
        let (record, op) = attempt(command);
        log.append_blocking(record).unwrap();
        let mut ended = result(op, Status::Failed);
        ended.result.as_mut().unwrap().message = Some("hunter2 was refused".into());
        log.append_blocking(ended).unwrap();
    }
    log.close_blocking().unwrap();
    let text = fs::read_to_string(&place.log).unwrap();
    assert!(!text.contains("hunter2"));
    let read = entries(&place.log);
    assert_eq!(read[0].value()["redactions"], serde_json::json!(["/action/command"]));
    let tag = |at: usize, pointer: &str| {
        read[at].text(pointer).unwrap().split("[redacted]#").nth(1).unwrap()[..16].to_owned()
    };
    assert_eq!(tag(0, "/action/command"), tag(2, "/action/command"));
    assert_eq!(tag(0, "/action/command"), tag(1, "/result/message"));
}

#[test]
fn a_torn_tail_is_moved_away_and_recorded() {
    let whole = Place::new();
    let log = whole.open();
    for number in 0..3 {
        log.append_blocking(attempt(&format!("echo {number}")).0).unwrap();
    }
    drop(log);
    // Without a checkpoint, as a crash leaves it.
    let text = fs::read_to_string(&whole.log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let good = format!("{}\n{}\n", lines[0], lines[1]);
    let unwritten = "\0".repeat(40) + "\n";
    for torn in [&lines[2][..1], &lines[2][..200], lines[2], &unwritten] {
        let place = Place::new();
        fs::write(&place.log, format!("{good}{torn}")).unwrap();
        let found = verify(&place.log, &VerifyOptions::default()).unwrap();
        assert_eq!((found.records, found.torn_tail), (2, torn.len() as u64));
        assert!(!found.is_intact());

        place.open().close_blocking().unwrap();
        let found = verify(&place.log, &VerifyOptions::default()).unwrap();
        assert!(found.is_intact(), "{found:?}");
        let read = entries(&place.log);
        assert_eq!(read[2].event(), "audit.recovered");
        assert_eq!(read[2].text("/metadata/torn_bytes"), Some(torn.len().to_string().as_str()));
        assert_eq!(fs::read_to_string(place.beside(".torn")).unwrap(), format!("{torn}\n"));
    }
}

#[test]
fn a_tail_torn_by_another_process_is_cut_before_the_next_record() {
    let place = Place::new();
    let log = place.open();
    log.append_blocking(attempt("one").0).unwrap();
    let mut text = fs::read_to_string(&place.log).unwrap();
    text.push_str(r#"{"v":1,"seq":2,"#);
    fs::OpenOptions::new()
        .append(true)
        .open(&place.log)
        .and_then(|mut file| std::io::Write::write_all(&mut file, br#"{"v":1,"seq":2,"#))
        .unwrap();
    assert_eq!(log.append_blocking(attempt("two").0).unwrap().seq, 3);
    log.close_blocking().unwrap();
    assert_eq!(entries(&place.log)[1].event(), "audit.recovered");
    assert!(verify(&place.log, &VerifyOptions::default()).unwrap().is_intact());
}

#[test]
fn a_broken_chain_is_opened_only_when_that_is_accepted_and_recorded() {
    let place = Place::new();
    let log = place.open();
    for number in 0..3 {
        log.append_blocking(attempt(&format!("echo {number}")).0).unwrap();
    }
    log.close_blocking().unwrap();
    let text = fs::read_to_string(&place.log).unwrap();
    fs::write(&place.log, text.replacen("echo 1", "echo 9", 1)).unwrap();

    let refused = AuditLog::open(&place.log, options()).unwrap_err();
    assert!(
        matches!(refused, AuditError::Broken { seq: 2, defect: Defect::Altered, .. }),
        "{refused:?}"
    );
    let mut accepting = options();
    accepting.accept_broken = true;
    AuditLog::open(&place.log, accepting).unwrap().close_blocking().unwrap();
    let log = place.open();
    log.append_blocking(attempt("after").0).unwrap();
    log.close_blocking().unwrap();

    let read = entries(&place.log);
    let gap = read.iter().find(|entry| entry.event() == "audit.gap").unwrap();
    assert!(gap.text("/reason").unwrap().contains("record 2"), "{}", gap.raw());
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert_eq!(found.first_bad.unwrap().seq, 2);
}

#[test]
fn segments_are_finished_by_size_and_read_as_one_log() {
    let place = Place::new();
    let mut small = options();
    small.segment_bytes = 2000;
    let log = AuditLog::open(&place.log, small.clone()).unwrap();
    let mut follower = Follower::after(&place.log, 0).unwrap();
    let mut followed = Vec::new();
    for number in 0..20 {
        let (record, op) = attempt(&format!("echo {number}"));
        log.append_blocking(record).unwrap();
        log.append_blocking(result(op, Status::Success)).unwrap();
        followed.extend(follower.poll().unwrap());
    }
    log.close_blocking().unwrap();
    followed.extend(follower.poll().unwrap());

    assert!(place.segments().len() > 5);
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "{found:?}");
    assert_eq!(found.segments, place.segments().len());
    let read = entries(&place.log);
    assert_eq!(found.records, read.len() as u64);
    assert_eq!(followed, read);
    for count in [0, 1, 7, read.len(), 1000] {
        let expected = &read[read.len().saturating_sub(count)..];
        assert_eq!(tail(&place.log, count).unwrap(), expected, "{count}");
    }
    let log = AuditLog::open(&place.log, small).unwrap();
    assert_eq!(log.append_blocking(attempt("next").0).unwrap().seq, found.last_seq + 1);
}

#[test]
fn a_search_finds_what_it_is_for() {
    let place = Place::new();
    let log = place.open();
    for status in [Status::Success, Status::Timeout, Status::Success] {
        let (record, op) = attempt("uptime");
        log.append_blocking(record).unwrap();
        log.append_blocking(result(op, status)).unwrap();
    }
    log.close_blocking().unwrap();
    let count = |filter: Filter| entries(&place.log).iter().filter(|e| filter.matches(e)).count();
    assert_eq!(count(Filter { status: Some("timeout".into()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { event: Some("exec".into()), ..Filter::default() }), 6);
    assert_eq!(count(Filter { text: Some("upti".into()), ..Filter::default() }), 3);
}

#[test]
fn a_command_cannot_forge_a_line_of_the_text_export() {
    let place = Place::new();
    let log = place.open();
    let forged = "true #\n2026-11-21 00:00:00 | remote_executor.audit | INFO | user_id=boss \
                  | vm_id=vm01 | operation=reboot\u{1b}[2K\u{9b}A";
    log.append_blocking(attempt(forged).0).unwrap();
    log.close_blocking().unwrap();
    assert_eq!(fs::read_to_string(&place.log).unwrap().lines().count(), 2);
    for format in Format::ALL {
        let line = format.render(&entries(&place.log)[0]);
        assert!(!line.contains(|c: char| c.is_control()), "{format}: {line:?}");
    }
    let line = Format::Text.render(&entries(&place.log)[0]);
    assert_eq!(line.matches("user_id=").count(), 2);
    assert_eq!(line.matches(" | user_id=").count(), 1, "{line}");
}

#[test]
fn a_record_longer_than_a_line_is_refused_and_the_log_goes_on() {
    let place = Place::new();
    let log = place.open();
    let long = log.append_blocking(attempt(&"x".repeat(2 << 20)).0);
    assert!(matches!(long, Err(AuditError::TooLong { .. })), "{long:?}");
    assert_eq!(log.append_blocking(attempt("short").0).unwrap().seq, 1);
}

#[test]
fn a_log_that_is_not_there_is_said_to_be_missing() {
    let place = Place::new();
    let missing = verify(&place.log, &VerifyOptions::default());
    assert!(matches!(missing, Err(AuditError::Missing(_))));
    assert!(matches!(tail(&place.log, 1), Err(AuditError::Missing(_))));
    let mut record = Record::new(Event::ExecAttempt);
    record.metadata.insert("k".into(), "v".into());
    let log = place.open();
    log.append_blocking(record).unwrap();
    assert_eq!(tail(&place.log, 1).unwrap()[0].text("/metadata/k"), Some("v"));
}

#[test]
fn the_document_names_every_status_and_format() {
    let text = include_str!("../../docs/audit-format.md");
    let statuses: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    assert!(text.contains(&format!("`{}`", statuses.join(" "))), "{statuses:?}");
    for format in Format::ALL {
        assert!(text.contains(&format!("| `{format}` |")), "{format}");
    }
}

#[test]
fn the_document_names_every_event_and_every_member_of_a_transfer() {
    let text = include_str!("../../docs/audit-format.md");
    for event in ["exec", "file", "session", "hostkey"] {
        for step in ["attempt", "result"] {
            assert!(text.contains(&format!("`{event}.{step}`")), "{event}.{step}");
        }
    }
    let section = text.split("`result.transfer` holds").nth(1).unwrap();
    let section = section.split("### Events").next().unwrap();
    let sha256 = Some("ab".repeat(32));
    let file = FileFacts {
        path: "/a".into(),
        bytes: 1,
        sha256: sha256.clone(),
        unchanged: true,
        error_class: Some("x".into()),
    };
    let facts = TransferFacts {
        skipped: 1,
        sha256: sha256.clone(),
        manifest_sha256: sha256,
        items: vec![file],
        items_omitted: 1,
        ..TransferFacts::default()
    };
    let facts = serde_json::to_value(facts).unwrap();
    for member in facts.as_object().unwrap().keys() {
        assert!(section.contains(&format!("| `{member}` |")), "{member}");
    }
    for member in facts["items"][0].as_object().unwrap().keys() {
        assert!(section.contains(&format!("`{member}`")), "{member}");
    }
}

#[test]
fn a_transfer_is_recorded_whatever_its_files_are_called() {
    let place = Place::new();
    let log = place.open();
    let (_, op) = attempt("");
    let mut record = result(op, Status::Success);
    record.event = Event::FileResult;
    let item = |name: &str| FileFacts {
        path: format!("/srv/{name}"),
        bytes: 1,
        sha256: Some("ab".repeat(32)),
        unchanged: false,
        error_class: None,
    };
    let transfer = TransferFacts {
        items: vec![item("a\u{1b}[2J\n"), item("hunter2")],
        ..TransferFacts::default()
    };
    record.result.as_mut().unwrap().transfer = Some(transfer);
    log.append_blocking(record).unwrap();
    log.close_blocking().unwrap();
    let entry = &entries(&place.log)[0];
    assert_eq!(entry.text("/result/transfer/items/0/path"), Some("/srv/a\u{1b}[2J\n"));
    assert!(!entry.raw().contains('\u{1b}') && !entry.raw().contains("hunter2"));
    let redacted = serde_json::json!(["/result/transfer/items/1/path"]);
    assert_eq!(entry.value()["redactions"], redacted);
}
