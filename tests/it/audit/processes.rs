//! Several processes on one log, and processes that die.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use orchestrator::audit::{AuditLog, VerifyOptions, verify};
use orchestrator::outcome::Status;

use crate::support::audit_log::{
    Dice, Place, attempt, child, entries, options, orders, result, rounds,
};

/// Writes as many attempts and results as ordered, and says each number on
/// stdout once it is durable. In an ordinary run it is its own small test.
#[test]
fn a_writer() {
    let own = Place::new();
    let (path, count) = orders().unwrap_or((own.log.clone(), 4));
    let mut small = options();
    small.segment_bytes = 200_000;
    let log = AuditLog::open(path, small).unwrap();
    let mut last = 0;
    for number in 0..count / 2 {
        let (record, op) = attempt(&format!("{} {number}", std::process::id()));
        for record in [record, result(op, Status::Success)] {
            let seq = log.append_blocking(record).unwrap().seq;
            assert!(seq > last);
            last = seq;
            println!("durable {seq}");
        }
    }
    log.close_blocking().unwrap();
}

#[test]
fn eight_processes_write_one_chain() {
    let place = Place::new();
    let children: Vec<_> = (0..8)
        .map(|_| child("audit::processes::a_writer", &place.log, 500).spawn().unwrap())
        .collect();
    let mut numbers = BTreeSet::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for number in durable(&String::from_utf8_lossy(&output.stdout)) {
            assert!(numbers.insert(number), "{number} was given twice");
        }
    }
    assert_eq!(numbers.len(), 4000);
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "{found:?}");
    let events = entries(&place.log);
    let written = events.iter().filter(|entry| entry.event().starts_with("exec.")).count();
    assert_eq!(written, 4000);
    assert_eq!(found.unsigned_checkpoints, 0);
    assert_eq!(found.covered_seq, found.last_seq);
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_it_was_told_is_durable() {
    let place = Place::new();
    let mut dice = Dice(50);
    let mut told = 0;
    for _ in 0..rounds(12, 200) {
        let mut writer =
            child("audit::processes::a_writer", &place.log, 1_000_000).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let begun = lines.by_ref().map(Result::unwrap).find_map(|line| durable(&line).next());
        assert!(begun.is_some(), "the writer ended before its first record");
        std::thread::sleep(Duration::from_micros(dice.roll(30_000) as u64));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let rest = lines.map_while(Result::ok).flat_map(|line| durable(&line).collect::<Vec<_>>());
        told = begun.into_iter().chain(rest).fold(told, u64::max);

        place.open().close_blocking().unwrap();
        let found = verify(&place.log, &VerifyOptions::default()).unwrap();
        assert!(found.is_intact(), "{found:?}");
        assert!(found.last_seq >= told, "{told} was acknowledged");
    }
    let entries = entries(&place.log);
    let count = |event: &str| entries.iter().filter(|entry| entry.event() == event).count();
    assert_eq!(count("exec.attempt"), count("exec.result"), "no attempt stays open");
}

#[test]
fn an_attempt_of_a_dead_process_gets_a_result_and_one_of_a_living_process_does_not() {
    let place = Place::new();
    let living = place.open();
    living.append_blocking(attempt("living").0).unwrap();
    let (orphan, _) = attempt("orphan");
    living.append_blocking(orphan).unwrap();
    place.open().close_blocking().unwrap();
    assert!(entries(&place.log).iter().all(|entry| entry.event() != "exec.result"));
    drop(living);

    // The same log, as if another boot had written it.
    let copy = Place::new();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = std::fs::read_to_string(&place.log).unwrap();
    let first = text.lines().next().unwrap().replace(boot.trim(), "another boot");
    std::fs::write(&copy.log, sealed(&first)).unwrap();
    copy.open().close_blocking().unwrap();
    let read = entries(&copy.log);
    assert_eq!(read[1].event(), "exec.result");
    assert_eq!(read[1].text("/result/status"), Some("unknown"));
    assert_eq!(read[1].value()["result"]["recovered"], true);
    assert_eq!(read[1].text("/op_id"), read[0].text("/op_id"));
    assert!(verify(&copy.log, &VerifyOptions::default()).unwrap().is_intact());
    copy.open().close_blocking().unwrap();
    assert_eq!(entries(&copy.log).len(), read.len(), "closed once");
}

/// The line with its hash made anew, as the format describes it.
fn sealed(line: &str) -> String {
    use sha2::Digest;
    let (before, _) = line.split_once(r#","hash":""#).unwrap();
    let emptied = format!(r#"{before},"hash":""}}"#);
    let hash = sha2::Sha256::digest(&emptied);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{before},\"hash\":\"{hex}\"}}\n")
}

/// The numbers a writer said are durable.
fn durable(output: &str) -> impl Iterator<Item = u64> + '_ {
    output
        .lines()
        .filter_map(|line| line.split_once("durable ").and_then(|(_, number)| number.parse().ok()))
}
